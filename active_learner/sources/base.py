"""The candidate source's promise: a pure proposer. Knows candidates and what became of them; not the wire or the clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from active_learner.core.records import Features


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one proposed batch, rows in its order."""

    features: Features
    fitness: Features | None
    """(n,) float32; None: nobody scored it."""
    new: int
    """How many the pool did not know."""


class Source(ABC):
    """Proposes batches of candidates; one is proposed, scored and reported before or while the next is on its way."""

    wants_fitness: bool = False
    """True: the next batch needs the outcome of the last one."""

    @abstractmethod
    def propose(self) -> Features | None:
        """(n, *shape), n >= 1, dtype of the experiment; None: nothing right now (`ended` says whether ever again)."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """True: `propose` will never again return a batch."""

    def report(self, outcome: Outcome) -> None:
        """What became of a batch. The default does not care."""
        return

    def diversify(self) -> None:
        """The trainer knows everything that is proposed: look elsewhere. The default cannot."""
        return

    def restart(self) -> None:
        """A new trainer may know nothing of what was proposed: begin again, also after the end. The default goes on."""
        return

    def problems(self) -> list[str]:
        """What went wrong in its input since the last call, a sentence each; for a person. The default reads no input."""
        return []

    def close(self) -> None:
        """Give files back."""
        return
