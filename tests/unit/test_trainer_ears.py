"""From whom a message counts: the sender's role decides, and no message ends the trainer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from active_learner.config.schema import Config
from active_learner.core import training_events
from active_learner.errors import WrongStore
from active_learner.peer import Received
from active_learner.services.dead_letters import LIMIT, DeadLetters
from active_learner.services.trainer_ears import TrainerEars
from protocol.codec import encode
from protocol.limits import MAX_TEXT_BYTES
from protocol.messages import (
    Action,
    Answer,
    Candidates,
    Forward,
    Gradient,
    LogLine,
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


def ears(dead_letters: DeadLetters | None = None) -> tuple[TrainerEars, Shell, Shell, list[BaseException]]:
    asking, training, failures = Shell(), Shell(), list[BaseException]()
    board: Any = SimpleNamespace(heard=lambda *_: None, presence=lambda *_: None)
    peer: Any = SimpleNamespace(counters={}, reply=lambda *_: True)
    made = TrainerEars(Config(name="x"), peer, asking, training, board, failures.append, dead_letters)  # type: ignore[arg-type]
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


def test_row_28_a_refused_term_is_told_to_the_machine_and_not_as_a_refused_step() -> None:
    one, _, training, failures = ears()
    say(
        one,
        StepRefused(3, 0, "", "evaluator", "stale_term", "term 3 is over: this evaluator serves term 7"),
        "evaluator",
    )
    (event,) = training.told
    assert (event.role, event.term, event.text) == ("evaluator", 3, "term 3 is over: this evaluator serves term 7")
    assert isinstance(event, training_events.Replaced)
    assert failures == []


@pytest.mark.parametrize("ticket", ["", "c1"])
def test_the_longest_refusal_leaves_room_for_what_the_trainer_says_around_it(ticket: str) -> None:
    """A log line or a status that no message holds would end the trainer, by the word of another."""
    one, asking, training, _ = ears()
    say(one, StepRefused(int(not ticket), 3, ticket, "evaluator", "failed", "x" * MAX_TEXT_BYTES), "evaluator")
    (event,) = asking.told if ticket else training.told
    encode(LogLine(1, "error", f"training is halted: step 3: evaluator: {event.text}"))


def poison(number: int = 1) -> Candidates:
    return Candidates(f"c{number}", "propose", np.full((1, 2), number, np.float32), False)


def test_row_49_a_message_that_a_handler_failed_of_twice_is_not_heard_a_third_time_nor_by_the_next_process(
    tmp_path: Path,
) -> None:
    def process() -> TrainerEars:
        letters = DeadLetters(tmp_path / "dead_letters.json")
        letters.open()
        return ears(letters)[0]

    first = process()
    say(first, poison(), "source", "evolution")
    assert first.counters == {"unhandled": 1}
    second = process()
    for _ in range(3):
        say(second, poison(), "source", "evolution")
    assert second.counters == {"unhandled": 1, "dead_letters": 2}
    third = process()
    say(third, poison(), "source", "evolution")
    say(third, poison(2), "source", "evolution")
    assert third.counters == {"dead_letters": 1, "unhandled": 1}
    (known, other) = json.loads((tmp_path / "dead_letters.json").read_text()).values()
    assert known == {"times": 2, "kind": "Candidates", "sender": "source-7", "error": "RuntimeError: our own bug"}
    assert other["times"] == 1


def test_row_49_what_ends_the_process_is_blamed_on_the_message_that_was_heard(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "dead_letters.json")
    one, asking, _, _ = ears(letters)
    answer = Answer("a", "q", "ann", 0, Action.ANSWER, 1, 0.0)

    def fails(*_: Any) -> None:
        one.blame(KeyError("as the pump does"))

    asking.answer_heard = fails  # type: ignore[method-assign]
    one.blame(KeyError("nobody spoke"))
    assert not (tmp_path / "dead_letters.json").exists()
    for _ in range(3):
        say(one, answer, "labeler")
    assert letters.is_dead(answer)
    assert one.counters == {"dead_letters": 1}


def test_row_49_what_is_told_to_a_person_is_no_messages_fault(tmp_path: Path) -> None:
    one, _, _, failures = ears(DeadLetters(tmp_path / "dead_letters.json"))
    refusal = StepRefused(1, 0, "", "evaluator", "wrong_run", "evaluator has checkpoints of run b")
    for _ in range(3):
        say(one, refusal, "evaluator")
        one.blame(failures[-1])
    assert one.counters == {}
    assert not (tmp_path / "dead_letters.json").exists()


def test_the_oldest_dead_letters_are_forgotten_and_a_file_that_is_none_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "dead_letters.json"
    file.write_text("{torn")
    letters = DeadLetters(file)
    letters.open()
    for number in range(LIMIT + 5):
        letters.blame(poison(number), "s", ValueError("x"))
        letters.blame(poison(number), "s", ValueError("x"))
    again = DeadLetters(file)
    again.open()
    assert not again.is_dead(poison(4))
    assert again.is_dead(poison(5))
