"""Runs the asking machine: its commands become messages and commits, their results its next events.

Knows rooms, the strategy and the book; decides nothing (core/asking.py does). What becomes of open questions is not known here
(leasing_shell.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from active_learner.core import asking_events as told
from active_learner.core.asking_base import RANDOM, AskingBase
from active_learner.core.pool import packed
from active_learner.core.records import Features, SampleSpec, canonical, content_key
from active_learner.core.seeds import derived_seed
from active_learner.core.turns import Turns
from active_learner.services.label_book import LabelBook
from active_learner.services.pump import Pump, Surroundings
from active_learner.strategies.base import QueryStrategy
from protocol.messages import (
    Answer,
    AnswerReceipt,
    Candidates,
    Control,
    Member,
    Message,
    Scores,
    Taken,
)

CANDIDATES_LIMIT = 8192
"""In one message. Each is hashed in the loop (about 4 us): more would let training wait."""

ANSWERS_EACH = 128
"""Of one sender, waiting for the store: about what a disk takes in the 0.2 s after which an outbox says them again."""

ANSWERS_WAITING = 1024
"""Of all, under 2 MB; more than that is said again by who keeps them."""


@dataclass(frozen=True, slots=True)
class _Said:
    answer: Answer
    labeler: str
    """The peer that said it."""
    reply: Callable[[Message], object]


class AskingShell:
    """`on_round()` is called when a round is wanted."""

    def __init__(
        self,
        machine: AskingBase,
        spec: SampleSpec,
        seed: int,
        book: LabelBook,
        strategies: dict[str, QueryStrategy],
        rooms: tuple[str, str, str],
        *,
        outside: Surroundings,
        on_round: Callable[[], None],
    ) -> None:
        """`strategies`: "" is the configured one, "random" for the initial labels. `rooms`: evolution, user, control."""
        self.machine = machine
        self._spec, self._seed, self._book, self._strategies = spec, seed, book, strategies
        self._evolution, self._user, self._control = rooms
        self._say, self._note, self._spawn = outside.say, outside.note, outside.spawn
        self._on_round = on_round
        self._pump = Pump(machine, self._do, outside.fail)
        self._tick_is_due = False
        self._names: dict[int, str] = {}
        self._turns = Turns[_Said](ANSWERS_EACH, ANSWERS_WAITING)
        self._waiting: set[tuple[str, Answer]] = set()
        self._is_recording = False
        self.counters: Counter[str] = Counter()
        """Answers by what became of them."""
        self._does: dict[type[Any], Callable[[Any], None]] = {
            told.Select: self._select,
            told.StoreQuestions: self._store_questions,
            told.SendReceipt: self._send_receipt,
            told.Refresh: self._refresh,
            told.WantRound: lambda _: self._on_round(),
            told.SavePool: self._save_pool,
            told.Diversify: self._diversify,
            told.Note: lambda command: self._note(command.level, command.text),
        }

    def handle(self, event: told.Event) -> None:
        """Feed one event and do what it leads to; a Tick follows soon, because decisions are rows of Tick."""
        self._pump.handle(event)
        if not self._tick_is_due and not isinstance(event, told.Tick):
            self._tick_is_due = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _do(self, command: told.Command) -> None:
        self._does[type(command)](command)

    def _tick(self) -> None:
        self._tick_is_due = False
        self.handle(told.Tick(_now()))

    # --- what others say

    def candidates_heard(self, message: Candidates, session: int, sender: Member | None) -> None:
        if sender is not None:
            self._names[session] = sender.name
        places, features, text = _fit_rows(message.features, self._spec)
        keys = tuple(content_key(row) for row in features)
        refused = len(message.features) - len(keys) if message.features.ndim else 1
        among = places if refused else None
        self.handle(told.CandidatesHeard(message.id, session, keys, features, refused, text, _now(), among))

    def forget(self, session: int) -> None:
        """A source left."""
        self._names.pop(session, None)

    def scores_heard(self, message: Scores) -> None:
        self.handle(told.ScoresHeard(message.re, message.model_version, message.probabilities, _now()))

    def answer_heard(self, answer: Answer, labeler: str, reply: Callable[[Message], object]) -> None:
        """Commit, then say so, when it is its sender's turn. One that finds no place is left: without a receipt it is said
        again. `labeler`: the peer that said it; what stands before a dot is its key, so that many names have one turn."""
        if (labeler, answer) in self._waiting:  # a second turn would be spent on the same
            self.counters["answers.waiting_already"] += 1
            return
        self._waiting.add((labeler, answer))
        left = self._turns.add(labeler.partition(".")[0], _Said(answer, labeler, reply))
        if left is not None:
            self._waiting.discard((left.labeler, left.answer))
            self.counters["answers.deferred"] += 1
        if not self._is_recording:
            self._is_recording = True
            self._spawn(self._record_all())

    async def _record_all(self) -> None:
        """One at a time: what else the store has to do (questions, plans) waits for one answer at most."""
        while (said := self._turns.take()) is not None:
            self._waiting.discard((said.labeler, said.answer))
            await self._record(said)
        self._is_recording = False

    async def _record(self, said: _Said) -> None:
        answer = said.answer
        outcome = await self._book.record(answer)
        self.counters[f"answers.{outcome.status}"] += 1
        self.counters["answers.quarantined"] += outcome.kept_aside
        said.reply(AnswerReceipt(answer.id, answer.question, outcome.status, outcome.text))
        if outcome.event is not None:
            stored = (outcome.event, outcome.status, outcome.labeled, outcome.features)
            self.handle(told.AnswerStored(*stored, _now()))

    @property
    def answers_waiting(self) -> int:
        """Those that the store has not begun with."""
        return len(self._turns)

    def leave_answers(self) -> None:
        """Of a stop: what is not begun gets no receipt, and is said to the next trainer."""
        self._waiting.clear()
        self.counters["answers.deferred"] += self._turns.clear()

    # --- commands

    def _select(self, command: told.Select) -> None:
        strategy = self._strategies[command.strategy]
        name = strategy.name if command.strategy != RANDOM else RANDOM
        seed = derived_seed("select", self._seed, len(self.machine.labeled), command.number)

        async def select() -> None:
            choose = lambda: strategy.select(command.view, command.count, np.random.default_rng(seed))  # noqa: E731
            selection = await asyncio.get_running_loop().run_in_executor(None, choose)
            self.handle(told.SelectionMade(command.view, selection, name, _now(), time.time()))

        self._spawn(select())

    def _store_questions(self, command: told.StoreQuestions) -> None:
        async def store() -> None:
            await self._book.commit_questions(command.questions)
            self.handle(told.QuestionsStored(tuple(question.id for question in command.questions), _now()))

        self._spawn(store())

    def _send_receipt(self, command: told.SendReceipt) -> None:
        name = self._names.get(command.session)
        if name is not None:
            message = Taken(command.re, command.new, command.known, command.refused, command.evicted, command.text)
            self._say(f"@{name}", message)

    def _refresh(self, command: told.Refresh) -> None:
        self._say(self._evolution, Candidates(command.id, "refresh", command.features, embeddings=False))

    def _diversify(self, _: told.Diversify) -> None:
        self._say(self._control, Control("source", "diversify"))

    def _save_pool(self, _: told.SavePool) -> None:
        self._spawn(self.save_pool())

    async def save_pool(self) -> None:
        snapshot = self.machine.pool.snapshot()
        packing = asyncio.get_running_loop().run_in_executor(None, packed, snapshot)
        await self._book.save_pool(await packing)


def _fit_rows(features: Features, spec: SampleSpec) -> tuple[tuple[int, ...], Features, str]:
    """Which candidates are samples of the experiment, these in its dtype, and why others are not."""
    if features.shape[1:] != spec.shape:
        text = f"samples are {features.shape[1:]}, the experiment's are {spec.shape}"
        return (), np.empty((0, *spec.shape), spec.dtype), text
    if len(features) > CANDIDATES_LIMIT:
        text = f"{len(features)} candidates in a message, allowed are {CANDIDATES_LIMIT}"
        return (), np.empty((0, *spec.shape), spec.dtype), text
    try:
        return tuple(range(len(features))), canonical(features, spec), ""
    except ValueError:
        return _row_by_row(features, spec)


def _row_by_row(features: Features, spec: SampleSpec) -> tuple[tuple[int, ...], Features, str]:
    rows: dict[int, Features] = {}
    text = ""
    for number, row in enumerate(features):
        try:
            rows[number] = canonical(row, spec)
        except ValueError as error:
            text = text or f"row {number} {error}"
    kept = np.stack(list(rows.values())) if rows else np.empty((0, *spec.shape), spec.dtype)
    return tuple(rows), kept, text


def _now() -> float:
    return asyncio.get_running_loop().time()
