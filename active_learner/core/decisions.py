"""What an annotator decided, as the answering machine remembers it. Knows no order of things."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from protocol.limits import CIRCUMSTANCES_BYTES
from protocol.messages import Action, Answer, Question

HISTORY = 10
"""Decisions that a face shows at once; their features are kept, so that what is undone is asked again at once."""

FEATURE_BYTES = 1024 * 1024
"""Of earlier decisions the features are kept too, as long as all together are no more: 8192 melodies, some pictures."""

REMEMBERED = 1000
"""Decisions that can be undone or revised, and whose repeats are known; as many as are kept on the disk."""

REFUSED = frozenset({"bad_value", "conflict", "surplus"})
"""After these the question is asked again when the trainer still asks it, and the new answer gets the next revision. After a
conflict an earlier process of this annotator skipped it or took its answer back; after `surplus` others took theirs back."""


@dataclass(slots=True)
class Decision:
    """The last thing that was done with a question."""

    answer: Answer
    question: Question | None
    """None: too long ago, or in another process: when it is undone, it is asked again when the trainer says it."""
    closed: bool = False
    reopens: bool = False
    """It is asked again when the trainer asks again: it was skipped and closed, refused, or undone without its features."""

    @property
    def stands(self) -> bool:
        """It can be undone or revised."""
        return self.answer.action is not Action.UNDO


class Decisions:
    """By question, in the order in which they were made."""

    def __init__(self) -> None:
        self._all: dict[str, Decision] = {}

    def __contains__(self, question: str) -> bool:
        return question in self._all

    def __getitem__(self, question: str) -> Decision:
        return self._all[question]

    def recall(self, kept: Iterable[tuple[Answer, str]]) -> Iterator[Answer]:
        """Those of an earlier process; gives what has no receipt, which is "" then. A full disk may have kept them out of
        order."""
        for answer, status in sorted(kept, key=lambda one: one[0].revision):
            reopens = bool(status) or answer.action is Action.UNDO
            self.put(Decision(answer, None, closed=True, reopens=reopens))
            if not status:
                yield answer

    def find(self, question: str) -> Decision | None:
        return self._all.get(question)

    def is_over(self, question: str) -> bool:
        """It was decided, and is not asked again should it come again."""
        decision = self._all.get(question)
        return decision is not None and not decision.reopens

    def reopen(self, question: str) -> None:
        """The trainer asks it (again): it is not closed."""
        decision = self._all.get(question)
        if decision is not None:
            decision.closed = False

    def close(self, question: str) -> None:
        """The trainer asks it no more, of this annotator."""
        decision = self._all.get(question)
        if decision is not None:
            decision.closed = True
            decision.reopens |= decision.answer.action is Action.SKIP

    def settle(self, answer: Answer, status: str) -> bool:
        """Its final receipt came. True: it was refused, and nothing was decided since."""
        decision = self._all.get(answer.question)
        if decision is None or decision.answer.id != answer.id:
            return False
        decision.reopens |= status in REFUSED or (decision.closed and answer.action is Action.SKIP)
        return status in REFUSED

    def put(self, decision: Decision) -> None:
        """The last one, in place of an earlier one of its question."""
        self._all.pop(decision.answer.question, None)
        self._all[decision.answer.question] = decision

    def history(self) -> list[Decision]:
        """Those that stand, oldest first."""
        return [decision for decision in self._all.values() if decision.stands]

    def trim(self, needed: Container[str]) -> None:
        """Forgets features, and then all, of those of long ago; `needed`: questions that are not forgotten."""
        decisions = list(self._all.values())
        size = 0
        for place, one in enumerate(reversed(decisions)):
            size += 0 if one.question is None else one.question.features.nbytes
            if place >= HISTORY and size > FEATURE_BYTES:
                one.question = None
        for old in decisions[:-REMEMBERED]:
            if old.answer.question not in needed:
                del self._all[old.answer.question]


def kept_circumstances(text: str) -> str:
    """What is too long is left out: the answer matters."""
    return text if len(text.encode()) <= CIRCUMSTANCES_BYTES else ""
