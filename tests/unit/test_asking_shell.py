"""Answers have their turns, and questions are committed before anybody may have them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.asking import AskingMachine
from active_learner.core.asking_events import AskingRules, EvaluatorHere, OpenQuestions
from active_learner.core.pool import Pool
from active_learner.core.records import AskedQuestion, SampleSpec
from active_learner.services import asking_shell
from active_learner.services.asking_shell import AskingShell
from active_learner.services.label_book import LabelBook, Outcome
from active_learner.services.pump import Surroundings
from active_learner.stores.memory import MemoryStore
from active_learner.strategies.base import QueryStrategy
from active_learner.strategies.random_choice import RandomChoice
from protocol.messages import Action, Answer, AnswerReceipt, Candidates, Member, Message, Scores

SPEC = SampleSpec((2,), "float32", 3)


class SlowBook(LabelBook):
    """Records one answer at each `open`."""

    def __init__(self) -> None:
        super().__init__(MemoryStore("memory", Path("run")), "e", SPEC, print)
        self.gate = asyncio.Semaphore(0)
        self.recorded: list[str] = []

    async def record(self, answer: Answer) -> Outcome:
        await self.gate.acquire()
        self.recorded.append(answer.id)
        return Outcome("unknown_question", "", None, False, None)


class Scene:
    """A shell around a slow book, and who got a receipt for what."""

    def __init__(self) -> None:
        self.book, self.receipts, self.tasks = SlowBook(), list[str](), list[asyncio.Future[None]]()
        self._replied = asyncio.Event()
        machine = AskingMachine(AskingRules(4, 1), Pool(4, 3), name="t", at=0.0)
        outside = Surroundings(print, print, self._spawn, print)
        rooms = ("evolution", "user", "control")
        self.shell = AskingShell(machine, SPEC, 0, self.book, {}, rooms, outside=outside, on_round=lambda: None)

    def _spawn(self, work: Awaitable[None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def _reply(self, message: Message) -> None:
        assert isinstance(message, AnswerReceipt)
        self.receipts.append(message.id)
        self._replied.set()

    def says(self, labeler: str, count: int) -> None:
        for number in range(count):
            answer = Answer(f"{labeler}-{number}", "q", labeler, 0, Action.ANSWER, 1, 5.0)
            self.shell.answer_heard(answer, labeler, self._reply)

    async def commits(self, count: int) -> None:
        for _ in range(count):
            self._replied.clear()
            self.book.gate.release()
            await self._replied.wait()


def in_scene(work: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        scene = Scene()
        async with asyncio.timeout(20):
            await work(scene)
        for task in scene.tasks:
            task.cancel()

    asyncio.run(main())


def test_answers_of_one_key_by_whatever_name_are_bounded_and_another_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking_shell, "ANSWERS_EACH", 8)

    async def work(scene: Scene) -> None:
        for name in ("mal", "mal.1", "mal.2"):
            scene.says(name, 8)
        assert scene.shell.counters["answers.deferred"] == 16
        scene.says("ann", 2)
        await scene.commits(4)
        assert scene.receipts == ["mal-0", "ann-0", "mal-1", "ann-1"]
        assert scene.shell.counters["answers.deferred"] == 16

    in_scene(work)


def test_what_is_not_begun_at_a_stop_gets_no_receipt_and_is_counted() -> None:
    async def work(scene: Scene) -> None:
        scene.says("ann", 5)
        await scene.commits(1)
        await asyncio.sleep(0)  # the second is begun
        scene.shell.leave_answers()
        await scene.commits(1)
        await asyncio.gather(*scene.tasks)
        assert scene.book.recorded == scene.receipts == ["ann-0", "ann-1"]
        assert scene.shell.counters["answers.deferred"] == 3
        scene.says("ann", 1)  # the next begins a new turn
        await scene.commits(1)

    in_scene(work)


class GatedBook(LabelBook):
    """Commits questions when `gate` is set."""

    def __init__(self) -> None:
        super().__init__(MemoryStore("memory", Path("run")), "e", SPEC, print)
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        self.asked.set()
        await self.gate.wait()


def test_a_question_is_committed_before_anybody_may_have_it() -> None:
    async def main() -> None:
        book, tasks, opened = GatedBook(), list[asyncio.Future[None]](), asyncio.Event()
        machine = AskingMachine(AskingRules(4, 1, initial_labels=1), Pool(4, 3), name="t", at=0.0)
        outside = Surroundings(print, print, lambda work: tasks.append(asyncio.ensure_future(work)), print)
        strategies: dict[str, QueryStrategy] = {"": RandomChoice(), "random": RandomChoice()}
        rooms = ("evolution", "user", "control")
        shell = AskingShell(machine, SPEC, 0, book, strategies, rooms, outside=outside, on_round=lambda: None)
        shell._does[OpenQuestions] = lambda _: opened.set()
        async with asyncio.timeout(20):
            shell.handle(EvaluatorHere(True, 0.0))
            rows = np.arange(8, dtype=np.float32).reshape(4, 2)
            shell.candidates_heard(Candidates("c", "propose", rows, False), 7, Member(7, "source", "source"))
            shell.scores_heard(Scores("c", 0, np.full((4, 3), 1 / 3, np.float32), np.zeros(4, np.float32), None))
            await book.asked.wait()
            assert not opened.is_set()
            book.gate.set()
            await opened.wait()

    asyncio.run(main())


def test_an_answer_that_is_said_again_while_it_waits_takes_one_turn() -> None:
    machine = AskingMachine(AskingRules(4, 1, initial_labels=1), Pool(4, 3), name="t", at=0.0)
    outside = Surroundings(print, print, lambda work: work.close(), print)  # type: ignore[attr-defined]
    shell = AskingShell(
        machine, SPEC, 0, GatedBook(), {}, ("evolution", "user", "control"), outside=outside, on_round=print
    )
    one, other = (Answer(name, "q", "ann", 0, Action.ANSWER, 1, 5.0) for name in ("a", "b"))
    for answer in (one, one, other, one, other):
        shell.answer_heard(answer, "labeler-1", print)
    assert len(shell._turns) == 2
    assert shell.counters == {"answers.waiting_already": 3}
