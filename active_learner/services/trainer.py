"""The trainer's process: store, machines, loss and strategy around one peer. Knows who says what where; decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from active_learner.config.schema import Config
from active_learner.core import asking_events, training_events
from active_learner.core.asking_base import AskingBase
from active_learner.core.leasing import Leasing
from active_learner.core.measures import Reading, gauge
from active_learner.core.pool import Pool
from active_learner.core.promotion import Gate
from active_learner.core.records import RoundResult, SampleSpec
from active_learner.core.training import TrainingMachine
from active_learner.losses.base import Loss
from active_learner.peer import Peer
from active_learner.services.asking_machines import asking_machine, enough, leasing_machine
from active_learner.services.dead_letters import FILE as DEAD_LETTERS
from active_learner.services.dead_letters import DeadLetters
from active_learner.services.goals import Goals, result_line
from active_learner.services.label_book import History, LabelBook
from active_learner.services.leasing_shell import LeasingShell
from active_learner.services.pump import Surroundings
from active_learner.services.rounds_told import RoundsTold
from active_learner.services.run_files import RunFiles
from active_learner.services.shell import Service, jitter, meet
from active_learner.services.status_board import StatusBoard
from active_learner.services.trainer_ears import TrainerEars
from active_learner.services.training_shell import TrainingSettings, TrainingShell
from active_learner.services.webhooks import Hook, Webhooks
from active_learner.stores.base import Store
from active_learner.strategies.base import QueryStrategy
from protocol.messages import Control, LogLine

LOG = logging.getLogger(__name__)

TICK_S = 0.1
"""Deadlines are noticed that much late at most."""

DRAIN_S = 1.0
"""For commits that are under way at a stop, which has 2.5 s in all."""

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
    settle: Callable[[], None]
    """Called once the store and the role are this trainer's, and not before: a second one that is refused changes nothing."""
    load_loss: Callable[[str], Loss] | None = None
    """By the name in a plan, which may be another than the configuration's is now; None: every round has `loss`."""
    hook: Hook | None = None
    """Whom a webhook tells; None: nobody."""
    accept_rollback: bool = False
    """Go on with labels and plans that are older than what had been committed, or than what the evaluators know."""


class Trainer(Service):
    """`active-learner serve`."""

    def __init__(self, parts: TrainerParts, peer: Peer) -> None:
        super().__init__()
        self._parts, self._peer = parts, peer
        self._book = LabelBook(
            parts.store,
            parts.config.name,
            parts.spec,
            self._note,
            enough=enough(parts.config),
            accept_rollback=parts.accept_rollback,
            on_lost=self.fail,
        )
        labels = None if parts.held_out is None else parts.held_out[1]
        name = parts.strategies[""].name
        self._files = RunFiles(parts.run_dir, self._book, name, labels, parts.write_report)
        self._tasks: set[asyncio.Future[None]] = set()
        self._results: list[RoundResult] = []
        self._log_number = 0
        self._reported_at = 0.0
        self._ticker: asyncio.TimerHandle | None = None
        self._is_open = self._is_built = self._is_settled = False
        self._webhooks: Webhooks | None = None

    # --- start and stop

    async def start(self) -> str:
        history = await self._book.open()
        self._is_open = True
        self._results = [result for _, result in history.plans if result is not None]
        self._build(history)
        self._is_built = True
        self._peer.on_message = self._ears.heard
        self._peer.on_presence = self._ears.presence
        self._peer.on_session = self._session
        await meet(self._peer)
        self._parts.settle()
        self._is_settled = True
        self._open_webhooks(history)
        for room in dict.fromkeys(self._parts.config.rooms.model_dump().values()):
            await self._peer.join(room)
        self._ears.all_again()
        resumed = f", resumed at {len(history.labeled)} labels" if history.labeled or history.plans else ""
        self._begin(history)
        return f"trainer of {self._parts.config.name}, run {history.run[:8]}{resumed}"

    def _open_webhooks(self, history: History) -> None:
        if self._parts.hook is not None:
            about = {"experiment": self._parts.config.name, "run": history.run}
            self._webhooks = self._book.listener = Webhooks(self._parts.hook, about, self._note)
            self._ears.also = self._webhooks.counters
            self._webhooks.start()

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
            gate=Gate(trainer.promotion_margin) if trainer.promotion == "gated" else None,
            accept_rollback=parts.accept_rollback,
            jitter=jitter,
        )
        asking = asking_machine(config, parts.goals, pool, history, self._name(history), _now())
        leasing = leasing_machine(config, history)
        self._board = StatusBoard(history.run, asking, leasing, training)
        for result in self._results:
            self._board.ended(result)
        self._connect(history, asking, leasing, training)

    def _name(self, history: History) -> str:
        """Before the numbers of questions. Behind an older store there may be open answers to questions of the same term."""
        fresh = f"-{os.urandom(4).hex()}" if self._parts.accept_rollback else ""
        return f"{history.run[:8]}-{history.term}{fresh}"

    def _connect(self, history: History, asking: AskingBase, leasing: Leasing, training: TrainingMachine) -> None:
        parts, config = self._parts, self._parts.config
        rooms = config.rooms
        outside = Surroundings(self._peer.send, self._note, self._spawn, self.fail)
        self._training = TrainingShell(
            training,
            self._settings(history.run),
            self._book,
            parts.load_loss or (lambda _: parts.loss),
            parts.held_out,
            outside=outside,
            on_plan=self._round_planned,
            on_ready=self._model_ready,
            on_result=self._keep_result,
        )
        self._asking = LeasingShell(
            asking,
            parts.spec,
            config.seed,
            self._book,
            parts.strategies,
            (rooms.evolution, rooms.user, rooms.control),
            outside=outside,
            on_round=self._want_round,
            leasing=leasing,
        )
        dead_letters = DeadLetters(parts.run_dir / DEAD_LETTERS)
        dead_letters.open()
        shells = (self._asking, self._training)
        told = RoundsTold(history.run, self._results, parts.run_dir, self._book.run, self._spawn, self._peer.reply)
        self._ears = TrainerEars(config, self._peer, *shells, self._board, self.fail, dead_letters, told.heard)

    def _settings(self, run: str) -> TrainingSettings:
        config = self._parts.config
        return TrainingSettings(
            run=run,
            seed=config.seed,
            epochs=config.trainer.epochs,
            batch_size=config.trainer.batch_size,
            loss=config.trainer.loss,
            output=config.evaluator.output,
            traininput=config.rooms.traininput,
            trainoutput=config.rooms.trainoutput,
        )

    def fail(self, error: BaseException) -> None:
        """And a message that made it fail twice is not heard a third time, by this process or the next."""
        if self._is_built:
            self._ears.blame(error)
        super().fail(error)

    def readings(self) -> Iterator[Reading]:
        if self._is_built:
            yield from self._board.readings(self._ears.all_counters())
            yield from gauge("queue_messages", self._asking.answers_waiting, "answers")
            yield Reading("step_seconds", (), self._training.step_times)
            yield Reading("commit_seconds", (), self._book.commit_times)
        if self._webhooks is not None:
            yield from self._webhooks.readings()

    def _session(self, connected: bool) -> None:
        if connected:
            self._ears.all_again()
        else:
            self._note("warning", "the broker is lost: waiting for it")

    def _restore_pool(self, pool: Pool, history: History) -> None:
        known = {*history.labeled, *(question.key for question in history.open_questions)}
        if history.pool is None:
            return
        try:
            pool.restore(history.pool, without=known)
        except ValueError as error:
            self._note("warning", f"the kept pool cannot be read and is left: {error}")

    async def stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if not self._is_open:
            await self._peer.close()
            return
        await self._peer.close("stopped")
        await self._drain()
        try:
            if not self._is_settled:  # refused: what is here is another trainer's
                return
            await self._asking.save_pool()
            problem = await self._files.report()
            if problem is not None:
                self._note("warning", f"no report: {problem}")
            if self._webhooks is not None:
                await self._webhooks.stop()
        finally:
            await self._book.close()

    async def _drain(self) -> None:
        """What is under way is waited for; not what waits itself, for its turn, for a disk or for another program."""
        if self._is_built:
            self._asking.leave_answers()
        self._book.hurry(DRAIN_S)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()

    # --- between the machines

    def _want_round(self) -> None:
        self._training.handle(training_events.RoundWanted(_now()))

    def _round_planned(self) -> None:
        self._asking.handle(asking_events.RoundPlanned(_now()))

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
        self._board.ended(result)
        accuracy = "" if result.accuracy is None else f", accuracy {result.accuracy:.4f}"
        steps = f"{result.extra['steps']} steps in {result.seconds:.1f} s"
        self._note("info", f"round {result.round}: {result.labels} labels, {steps}{accuracy}")

    # --- small things

    def _end(self, why: str) -> None:
        sys.stdout.write(result_line(self._results, why) + "\n")
        sys.stdout.flush()
        self._report(_now())  # whoever watches sees how it ended, however fast it was
        self._peer.send(self._parts.config.rooms.control, Control("labeler", "ended"))
        self.finish(0)

    def _tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        at = _now()
        self._training.handle(training_events.Tick(at))
        self._asking.look_at_clock(at)
        if at >= self._reported_at + self._parts.config.trainer.status_interval_s and self._board.changed():
            self._report(at)

    def _report(self, at: float) -> None:
        self._reported_at = at
        self._peer.send(self._parts.config.rooms.control, self._board.report("", at, self._ears.all_counters()))

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
        if error is not None:
            self.fail(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
