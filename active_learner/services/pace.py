"""How fast each annotator of this process labels. Knows words and their receipts; a label counts when it is stored."""

from __future__ import annotations

from collections import OrderedDict, deque

from active_learner.web.forms import Form
from protocol.messages import Action, Answer, AnswerReceipt

MINUTE_S = 60.0
MINUTES = 20
"""That many are shown."""

UNDER_WAY = 4096
"""Answers whose receipt may still come; of older ones the label is not counted."""


class Pace:
    def __init__(self) -> None:
        self._under_way: OrderedDict[str, str] = OrderedDict()
        self._stored: dict[str, deque[float]] = {}

    def said(self, answer: Answer) -> None:
        """It was sent, the first time or again."""
        if answer.action is Action.ANSWER:
            self._under_way[answer.id] = answer.annotator
            while len(self._under_way) > UNDER_WAY:
                self._under_way.popitem(last=False)

    def received(self, receipt: AnswerReceipt, at: float) -> None:
        annotator = self._under_way.pop(receipt.id, None)
        if annotator is not None and receipt.status == "stored":
            self._stored.setdefault(annotator, deque()).append(at)

    def form(self, at: float) -> list[Form]:
        """Who has labeled lately, by name: labels of the last minute, and of each of the last minutes, oldest first."""
        found = []
        for annotator, times in sorted(self._stored.items()):
            while times and times[0] <= at - MINUTES * MINUTE_S:
                times.popleft()
            if times:
                minutes = _by_minute(times, at)
                found.append({"annotator": annotator, "rate": float(minutes[-1]), "minutes": minutes})
        return found


def _by_minute(times: deque[float], at: float) -> list[int]:
    """Back to the first of them."""
    ages = [int((at - one) // MINUTE_S) for one in times]
    return [ages.count(age) for age in range(ages[0], -1, -1)]
