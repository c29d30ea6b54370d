"""Open questions, their leases and who sits where, as the leasing machine remembers them. Knows no rule."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from active_learner.core.records import AskedQuestion
from active_learner.core.resends import Due

MOST_SEATS = 1024
"""Annotators; whoever makes up names of more is not a room of people."""

SEATS_EACH = 256
"""Of one peer (or key, whatever it calls its peers), so that one alone does not take them all."""

MOST_HELD = 1000
"""Of one annotator; more ids would not fit LEASED."""

UNDONE = 10
"""Words that an annotator took back last; its labeler lets it take back as many."""


def owner(peer: str) -> str:
    """What stands before a dot is the key of a peer that has one, so that many names are one."""
    return peer.partition(".")[0]


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


class Items:
    """By id, in the order of their opening, and by what they are about."""

    def __init__(self) -> None:
        self._by_id: dict[str, Item] = {}
        self._of_key: dict[str, list[Item]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id

    def __iter__(self) -> Iterator[Item]:
        return iter(self._by_id.values())

    def get(self, id: str) -> Item | None:
        return self._by_id.get(id)

    def among(self, ids: Iterable[str]) -> list[Item]:
        """Those of these that are open."""
        return [item for one in ids if (item := self._by_id.get(one)) is not None]

    def about(self, key: str) -> list[Item]:
        """Those about the sample with this content key: one, but for the twins that a trainer left which died while it chose anew."""
        return list(self._of_key.get(key, ()))

    def put(self, question: AskedQuestion) -> Item:
        item = self._by_id[question.id] = Item(question)
        self._of_key.setdefault(question.key, []).append(item)
        return item

    def drop(self, item: Item) -> None:
        del self._by_id[item.question.id]
        about = self._of_key[item.question.key]
        about.remove(item)
        if not about:
            del self._of_key[item.question.key]

    def held_by(self, annotator: str) -> list[Item]:
        return [item for item in self if annotator in item.holders]


class Seat:
    """Where an annotator sits: at which peer, how long for sure, and how many questions it wants to hold."""

    def __init__(self, annotator: str, peer: str, session: int, undone: Iterable[str] = ()) -> None:
        self.annotator, self.peer, self.session = annotator, peer, session
        self.undone = deque(undone, maxlen=UNDONE)
        self.wants, self.until, self.is_here = 0, 0.0, True

    def remember_undone(self, question: str) -> None:
        if question not in self.undone:
            self.undone.append(question)
