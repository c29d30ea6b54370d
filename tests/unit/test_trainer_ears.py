"""From whom a message counts: the sender's role decides, and no message ends the trainer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from active_learner.config.schema import Config
from active_learner.core import training_events
from active_learner.errors import WrongStore
from active_learner.peer import Received
from active_learner.services.trainer_ears import TrainerEars
from protocol.messages import (
    Action,
    Answer,
    Candidates,
    Forward,
    Gradient,
    Member,
    Message,
    Position,
    Promoted,
    SourceEnded,
    Status,
    StepRefused,
)

POSITION = Position(1, "run", "evaluator", 3, 0, (), True, 0, "")


class Shell:
    """A machine's shell that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def handle(self, event: Any) -> None:
        self.told.append(event)

    counters: ClassVar[dict[str, int]] = {"answers.stored": 2}

    def answer_heard(self, *said: Any) -> None:
        self.told.append(said)

    def candidates_heard(self, *said: Any) -> None:
        raise RuntimeError("our own bug")


def ears() -> tuple[TrainerEars, Shell, Shell, list[BaseException]]:
    asking, training, failures = Shell(), Shell(), list[BaseException]()
    board: Any = SimpleNamespace(heard=lambda *_: None, presence=lambda *_: None)
    peer: Any = SimpleNamespace(counters={}, reply=lambda *_: True)
    made = TrainerEars(Config(name="x"), peer, asking, training, board, failures.append)  # type: ignore[arg-type]
    return made, asking, training, failures


def say(one: TrainerEars, message: Message, role: str | None, room: str = "") -> None:
    sender = None if role is None else Member(7, f"{role}-7", role)

    async def in_a_loop() -> None:
        one.heard(Received(message, room, 7, sender))

    asyncio.run(in_a_loop())


@pytest.mark.parametrize(
    ("message", "room"),
    [
        (POSITION, ""),
        (Promoted(1, "evaluator", 1, 3, "0" * 64), ""),
        (StepRefused(1, 3, "", "evaluator", "shape", "no"), ""),
        (Forward(1, 1, Status.TRAIN, "", 1, 0, 0, 1, np.ones((1, 2), np.float32)), "trainoutput"),
        (Gradient(1, 1, None), "traininput"),
    ],
)
@pytest.mark.parametrize("role", ["labeler", "source", "monitor", None])
def test_training_is_told_only_what_its_evaluators_say(message: Message, room: str, role: str | None) -> None:
    one, _, training, _ = ears()
    say(one, message, role, room)
    assert training.told == []
    assert one.counters["wrong_role"] == 1
    say(one, message, "evaluator", room)
    assert len(training.told) == 1


def test_an_evaluator_cannot_speak_for_another() -> None:
    one, _, training, _ = ears()
    say(one, Promoted(1, "somebody else", 1, 3, "0" * 64), "evaluator")
    (event,) = training.told
    assert isinstance(event, training_events.PromotedHeard)
    assert event.role == "evaluator"


def test_only_labelers_answer() -> None:
    one, asking, _, _ = ears()
    answer = Answer("a", "q", "ann", 0, Action.ANSWER, 1, 0.0)
    say(one, answer, "source")
    assert asking.told == []
    say(one, answer, "labeler")
    assert asking.told[0][:2] == (answer, "labeler-7")


def test_what_sources_gave_up_on_is_counted_once_however_often_they_say_it() -> None:
    one, asking, _, _ = ears()
    for source, dropped in (("a", 3), ("a", 5), ("b", 1), ("c", 0)):
        say(one, SourceEnded(source, 10, dropped), "source", "evolution")
    assert one.all_counters() == {"answers.stored": 2, "source_dropped": 6}
    assert len(asking.told) == 4


def test_a_message_that_we_cannot_cope_with_is_counted_and_ends_nothing() -> None:
    one, _, _, failures = ears()
    say(one, Candidates("c", "propose", np.ones((1, 2), np.float32), False), "source", "evolution")
    assert one.counters["unhandled"] == 1
    assert failures == []


def test_checkpoints_of_another_run_end_the_trainer_with_advice() -> None:
    one, _, _, failures = ears()
    say(one, StepRefused(1, 0, "", "evaluator", "wrong_run", "evaluator has checkpoints of run b"), "evaluator")
    (error,) = failures
    assert isinstance(error, WrongStore)
    assert "--new" in str(error)
