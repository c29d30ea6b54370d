"""A labeler is told everything once or twice: the second time nothing becomes of it, whatever was decided, undone, closed, asked
again, leased and given back in between."""

from __future__ import annotations

from copy import deepcopy
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from active_learner.core.answering import Answering
from active_learner.core.answering_events import (
    Event,
    Keep,
    Kept,
    LeasedArrived,
    NotKept,
    QuestionArrived,
    QuestionGone,
    ReceiptArrived,
    Replied,
    Send,
    Tick,
    TrainerGone,
    TrainerSeen,
    Wanted,
)
from active_learner.simulator.fingerprint import fingerprint
from protocol.messages import Action, Answer, AnswerReceipt, Leased, Question

STATUSES = ("stored", "duplicate", "conflict", "bad_value", "surplus", "late", "storage_full")
QUESTIONS = 4
"""Few, so that much becomes of each."""
STEPS = 60


def question(number: int, annotator: str) -> Question:
    return Question(
        id=f"q{number}", key=f"k{number}", features=np.zeros(1), media="table", classes=3, round=0, strategy="margin",
        score=0.0, rank=number, model_version=0, stale=False, pool=9, annotator=annotator,
    )  # fmt: skip


class Life:
    """What an annotator's labeler is told in it, drawn from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.machine = Answering("ann", keeps=self.random.random() < 0.5, max_unsent=self.random.choice((2, 5, 100)))
        self.at, self.turn, self.replies = 0.0, 0, 0
        self.sent: list[Answer] = []
        self.to_keep: list[Answer] = []

    def message(self) -> Event:
        """Of the trainer."""
        draw = self.random
        name = f"q{draw.randrange(QUESTIONS)}"
        match draw.choice(("asked", "asked", "closed", "leased", "receipt")):
            case "asked":
                return QuestionArrived(question(draw.randrange(QUESTIONS), draw.choice(("", "ann", "ann", "other"))))
            case "leased":
                holds = tuple(f"q{number}" for number in range(QUESTIONS) if draw.random() < 0.6)
                return LeasedArrived(Leased(draw.choice(("ann", "ann", "other")), holds, 600.0, 0, ""), self.at)
            case "receipt" if self.sent:
                answer = draw.choice(self.sent[-6:])
                return ReceiptArrived(AnswerReceipt(answer.id, answer.question, draw.choice(STATUSES), ""), self.at)
        return QuestionGone(name, draw.choice(("answered", "skipped", "timed_out")))

    def other(self) -> Event:
        """Of the person, the disk and the clock."""
        draw = self.random
        name = f"q{draw.randrange(QUESTIONS)}"
        match draw.choice(("reply", "reply", "trainer", "disk", "wanted")):
            case "reply":
                self.replies += 1
                action = draw.choice(list(Action))
                value = 1 if action in (Action.ANSWER, Action.REVISE) else None
                return Replied(name, action, value, f"a{self.replies}", 1e9, self.at, draw.choice((0, self.turn)))
            case "trainer":
                return draw.choice((TrainerSeen, TrainerGone))(self.at)
            case "disk" if self.to_keep:
                kept = self.to_keep.pop(0).id
                return draw.choice((Kept(kept, self.at), NotKept(kept, "the disk is full", self.at)))
            case "wanted":
                return Wanted(draw.choice((0, 3, 3)), self.at, (name,) if draw.random() < 0.3 else ())
        return Tick(self.at)

    def handle(self, event: Event) -> None:
        for command in self.machine.handle(event):
            if isinstance(command, Send):
                self.sent.append(command.answer)
            elif isinstance(command, Keep):
                self.to_keep.append(command.answer)
            self.turn = getattr(command, "turn", self.turn)

    def told_twice(self, event: Event) -> None:
        once, twice = deepcopy(self.machine), deepcopy(self.machine)
        once.handle(event)
        for _ in range(2):
            twice.handle(event)
        assert fingerprint(twice) == fingerprint(once), (event, self.machine.phase)


def live(seed: int) -> None:
    life = Life(seed)
    for _ in range(STEPS):
        life.at += life.random.choice((0.0, 0.1, 1.0, 5.0))
        if life.random.random() < 0.5:
            event = life.message()
            life.told_twice(event)
        else:
            event = life.other()
        life.handle(event)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_message_twice_is_a_message_once(seed: int) -> None:
    live(seed)


def test_the_property_catches_a_close_that_does_not_reach_the_decision_of_an_open_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget(self: Answering, event: QuestionGone) -> list[object]:
        self._open.pop(event.question)
        return []

    monkeypatch.setattr(Answering, "_forget", forget)
    with pytest.raises(AssertionError, match="QuestionGone"):
        any(map(live, range(100)))
