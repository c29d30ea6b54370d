"""Work of many senders for one place that does one piece at a time: taken in turns, bounded for each and for all. Knows
senders and numbers; not the work.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Work = TypeVar("Work")


class Turns(Generic[Work]):
    """What waits, at most `each` of a sender and `total` in all."""

    def __init__(self, each: int, total: int) -> None:
        self._each, self._total = each, total
        self._queues: OrderedDict[str, deque[Work]] = OrderedDict()
        """None is empty; whose turn is next is first."""
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, sender: str, work: Work) -> Work | None:
        """Behind its sender's own. Returns what is left for it: this one, or, when all places are taken, the newest of who
        has the most, so that who floods makes room for who does not; None: nothing is left.
        """
        own = len(self._queues.get(sender, ()))
        if own >= self._each:
            return work
        left: Work | None = None
        if self._waiting >= self._total:
            most = max(self._queues, key=lambda one: len(self._queues[one]))
            if len(self._queues[most]) <= own + 1:
                return work
            left = self._queues[most].pop()
            self._waiting -= 1
        self._queues.setdefault(sender, deque()).append(work)
        self._waiting += 1
        return left

    def take(self) -> Work | None:
        """The oldest of the sender whose turn it is, who then waits until all others had theirs. None: nothing waits."""
        if not self._queues:
            return None
        sender, queue = self._queues.popitem(last=False)
        work = queue.popleft()
        self._waiting -= 1
        if queue:
            self._queues[sender] = queue
        return work

    def clear(self) -> int:
        """Leave all that waits; returns how many that were."""
        left, self._waiting = self._waiting, 0
        self._queues.clear()
        return left
