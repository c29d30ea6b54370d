"""Answers without a final receipt: which is under way, which is on the disk, when each is said again. Knows queues and times;
not what a receipt means.

Of each question the oldest alone is under way, so that an undo can never overtake what it takes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from active_learner.core.answering_events import Keep, Send
from active_learner.core.resends import Backoff, Due
from protocol.messages import Answer

RESEND_S = 0.2
"""First wait before an answer is sent again; a receipt takes some milliseconds."""


@dataclass(slots=True)
class Pending:
    answer: Answer
    due: Due
    keeping: bool
    """Its Keep is under way: it is not said before that is over."""
    kept: bool
    said: bool = False
    told: set[str] = field(default_factory=set)
    """What the person was told already: once each is enough."""


class Unsent:
    """`keeps`: who runs the machine can keep answers on a disk."""

    def __init__(self, backoff: Backoff, keeps: bool) -> None:
        self._backoff, self._keeps = backoff, keeps
        self._queues: dict[str, deque[Pending]] = {}
        self._by_id: dict[str, Pending] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Pending]:
        """Oldest first of each question."""
        return (pending for queue in self._queues.values() for pending in queue)

    def __contains__(self, question: object) -> bool:
        return question in self._queues

    def __getitem__(self, id: str) -> Pending:
        return self._by_id[id]

    def questions(self) -> list[str]:
        return list(self._queues)

    def find(self, id: str) -> Pending | None:
        return self._by_id.get(id)

    def is_first(self, pending: Pending) -> bool:
        return self._queues[pending.answer.question][0] is pending

    def add(self, answer: Answer, at: float) -> list[Keep | Send]:
        """A new one, to be kept first when that can be done."""
        pending = self._append(answer, at, keeping=self._keeps)
        return [Keep(answer)] if self._keeps else self.say(pending, at)

    def recall(self, answer: Answer) -> None:
        """One that an earlier process has kept: due at once."""
        self._append(answer, 0.0).kept = True

    def _append(self, answer: Answer, at: float, keeping: bool = False) -> Pending:
        pending = Pending(answer, self._backoff.now(at), keeping, kept=not self._keeps)
        self._by_id[answer.id] = pending
        self._queues.setdefault(answer.question, deque()).append(pending)
        return pending

    def over(self, pending: Pending, at: float) -> list[Keep | Send]:
        """The keeping is over, well or not: it is said, unless it waits for another or was said before."""
        pending.keeping = False
        return [] if pending.said else self.say(pending, at)

    def pop(self, pending: Pending, at: float) -> list[Keep | Send]:
        """The first of its question is settled; the next one of it, when there is one, is said."""
        queue = self._queues[pending.answer.question]
        queue.popleft()
        del self._by_id[pending.answer.id]
        if queue:
            return self.say(queue[0], at)
        del self._queues[pending.answer.question]
        return []

    def say(self, pending: Pending, at: float) -> list[Keep | Send]:
        """For the first time, or at once: the waits begin anew."""
        if pending.keeping or not self.is_first(pending):
            return []
        pending.due, pending.said = self._backoff.first(at), True
        return [Send(pending.answer)]

    def say_all(self, at: float) -> list[Keep | Send]:
        return [said for pending in self for said in self.say(pending, at)]

    def say_due(self, at: float) -> list[Keep | Send]:
        """What is due goes out again; what the disk did not take is tried there again too."""
        commands: list[Keep | Send] = []
        for pending in self:
            if pending.keeping or pending.due.at > at:
                continue
            pending.due = self._backoff.next(pending.due, at)
            if self.is_first(pending):
                pending.said = True
                commands.append(Send(pending.answer))
            if not pending.kept:
                pending.keeping = True
                commands.append(Keep(pending.answer))
        return commands
