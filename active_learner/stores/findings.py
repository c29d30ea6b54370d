"""What a look at a whole store found. Knows no store."""

from __future__ import annotations

from dataclasses import dataclass, field

from active_learner.durable.watermark import Mark

POOL_IS_DAMAGED = "the pool's snapshot is damaged and is left: candidates are scored again"

SHOWN = 20
"""Places of damage told one by one; behind a torn page there are thousands."""


@dataclass(slots=True)
class Findings:
    counts: dict[str, int] = field(default_factory=dict)
    """Rows by what they are: samples, questions, events, plans, terms, quarantined."""
    head: Mark = field(default_factory=lambda: Mark(0, ""))
    """The last change."""
    damage: list[str] = field(default_factory=list)
    """Places that are not what was written; with any, the store is not opened."""
    lost: str = ""
    """What had been committed and is not there any more; "": nothing."""
    warnings: list[str] = field(default_factory=list)
    """What is told and does not stop anybody."""

    def told(self) -> list[str]:
        """The damage in lines, the first ones of it."""
        more = len(self.damage) - SHOWN
        return [*self.damage[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


def other_schema(place: str, version: object, known: int) -> str:
    """For the person whose store has `version`."""
    text = f"{place} has schema {version}, this version knows {known}"
    older = isinstance(version, str | int) and str(version).isdigit() and int(version) < known
    return (
        f"{text}: `active-learner store upgrade CONFIG` makes a copy and then brings it up to date" if older else text
    )


def damaged(place: str, findings: Findings) -> str:
    """For the person who wants to open it."""
    advice = "restore it from a backup; `active-learner store verify CONFIG` lists all that is damaged"
    return f"{place} is damaged: {'; '.join(findings.told()[:3])}; {advice}"
