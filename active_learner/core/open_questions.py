"""What an annotator has to answer: in which order it is asked, and what of it is leased. Knows questions; not what is decided."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from protocol.messages import Question

MAX_OPEN = 1000
"""Open questions kept; one is answered at a time and the trainer sends the others again."""


@dataclass(slots=True)
class OpenQuestion:
    question: Question
    arrival: int
    undone: bool = False
    """Asked again after an undo: stays until it is answered, also when the trainer closes it."""

    def order(self) -> tuple[bool, int, int, int]:
        return (not self.undone, self.question.round, self.question.rank, self.arrival)


class OpenQuestions:
    """By id. Iterated, it gives ids."""

    def __init__(self) -> None:
        self._all: dict[str, OpenQuestion] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __contains__(self, id: str) -> bool:
        return id in self._all

    def in_order(self) -> list[Question]:
        return [one.question for one in sorted(self._all.values(), key=OpenQuestion.order)]

    def first(self, shown: str | None) -> Question:
        """The question on the screen stays there, unless an earlier one was undone. Raises: ValueError when there is none."""
        key = lambda one: (not one.undone, one.question.id != shown, one.order())  # noqa: E731
        return min(self._all.values(), key=key).question

    def is_undone(self, id: str) -> bool:
        return self._all[id].undone

    def put(self, question: Question, undone: bool = False) -> None:
        """One that is there keeps its place."""
        if question.id in self._all and not undone:
            return
        self._arrivals += 1
        self._all.pop(question.id, None)
        self._all[question.id] = OpenQuestion(question, self._arrivals, undone)

    def pop(self, id: str) -> Question:
        return self._all.pop(id).question

    def drop(self, ids: Iterable[str]) -> None:
        for one in ids:
            del self._all[one]

    def outside(self, holds: Container[str]) -> list[str]:
        """What was taken back stays: its person has it on the screen again, whoever else has it too."""
        return [name for name, one in self._all.items() if not one.undone and name not in holds]

    def leased(self) -> list[str]:
        """What can be given back: what is leased to nobody, or was taken back, is not."""
        return [name for name, one in self._all.items() if one.question.annotator and not one.undone]
