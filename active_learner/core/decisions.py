"""What an annotator decided, as the answering machine remembers it. Knows no order of things."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from protocol.limits import CIRCUMSTANCES_BYTES
from protocol.messages import Action, Answer, Question

HISTORY = 10
"""Decisions that can be undone or revised, as the labeling tools that people like do it; their features are kept."""

REMEMBERED = 1000
"""Decided questions whose repeats are known; a trainer has a few dozen open at most."""


@dataclass(slots=True)
class Decision:
    """The last thing that was done with a question."""

    answer: Answer
    question: Question | None
    """None: longer ago than can be undone."""
    closed: bool = False
    reopens: bool = False
    """It is asked again when the trainer asks again: it was skipped and closed, or refused."""

    @property
    def stands(self) -> bool:
        """It can be undone or revised."""
        return self.question is not None and self.answer.action is not Action.UNDO


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
        for old in decisions[:-HISTORY]:
            old.question = None
        for old in decisions[:-REMEMBERED]:
            if old.answer.question not in needed:
                del self._all[old.answer.question]


def kept_circumstances(text: str) -> str:
    """What is too long is left out: the answer matters."""
    return text if len(text.encode()) <= CIRCUMSTANCES_BYTES else ""


def weight(action: Action) -> int:
    """Of a standing word, among the answers given."""
    return int(action in (Action.ANSWER, Action.REVISE))
