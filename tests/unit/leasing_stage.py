"""A trainer's asking side without a broker: the shell, both machines, a real store; the test is the labelers, the source, the
evaluator and the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.config.schema import Config
from active_learner.core import asking_events as a
from active_learner.core.pool import Pool
from active_learner.core.records import SampleSpec
from active_learner.services import asking_shell, leasing_shell
from active_learner.services.asking_machines import asking_machine, enough, leasing_machine
from active_learner.services.goals import Goals
from active_learner.services.label_book import History, LabelBook
from active_learner.services.leasing_shell import LeasingShell
from active_learner.services.pump import Surroundings
from active_learner.stores import open_store
from active_learner.strategies.base import QueryStrategy
from active_learner.strategies.random_choice import RandomChoice
from active_learner.strategies.uncertainty import LeastConfidence
from protocol.messages import (
    Action,
    Answer,
    AnswerReceipt,
    Candidates,
    Lease,
    Leased,
    Member,
    Message,
    Question,
    QuestionClosed,
    Scores,
)

SPEC = SampleSpec((1,), "float32", 3)
LEASE_S = 10.0
STRATEGIES: dict[str, QueryStrategy] = {"": LeastConfidence(), "random": RandomChoice()}


def config(when: str = "batch", **trainer: Any) -> Config:
    rules = {"pool_size": 4, "query_size": 2, "queue_size": 3, "round_labels": 2, "lease_s": LEASE_S}
    return Config.model_validate({"name": "x", "trainer": {**rules, "round_when": when, **trainer}})


class Labeler:
    """What one peer knows by what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.questions: dict[tuple[str, str], Question] = {}
        """By annotator and id."""
        self.leased: list[Leased] = []

    def hear(self, message: Message) -> None:
        match message:
            case Question():
                self.questions[message.annotator, message.id] = message
            case Leased():
                self.leased.append(message)
                kept = {(message.annotator, one) for one in message.holds}
                self.questions = {
                    place: one
                    for place, one in self.questions.items()
                    if place[0] != message.annotator or place in kept
                }

    def closed(self, id: str) -> None:
        self.questions = {place: one for place, one in self.questions.items() if place[1] != id}

    def open(self, annotator: str) -> list[Question]:
        return [question for (who, _), question in self.questions.items() if who == annotator]


class Stage:
    """`at` is what the shell takes for the time."""

    def __init__(self, config: Config, folder: Path, url: str, patch: pytest.MonkeyPatch) -> None:
        self.config, self.folder, self.url = config, folder, url
        self.at = 0.0
        self.labelers: dict[str, Labeler] = {}
        self.closed: list[QuestionClosed] = []
        self.rounds, self.wanted = 0, 0
        self._tasks: set[asyncio.Future[None]] = set()
        self._proposals = self._answers = self._starts = 0
        self.failed: list[BaseException] = []
        for module in (asking_shell, leasing_shell):
            patch.setattr(module, "_now", lambda: self.at)

    # --- the trainer

    async def start(self) -> History:
        self._starts += 1
        self.book = LabelBook(open_store(self.url, self.folder), "x", SPEC, lambda *_: None, enough=enough(self.config))
        history = await self.book.open()
        pool = Pool(40, SPEC.classes)
        machine = asking_machine(self.config, Goals(), pool, history, f"t{self._starts}", self.at)
        outside = Surroundings(self._say, lambda *_: None, self._spawn, self.failed.append)
        self.shell = LeasingShell(
            machine,
            SPEC,
            0,
            self.book,
            STRATEGIES,
            ("evolution", "user", "control"),
            outside=outside,
            on_round=self._want_round,
            leasing=leasing_machine(self.config, history),
        )
        self.shell.handle(a.EvaluatorHere(True, self.at))
        for name in self.labelers:
            self.shell.handle(a.LabelerHere(name, True, self.at))
        await self.passes(0.0)
        return history

    async def restart(self) -> History:
        await self.stop()
        return await self.start()

    async def stop(self) -> None:
        await self.settled()
        await self.book.close()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """All is done that was begun."""
        await asyncio.sleep(0)
        while self._tasks:
            await asyncio.gather(*self._tasks)
            await asyncio.sleep(0)
        assert not self.failed, self.failed

    async def passes(self, seconds: float) -> None:
        self.at += seconds
        self.shell.look_at_clock(self.at)
        await self.settled()

    def _want_round(self) -> None:
        self.wanted += 1

    async def train(self) -> None:
        """The round that is wanted, at once."""
        self.rounds += 1
        self.shell.handle(a.RoundPlanned(self.at))
        self.shell.handle(a.RoundOver(self.rounds, self.rounds * 10, self.at))
        self.wanted = 0
        await self.settled()

    # --- who talks with it

    def _say(self, room: str, message: Message) -> None:
        match message:
            case Candidates(purpose="refresh"):
                self._score(message.id, message.features)
            case QuestionClosed():
                assert room == "user"
                self.closed.append(message)
                for labeler in self.labelers.values():
                    labeler.closed(message.id)
            case Question() | Leased():
                self.labelers[room.removeprefix("@")].hear(message)

    def _score(self, re: str, features: Any) -> None:
        self._spawn(self._scored(re, features))

    async def _scored(self, re: str, features: Any) -> None:
        certain = [0.4 + float(row[0]) / 200 for row in features]
        rows = np.array([[p, (1 - p) / 2, (1 - p) / 2] for p in certain], np.float32)
        version = self.shell.machine.model_version
        self.shell.scores_heard(Scores(re, version, rows, np.zeros(len(rows), np.float32), None))

    async def propose(self, *numbers: int) -> None:
        self._proposals += 1
        rows = np.array([[number] for number in numbers], np.float32)
        name = f"c{self._starts}-{self._proposals}"
        self.shell.candidates_heard(Candidates(name, "propose", rows, False), 7, Member(7, "source", "source"))
        await self._scored(name, rows)
        await self.passes(0.0)

    async def lease(
        self,
        annotator: str,
        wants: int = 3,
        *,
        peer: str = "",
        holds: tuple[str, ...] | None = None,
        gives: tuple[str, ...] = (),
    ) -> Leased:
        """Renewed are the questions that it has."""
        name = peer or f"peer-{annotator}"
        if name not in self.labelers:
            self.labelers[name] = Labeler(name)
            self.shell.handle(a.LabelerHere(name, True, self.at))
        has = tuple(one.id for one in self.labelers[name].open(annotator)) if wants > 0 else ()
        kept = holds if holds is not None else tuple(one for one in has if one not in gives)
        self.shell.lease_heard(Lease(annotator, wants, kept, gives), name, 7)
        await self.settled()
        return self.labelers[name].leased[-1]

    def has(self, annotator: str, peer: str = "") -> list[Question]:
        name = peer or f"peer-{annotator}"
        return self.labelers[name].open(annotator) if name in self.labelers else []

    async def says(self, annotator: str, question: str, value: int | None, action: str = "answer") -> str:
        """The status of the receipt."""
        self._answers += 1
        answer = Answer(f"a{self._answers}", question, annotator, self._answers, Action(action), value, 5.0)
        receipts: list[AnswerReceipt] = []
        name = f"peer-{annotator}"
        if name in self.labelers:
            self.labelers[name].questions.pop((annotator, question), None)
        self.shell.answer_heard(answer, name, receipts.append)  # type: ignore[arg-type]
        await self.settled()
        return receipts[0].status
