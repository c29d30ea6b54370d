"""What a person has decided and what became of it, in words; for every face at a terminal. Knows no terminal and no keys."""

from __future__ import annotations

from collections import deque

from protocol.messages import AnswerReceipt, Question

HISTORY = 100
"""Decisions that can be changed at a terminal; the labeler knows more (core/decisions.py), a person scrolls no further."""

SAVED = ("stored", "duplicate", "late")
"""Statuses of receipts after which the reply is on the trainer's disk."""

ASIDE = ("surplus", "unknown_question")
"""On the trainer's disk too, but no label."""

DONE = {"skip": "skipped", "undo": "undone", "cannot tell": "noted that you can't tell"}

WORDS = {
    "stored": "saved",
    "duplicate": "saved",
    "late": "saved, though the question had been closed",
    "surplus": "kept aside: the sample had its answers before yours came",
    "conflict": "refused: an earlier reply of yours to this question stays; it is asked again if it is still open",
    "unknown_question": "refused: the trainer does not know this question; it was kept aside",
    "bad_value": "refused: the trainer does not allow this label",
    "storage_full": "not saved yet: the trainer cannot write now (a full disk, a lock); it is sent again until it can",
}


class Decided:
    """Counts replies and receipts. Receipts of one question come in the order of its replies."""

    def __init__(self) -> None:
        self.answered = self.saved = 0
        """Labels, less those undone."""
        self._waiting: dict[str, deque[tuple[str, int]]] = {}

    @property
    def unsaved(self) -> int:
        """Replies that have no receipt yet."""
        return sum(len(replies) for replies in self._waiting.values())

    def note(self, question: str, what: str, labels: int) -> None:
        """A reply to `question`: `what` it says, and by how many `labels` there are more now."""
        self._waiting.setdefault(question, deque()).append((what, labels))
        self.answered += labels

    def awaits(self, question: str) -> bool:
        """One of its replies has no receipt yet."""
        return question in self._waiting

    def receipt(self, receipt: AnswerReceipt) -> str:
        """What became of the first reply that waits for it, as a sentence; "saved" is said here and nowhere else."""
        replies = self._waiting.get(receipt.question) or deque([("an answer", 0)])
        what, labels = replies[0]
        if receipt.status != "storage_full":
            replies.popleft()
        if not replies:
            self._waiting.pop(receipt.question, None)
        if receipt.status in SAVED:
            self.saved += labels
        words = WORDS.get(receipt.status, receipt.status)
        told = DONE[what] if words == "saved" and what in DONE else f"{words}: {what}"
        return f"{told} ({receipt.text})" if receipt.text else told


def why_asked(question: Question) -> str:
    """The reason on one line."""
    stale = " of an older model" if question.stale else ""
    return f"round {question.round}, number {question.rank}, by {question.strategy}, score {question.score:.3g}{stale}"
