"""What labelers said and were told, as somebody outside wrote it down, against what the store has. Knows lines; no file.

A reply without a receipt is "maybe": it may be in the store or not, but never twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

VARIABLE = "ACTIVE_LEARNER_HISTORY"
"""Environment variable with the file to which a labeler appends what it says and is told."""

SAID, TOLD = "said", "told"

ACKNOWLEDGED = ("stored", "duplicate", "late", "conflict")
"""Receipts that promise that the answer is kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in the store."""

    id: str
    question: str
    annotator: str
    revision: int
    value: int | None


def said(question: str, action: str, value: int | None) -> str:
    """The line for what a labeler decides."""
    return f"{SAID} {question} {action} {'-' if value is None else value}\n"


def told(status: str, id: str, question: str) -> str:
    """The line for a receipt."""
    return f"{TOLD} {question} {status} {id}\n"


@dataclass(slots=True)
class History:
    """The lines of all lives of all labelers, in the order in which they were written."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """Id of the answer -> its question."""
    decided: dict[str, set[str]] = field(default_factory=dict)
    """Question -> the values that were decided for it ("-": skipped): more than one when a labeler died between."""
    statuses: Counter[str] = field(default_factory=Counter)
    _rest: str = ""

    def read(self, text: str) -> int:
        """Take more of the file, which may end within a line; returns how many receipts it had."""
        *lines, self._rest = (self._rest + text).split("\n")
        return sum(self._take(line.split(" ")) for line in lines)

    def _take(self, words: list[str]) -> bool:
        if len(words) != 4:
            return False
        what, question, which, last = words
        if what == SAID:
            self.decided.setdefault(question, set()).add(last)
            return False
        self.statuses[which] += 1
        if which in ACKNOWLEDGED:
            self.acknowledged[last] = question
        return True

    def violations(self, kept: Iterable[Kept]) -> list[str]:
        """In words: acknowledged answers that are not there, and answers that are there twice or with another value."""
        found = list(kept)
        ids = Counter(one.id for one in found)
        places = Counter((one.question, one.annotator, one.revision) for one in found)
        return [
            *(f"lost: answer {one} to question {q}" for one, q in self.acknowledged.items() if not ids[one]),
            *(f"doubled: answer {one} is in the store {number} times" for one, number in ids.items() if number > 1),
            *(f"doubled: {place} has {number} answers" for place, number in places.items() if number > 1),
            *(f"changed: {one}" for one in found if self._is_other(one)),
        ]

    def _is_other(self, one: Kept) -> bool:
        decided = self.decided.get(one.question)
        return decided is not None and ("-" if one.value is None else str(one.value)) not in decided
