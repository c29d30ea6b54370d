"""How bad a link is: a text, checked. Knows no link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from active_learner.errors import ConfigError

VARIABLE = "ACTIVE_LEARNER_FAULTS"
"""Environment variable that switches faults on for every peer that is started with it."""

MOST_REORDER = 1000
LONGEST_DELAY_S = 60.0

ALLOWED = (
    f"seed=NUMBER, drop=0..1, duplicate=0..1, reorder=0..{MOST_REORDER} messages, delay_s=0..{LONGEST_DELAY_S:g}, "
    "separated by commas, as seed=7,drop=0.2,duplicate=0.2,reorder=16,delay_s=0.05"
)


@dataclass(frozen=True, slots=True)
class FaultRules:
    """What is done to each message of each direction of a link."""

    seed: int = 1
    drop: float = 0.0
    """Share that is lost."""
    duplicate: float = 0.0
    """Share, of what is not lost, that comes twice."""
    reorder: int = 0
    """A message may be overtaken by so many that were said after it."""
    delay_s: float = 0.0
    """Each is held for a time between 0 and that."""

    @property
    def is_any(self) -> bool:
        return bool(self.drop or self.duplicate or self.reorder or self.delay_s)

    def told(self) -> str:
        """As `parsed` reads it, each number whole: a seed has ten digits."""
        return ",".join(f"{one.name}={getattr(self, one.name)}" for one in fields(self))


def parsed(text: str) -> FaultRules:
    """Raises: ConfigError saying what is allowed."""
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in _KINDS or name in given:
            raise _bad(text, f"{part!r}")
        try:
            given[name] = _KINDS[name](value)
        except ValueError:
            raise _bad(text, f"{part!r}") from None
    return FaultRules(**given)


def _bad(text: str, what: str) -> ConfigError:
    return ConfigError([f"{VARIABLE}={text}: {what} is not understood; allowed are {ALLOWED}"])


def _number(convert: Callable[[str], Any], most: float) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = convert(text)
        if not 0 <= value <= most:
            raise ValueError
        return value

    return read


_KINDS: dict[str, Callable[[str], Any]] = {
    "seed": _number(int, 2**63),
    "drop": _number(float, 1),
    "duplicate": _number(float, 1),
    "reorder": _number(int, MOST_REORDER),
    "delay_s": _number(float, LONGEST_DELAY_S),
}
