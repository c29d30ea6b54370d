"""The trainer's process: store, machines, loss and strategy around one peer. Knows who says what where; decides nothing."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from active_learner.config.schema import Config
from active_learner.core import asking_events, training_events
from active_learner.core.asking import AskingMachine
from active_learner.core.asking_events import AskingRules
from active_learner.core.pool import Pool
from active_learner.core.records import RoundResult, SampleSpec
from active_learner.core.training import TrainingMachine
from active_learner.errors import StoreError
from active_learner.losses.base import Loss
from active_learner.peer import Peer, Received
from active_learner.services.asking_shell import AskingShell
from active_learner.services.goals import Goals, result_line
from active_learner.services.label_book import History, LabelBook
from active_learner.services.pump import Surroundings
from active_learner.services.run_files import RunFiles
from active_learner.services.shell import Service, meet
from active_learner.services.status_board import StatusBoard
from active_learner.services.training_shell import TrainingSettings, TrainingShell
from active_learner.stores.base import Store
from active_learner.strategies.base import QueryStrategy
from protocol.messages import (
    Answer,
    Candidates,
    Forward,
    Gradient,
    LogLine,
    Member,
    Message,
    Position,
    Promoted,
    Scores,
    SourceEnded,
    Status,
    StatusRequest,
    StepRefused,
)

LOG = logging.getLogger(__name__)

TICK_S = 0.1
"""Deadlines are noticed that much late at most."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TrainerParts:
    """What the command picked for the trainer by name."""

    config: Config
    spec: SampleSpec
    store: Store
    loss: Loss
    strategies: dict[str, QueryStrategy]
    held_out: tuple[Array, Array] | None
    run_dir: Path
    goals: Goals
    write_report: Callable[[list[Any], list[Any]], object]


class Trainer(Service):
    """`active-learner serve`."""

    def __init__(self, parts: TrainerParts, peer: Peer) -> None:
        super().__init__()
        self._parts, self._peer = parts, peer
        self._book = LabelBook(parts.store, parts.config.name, parts.spec)
        labels = None if parts.held_out is None else parts.held_out[1]
        name = parts.strategies[""].name
        self._files = RunFiles(parts.run_dir, self._book, name, labels, parts.write_report)
        self._tasks: set[asyncio.Future[None]] = set()
        self._results: list[RoundResult] = []
        self._log_number = 0
        self._reported_at = 0.0
        self._ticker: asyncio.TimerHandle | None = None
        self._is_open = False

    # --- start and stop

    async def start(self) -> str:
        history = await self._book.open()
        self._is_open = True
        self._results = [result for _, result in history.plans if result is not None]
        self._build(history)
        self._listen()
        await meet(self._peer)
        for room in dict.fromkeys(self._parts.config.rooms.model_dump().values()):
            await self._peer.join(room)
        self._presence_again(True)
        resumed = f", resumed at {len(history.labeled)} labels" if history.labeled or history.plans else ""
        self._begin(history)
        return f"trainer of {self._parts.config.name}, run {history.run[:8]}{resumed}"

    def _begin(self, history: History) -> None:
        why = self._parts.goals.reached(self._results)
        if why is not None and (not history.plans or history.plans[-1][1] is not None):
            self._end(f"nothing to do: {why}")
            return
        if history.untrained and not history.open_questions and self._asking.machine.phase == "holding":
            self._want_round()
        self._tick()

    def _build(self, history: History) -> None:
        parts, config, trainer = self._parts, self._parts.config, self._parts.config.trainer
        pool = Pool(trainer.pool_capacity or 10 * trainer.pool_size, parts.spec.classes)
        self._restore_pool(pool, history)
        training = TrainingMachine(
            term=history.term,
            roles=trainer.stages,
            width=parts.loss.width(parts.spec.classes),
            fused=trainer.fused,
            resend_s=trainer.resend_s,
            validate_every=config.validation.every,
            history=history.plans,
        )
        unfinished = bool(history.plans) and history.plans[-1][1] is None
        asking = AskingMachine(
            _rules(config, parts.goals),
            pool,
            name=f"{history.run[:8]}-{history.term}",
            at=_now(),
            labeled=history.labeled,
            open_questions=history.open_questions,
            skipped=history.skipped,
            round=history.plans[-1][0].round if history.plans else 0,
            model_version=history.plans[-1][0].last_step if history.plans else 0,
            holding=unfinished or (history.untrained and not history.open_questions),
        )
        self._board = StatusBoard(history.run, asking, training)
        self._board.last = self._results[-1] if self._results else None
        self._connect(history, asking, training)

    def _connect(self, history: History, asking: AskingMachine, training: TrainingMachine) -> None:
        parts, config = self._parts, self._parts.config
        rooms = config.rooms
        outside = Surroundings(self._peer.send, self._note, self._spawn, self.fail)
        settings = TrainingSettings(
            run=history.run,
            seed=config.seed,
            epochs=config.trainer.epochs,
            batch_size=config.trainer.batch_size,
            loss=config.trainer.loss,
            output=config.evaluator.output,
            traininput=rooms.traininput,
            trainoutput=rooms.trainoutput,
        )
        self._training = TrainingShell(
            training,
            settings,
            self._book,
            parts.loss,
            parts.held_out,
            outside=outside,
            on_ready=self._model_ready,
            on_result=self._keep_result,
        )
        self._asking = AskingShell(
            asking,
            parts.spec,
            config.seed,
            self._book,
            parts.strategies,
            (rooms.evolution, rooms.user, rooms.control),
            outside=outside,
            on_round=self._want_round,
        )

    def _restore_pool(self, pool: Pool, history: History) -> None:
        known = {*history.labeled, *(question.key for question in history.open_questions)}
        if history.pool is None:
            return
        try:
            pool.restore(history.pool, without=known)
        except (ValueError, KeyError, OSError) as error:
            self._note("warning", f"the kept pool cannot be read and is left: {error}")

    async def stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if not self._is_open:
            await self._peer.close()
            return
        await self._peer.close("stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        if hasattr(self, "_asking"):
            await self._book.save_pool(self._asking.machine.pool.dump())
            problem = await self._files.report()
            if problem is not None:
                self._note("warning", f"no report: {problem}")
        await self._book.close()

    # --- what is heard

    def _listen(self) -> None:
        self._hears: dict[type[Message], Callable[[Any, Received], None]] = {
            Forward: self._forward_heard,
            Gradient: self._gradient_heard,
            Position: self._position_heard,
            Promoted: self._promoted_heard,
            StepRefused: self._refusal_heard,
            Candidates: lambda message, received: self._candidates_heard(message, received),
            Scores: lambda message, _: self._asking.scores_heard(message),
            SourceEnded: self._source_ended,
            Answer: self._answer_heard,
            StatusRequest: self._status_asked,
        }
        self._peer.on_message = self._heard
        self._peer.on_presence = self._presence
        self._peer.on_session = self._presence_again

    def _heard(self, received: Received) -> None:
        self._board.heard(received.sender, _now())
        hear = self._hears.get(type(received.message))
        if hear is not None:
            hear(received.message, received)

    def _forward_heard(self, message: Forward, received: Received) -> None:
        if received.room != self._parts.config.rooms.trainoutput:
            return
        if message.status is Status.VALIDATE:
            self._training.validation_heard(message.ticket, message.data, _now())
        elif message.status is Status.TRAIN:
            self._training.handle(training_events.PredictionHeard(message.term, message.step, message.data, _now()))

    def _gradient_heard(self, message: Gradient, received: Received) -> None:
        if received.room == self._parts.config.rooms.traininput:
            self._training.handle(training_events.AppliedHeard(message.term, message.step, _now()))

    def _position_heard(self, message: Position, _: Received) -> None:
        self._training.handle(
            training_events.PositionHeard(
                message.role,
                message.term,
                message.applied,
                message.model_version,
                message.restorable,
                message.fused,
                message.width,
                message.why,
                _now(),
            )
        )

    def _promoted_heard(self, message: Promoted, _: Received) -> None:
        self._training.handle(
            training_events.PromotedHeard(message.role, message.term, message.step, message.digest, _now())
        )

    def _refusal_heard(self, message: StepRefused, _: Received) -> None:
        if message.ticket and message.term == 0:  # of candidates, not of a step
            text = f"{message.role}: {message.text}"
            self._asking.handle(asking_events.ScoresRefused(message.ticket, text, _now()))
            return
        text = f"{message.text} ({message.code})"
        self._training.handle(training_events.Refusal(message.role, message.term, message.step, text, _now()))

    def _candidates_heard(self, message: Candidates, received: Received) -> None:
        if message.purpose == "propose":
            self._asking.candidates_heard(message, received.session, received.sender)

    def _source_ended(self, _: SourceEnded, received: Received) -> None:
        self._asking.handle(asking_events.SourceGone(received.session, True, _now()))

    def _answer_heard(self, message: Answer, received: Received) -> None:
        self._asking.answer_heard(message, lambda receipt: self._peer.reply(received, receipt))

    def _status_asked(self, message: StatusRequest, received: Received) -> None:
        self._peer.reply(received, self._board.report(message.id, _now(), self._peer.counters))

    # --- who is here

    def _presence_again(self, connected: bool) -> None:
        """After the first join, and when a restarted broker knows us again."""
        if not connected:
            self._note("warning", "the broker is lost: waiting for it")
            return
        for room in dict.fromkeys(self._parts.config.rooms.model_dump().values()):
            for role in {*self._parts.config.trainer.stages, "source", "labeler"}:
                for member in self._peer.present(room, role):
                    self._presence(room, member, True, "there already")

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        at, rooms = _now(), self._parts.config.rooms
        if here:
            self._board.heard(member, at)
        elif room == rooms.control:
            self._board.left(member.session)
        if member.role in self._parts.config.trainer.stages:
            self._evaluator_presence(room, member, here, at)
        elif member.role == "source" and room == rooms.evolution:
            event = asking_events.SourceHere if here else _source_gone
            self._asking.handle(event(member.session, at))
        elif member.role == "labeler" and room == rooms.user:
            self._asking.handle(asking_events.LabelerHere(member.name, here, at))

    def _evaluator_presence(self, room: str, member: Member, here: bool, at: float) -> None:
        rooms = self._parts.config.rooms
        if room == rooms.traininput:
            joined = training_events.StageJoined if here else training_events.StageLeft
            self._training.handle(joined(member.role, at))
        elif room == rooms.evolution:
            self._asking.handle(asking_events.EvaluatorHere(here, at))

    # --- between the machines

    def _want_round(self) -> None:
        self._training.handle(training_events.RoundWanted(_now()))

    def _model_ready(self, command: training_events.ModelReady | training_events.RoundEnded) -> None:
        if isinstance(command, training_events.ModelReady):
            self._asking.handle(asking_events.ModelStands(command.model_version, _now()))
            return
        why = self._parts.goals.reached(self._results)
        if why is not None:
            self._end(why)
            return
        self._asking.handle(asking_events.RoundOver(command.round, command.model_version, _now()))

    async def _keep_result(self, result: RoundResult, predictions: Array | None) -> None:
        await self._files.keep(result, predictions, self._asking.machine.pool)
        self._results.append(result)
        self._board.last = result
        accuracy = "" if result.accuracy is None else f", accuracy {result.accuracy:.4f}"
        steps = f"{result.extra['steps']} steps in {result.seconds:.1f} s"
        self._note("info", f"round {result.round}: {result.labels} labels, {steps}{accuracy}")

    # --- small things

    def _end(self, why: str) -> None:
        sys.stdout.write(result_line(self._results, why) + "\n")
        sys.stdout.flush()
        self.finish(0)

    def _tick(self) -> None:
        at = _now()
        self._training.handle(training_events.Tick(at))
        self._asking.handle(asking_events.Tick(at))
        if at >= self._reported_at + self._parts.config.trainer.status_interval_s and self._board.changed():
            self._reported_at = at
            self._peer.send(self._parts.config.rooms.control, self._board.report("", at, self._peer.counters))
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _note(self, level: str, text: str) -> None:
        self._log_number += 1
        LOG.log(logging.getLevelNamesMapping()[level.upper()], text)
        if self._peer.connected:
            self._peer.send(self._parts.config.rooms.control, LogLine(self._log_number, level, text))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreError):
            self._note("error", f"the store refused: {error}")
        if error is not None:
            self.fail(error)


def _rules(config: Config, goals: Goals) -> AskingRules:
    trainer = config.trainer
    return AskingRules(
        pool_size=trainer.pool_size,
        query_size=trainer.query_size,
        initial_labels=trainer.initial_labels,
        clear_pool=trainer.pool_after_round == "clear",
        label_timeout_s=trainer.label_timeout_s,
        skip_cooldown_s=trainer.skip_cooldown_s,
        source_timeout_s=trainer.source_timeout_s,
        refresh_timeout_s=trainer.refresh_timeout_s,
        label_budget=goals.labels,
    )


def _source_gone(session: int, at: float) -> asking_events.SourceGone:
    return asking_events.SourceGone(session, False, at)


def _now() -> float:
    return asyncio.get_running_loop().time()
