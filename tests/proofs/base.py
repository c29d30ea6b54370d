"""A proof's promise: it attacks in units, counts what happened, and says which goals were met. Knows no attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from active_learner.bench.outcome import Goal

LISTED = 50
"""Failures kept in words; all are counted."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """What happened in some units of a proof; chunks of a long run are added up."""

    counts: Counter[str] = field(default_factory=Counter)
    highest: dict[str, float] = field(default_factory=dict)
    """Largest value seen of each figure: seconds, bytes."""
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Figures whose median is told."""
    failures: list[str] = field(default_factory=list)
    """In words, each with the seed that brings it back; at most LISTED."""

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] += number

    def measured(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)
        self.highest[name] = max(value, self.highest.get(name, value))

    def fail(self, words: str) -> None:
        self.counts["failures"] += 1
        if len(self.failures) < LISTED:
            self.failures.append(words)

    def add(self, other: Tally) -> None:
        self.counts.update(other.counts)
        for name, value in other.highest.items():
            self.highest[name] = max(value, self.highest.get(name, value))
        for name, values in other.samples.items():
            self.samples.setdefault(name, []).extend(values)
        self.failures.extend(other.failures[: LISTED - len(self.failures)])

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "highest": self.highest,
            "samples": self.samples,
            "failures": self.failures,
        }

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Tally:
        return cls(Counter(form["counts"]), dict(form["highest"]), dict(form["samples"]), list(form["failures"]))


class Proof(ABC):
    """One row of the table of proofs. `run` may be called many times with other seeds; its tallies are added up."""

    title: ClassVar[str]
    unit: ClassVar[str]
    """What is counted by `short` and `long`: kills, seeds, frames."""
    short: ClassVar[int]
    """Units in every test run."""
    long: ClassVar[int]
    """Units of `make soak`."""
    chunk: ClassVar[int]
    """Units between two writes of the state file; a stopped soak loses no more."""
    timeout_s: ClassVar[float] = 400.0
    """Of the short form, on two cores that have other things to do too: many times what it usually takes."""

    @abstractmethod
    def run(self, units: int, seed: int, say: Say) -> Tally:
        """Attack so often. The same seed draws the same attacks. A violation is told by `Tally.fail`, never raised."""

    @abstractmethod
    def goals(self, total: Tally, units: int) -> list[Goal]:
        """What was to be reached by so many units, and whether it was. "0 failures" is added to these."""


def all_goals(proof: Proof, total: Tally, units: int) -> list[Goal]:
    failed = total.counts["failures"]
    return [*proof.goals(total, units), Goal("no failure", f"{failed} in {units:,} {proof.unit}", failed == 0)]
