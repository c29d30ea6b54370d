"""Open questions, their leases and who sits where, as the leasing machine remembers them. Knows no rule."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from active_learner.core.records import AskedQuestion
from active_learner.core.resends import Due

UNDONE = 10
"""Words that an annotator took back last; its labeler lets it take back as many."""


@dataclass(slots=True)
class Hold:
    """A lease."""

    until: float
    due: Due
    """When the question is said (again), until it is seen."""
    is_seen: bool = False
    """Its annotator says to hold it."""


@dataclass(slots=True, eq=False)
class Item:
    """An open question; `reserved`: for who claims it, after a restart."""

    question: AskedQuestion
    holders: dict[str, Hold] = field(default_factory=dict)
    passed: bool = False
    """Told so."""
    reserved: bool = False


class Seat:
    """Where an annotator sits: at which peer, how long for sure, and how many questions it wants to hold."""

    def __init__(self, annotator: str, peer: str, session: int, undone: Iterable[str] = ()) -> None:
        self.annotator, self.peer, self.session = annotator, peer, session
        self.undone = deque(undone, maxlen=UNDONE)
        self.wants, self.until, self.is_here = 0, 0.0, True

    def remember_undone(self, question: str) -> None:
        if question not in self.undone:
            self.undone.append(question)
