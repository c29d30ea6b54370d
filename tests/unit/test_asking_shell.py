"""What the asking shell says of the machine's questions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from active_learner.core.asking import AskingMachine
from active_learner.core.asking_events import AskingRules, LabelerHere
from active_learner.core.pool import Pool
from active_learner.core.records import AskedQuestion, SampleSpec
from active_learner.services.asking_shell import AskingShell
from active_learner.services.label_book import LabelBook
from active_learner.services.pump import Surroundings
from active_learner.stores.memory import MemoryStore
from protocol.messages import Message, Question

SPEC = SampleSpec((2,), "float32", 3)


def asked(model_version: int) -> AskedQuestion:
    features = np.array([1.0, 2.0], np.float32)
    return AskedQuestion("q", "k", features, 1, "random", 0.0, 1, model_version, True, 5, 1000.0)


def told_to_a_labeler(question: AskedQuestion) -> list[tuple[str, Message]]:
    said: list[tuple[str, Message]] = []

    def fail(error: BaseException) -> None:
        raise error

    async def come() -> None:
        machine = AskingMachine(AskingRules(4, 1), Pool(4, 3), name="t", at=0.0, open_questions=[question])
        outside = Surroundings(lambda room, message: said.append((room, message)), print, print, fail)
        book = LabelBook(MemoryStore("memory", Path("run")), "e", SPEC, print)
        rooms = ("evolution", "user", "control")
        shell = AskingShell(machine, SPEC, 0, book, {}, rooms, outside=outside, on_round=lambda: None)
        shell.handle(LabelerHere("ann", True, 0.0))

    asyncio.run(come())
    return said


def test_a_question_that_no_model_scored_says_so_on_the_wire() -> None:
    for version in (-1, 0, 7):
        room, question = told_to_a_labeler(asked(version))[0]
        assert isinstance(question, Question)
        assert (room, question.model_version) == ("@ann", version)
