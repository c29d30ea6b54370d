"""The evaluator's process: messages to the machines, their commands to the engine, what comes of it to the rooms.

Knows rooms and the engine's promise; decides nothing (core/evaluation.py and core/scoring.py do).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from active_learner.backends.base import Backend, DoesNotFit, Evaluation, NotFinite
from active_learner.core import evaluation_events as told
from active_learner.core.checkpointing import CheckpointRule
from active_learner.core.evaluation import EvaluationMachine
from active_learner.core.evaluation_events import Heard, Place
from active_learner.core.measures import OF_PEERS, Reading, counted, gauge
from active_learner.core.scoring import ScoringMachine
from active_learner.crash_points import reach
from active_learner.peer import Peer, Received
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.services.checkpoint_writer import CheckpointWriter
from active_learner.services.engine_lane import EngineLane
from active_learner.services.shell import Service, meet
from active_learner.services.tally import tally_line
from protocol.errors import LocalProtocolError, RefusalCode
from protocol.limits import shortened
from protocol.messages import Candidates, Forward, LogLine, Message, Status, StatusRequest, StepRefused

log = logging.getLogger(__name__)

CHUNK_ROWS = 256
"""Candidates scored in one piece, so that a step waits for no more. Fixed: other sizes could change a score's last bits."""

REFUSES = tuple(f"refused.{code}" for code in ("shape", "not_finite", "stale_term", "wrong_run", "failed"))
"""Counters of STEP_REFUSED, by what for."""

LONGEST_TEXT_BYTES = 4096
"""Of an error of a network, which may be of any length: a page, and room for what is said around it."""


@dataclass(frozen=True, slots=True)
class EvaluatorRooms:
    evolution: str
    traininput: str
    control: str


class Evaluator(Service):
    """One stage of the network. A failure of the engine that is no refusal ends the process: the checkpoint is good."""

    def __init__(
        self,
        peer: Peer,
        backend: Backend,
        checkpoints: CheckpointFolder,
        place: Place,
        rooms: EvaluatorRooms,
        seed: int,
        rule: CheckpointRule | None = None,
    ) -> None:
        """`seed`: of the run, for a restore to step 0. `rule` None: checkpoints only when promoted."""
        super().__init__()
        self._peer, self._backend, self._checkpoints = peer, backend, checkpoints
        self._place, self._rooms, self._seed = place, rooms, seed
        self._lane = EngineLane()
        self._events: deque[tuple[Any, Any]] = deque()
        self._is_feeding = False
        self._notes = 0
        self._refused: Counter[str] = Counter()
        checkpoints.open_newest(backend, lambda text: log.error("%s", text))
        self.machine = EvaluationMachine(
            place,
            run=backend.run,
            applied=backend.applied,
            model_version=backend.model_version,
            restorable=checkpoints.steps(),
            width=backend.width,
            term=backend.term,
            older=backend.weights_of < backend.applied,
            rule=rule,
        )
        self._writer = CheckpointWriter(backend, checkpoints, self._lane, lambda done: self._feed(self.machine, done))
        self.scoring = ScoringMachine(place)
        self._does = self._commands()

    def _commands(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            told.Say: lambda say: self._say(say.room, say.message),
            told.Note: lambda note: self._note(note.level, note.text),
            told.RunForward: self._forward,
            told.RunApply: self._apply,
            told.RunEvaluate: self._evaluate,
            told.RunPromote: self._promote,
            told.RunCheckpoint: self._writer.start,
            told.RunRestore: self._restore,
            told.RunScore: self._score,
            told.RunInfer: self._infer,
        }

    async def start(self) -> str:
        self._peer.on_message = self._hear
        await meet(self._peer)
        self._checkpoints.sweep()
        rooms, place = self._rooms, self._place
        last = (place.input_room, rooms.traininput)  # whoever is there when its orders come has heard all else
        for room in dict.fromkeys((rooms.control, rooms.evolution, place.output_room, *last)):
            await self._peer.join(room)
        backend = self._backend
        return f"{self._place.role} at step {backend.applied}, model version {backend.model_version}"

    async def stop(self) -> None:
        self._lane.close()
        self._writer.close()
        await self._peer.close()

    def counters(self) -> dict[str, int]:
        """What was absorbed, refused or lost; of the peer, too."""
        machine, scoring = self.machine, self.scoring
        own = {"checkpoints": machine.checkpoints, "failed_checkpoints": machine.failed_checkpoints}
        own |= {"wrong_role": machine.unheeded, "too_many": machine.dropped + scoring.dropped}
        own |= {"repeated_work": machine.said.repeats + scoring.repeats}
        counters = Counter({**own, **self._peer.counters})
        counters.update(self._refused)
        return dict(counters)

    def readings(self) -> Iterator[Reading]:
        yield from counted(self.counters(), *REFUSES, *OF_PEERS)
        yield from gauge("queue_messages", self.machine.waiting + len(self.scoring.under_way), "work")
        yield from gauge("step", self.machine.applied)
        yield from gauge("model_version", self.machine.model_version)
        newest = self._checkpoints.newest()
        if newest is not None:
            yield from gauge("checkpoint_step", newest[0])
            yield from gauge("checkpoint_age_seconds", max(0.0, time.time() - newest[1]))

    # --- messages and events

    def _hear(self, received: Received) -> None:
        message, sender = received.message, received.sender
        if isinstance(message, StatusRequest):
            self._notes += 1
            self._peer.send(self._rooms.control, tally_line(self._notes, self._peer.name, self.counters()))
            return
        name, role = (sender.name, sender.role) if sender is not None else ("", "")
        is_scoring = isinstance(message, Candidates) or (
            isinstance(message, Forward) and message.status == Status.SCORE
        )
        machine = self.scoring if is_scoring else self.machine
        self._feed(machine, Heard(message, received.room, name, role, asyncio.get_running_loop().time()))

    def _feed(self, machine: EvaluationMachine | ScoringMachine, event: Any) -> None:
        """Events that come of an event (quick work is done at once) are handled after it, not inside it."""
        self._events.append((machine, event))
        if self._is_feeding:
            return
        self._is_feeding = True
        try:
            while self._events:
                feeding, present = self._events.popleft()
                commands = feeding.handle(present)
                self._count_refusals(commands)
                for command in commands:
                    self._does[type(command)](command)
        except Exception as error:  # a row that is missing, or a bug: the checkpoint is good, the state is not
            self._events.clear()
            self.fail(error)
        finally:
            self._is_feeding = False

    def _count_refusals(self, commands: Sequence[Any]) -> None:
        """One that is said to two is one."""
        said = (command.message for command in commands if isinstance(command, told.Say))
        self._refused.update({f"refused.{one.code}" for one in said if isinstance(one, StepRefused)})

    def _say(self, room: str, message: Message) -> None:
        try:
            self._peer.send(room, message)
        except LocalProtocolError as error:
            self._note("error", f"{type(message).__name__} could not be said in {room}: {error}")

    def _note(self, level: str, text: str) -> None:
        log.log({"info": logging.INFO, "warning": logging.WARNING}.get(level, logging.ERROR), "%s", text)
        self._notes += 1
        self._peer.send(self._rooms.control, LogLine(self._notes, level, f"{self._place.role}: {text}"))

    # --- training

    def _train(self, kind: str, work: Callable[[], Any], answer: Callable[[Any], Any]) -> None:
        """Refusals (ValueError, and OSError of the disk) become Impossible; anything else ends the process."""

        def done(result: Any, error: Exception | None) -> None:
            if error is None:
                self._feed(self.machine, answer(result))
            elif isinstance(error, ValueError | OSError):
                steps = self._checkpoints.steps()
                self._feed(self.machine, told.Impossible(_code(error), _text(error), steps))
            else:
                self.fail(error)

        self._lane.submit(kind, work, done)

    def _forward(self, run: told.RunForward) -> None:
        def work() -> Any:
            predictions = self._backend.forward(run.step, run.seed, run.batch)
            reach("evaluator.forward_made")
            return predictions

        self._train("forward", work, told.Forwarded)

    def _apply(self, run: told.RunApply) -> None:
        def work() -> Any:
            reach("evaluator.before_apply")
            slope = self._backend.apply(run.step, run.gradient, run.want_input_gradient)
            reach("evaluator.after_apply")
            return slope

        self._train("apply", work, told.Applied)

    def _evaluate(self, run: told.RunEvaluate) -> None:
        self._train("evaluate", lambda: self._backend.evaluate(run.batch), told.Evaluated)

    def _promote(self, run: told.RunPromote) -> None:
        backend, folder = self._backend, self._checkpoints

        def work() -> told.Promotion:
            if run.weights_of == run.step:
                steps = folder.promote(backend, run.run, run.term, run.round)
            else:
                steps = folder.promote_older(backend, run.step, run.weights_of, run.run, run.term, run.round)
            reach("evaluator.promoted")
            return told.Promotion(backend.digest(), steps)

        self._train("promote", work, lambda promotion: promotion)

    def _restore(self, run: told.RunRestore) -> None:
        backend = self._backend

        def work() -> told.Restored:
            steps = self._checkpoints.restore(backend, run.run, run.step, self._seed)
            reach("evaluator.restored")
            older = 0 < backend.weights_of < backend.applied
            return told.Restored(backend.applied, backend.model_version, steps, older)

        self._train("restore", work, lambda restored: restored)

    # --- candidates

    def _score(self, run: told.RunScore) -> None:
        self._chunks(
            run.ticket,
            "score",
            run.batch,
            lambda rows: self._backend.score(rows, run.embeddings),
            lambda parts: _scored(run.ticket, parts),
        )

    def _infer(self, run: told.RunInfer) -> None:
        backend = self._backend
        self._chunks(
            run.ticket,
            "infer",
            run.batch,
            lambda rows: (backend.model_version, backend.infer(rows)),
            lambda parts: told.Inferred(run.ticket, parts[0][0], np.concatenate([rows for _, rows in parts])),
        )

    def _chunks(
        self,
        ticket: str,
        kind: str,
        batch: told.Array,
        work: Callable[[told.Array], Any],
        answer: Callable[[list[Any]], Any],
    ) -> None:
        """Piece after piece behind the training; from the start again when a promotion comes between two pieces. Nothing that
        fails here has changed anything: it is refused, whatever it is."""
        parts: list[Any] = []

        def done(result: Any, error: Exception | None) -> None:
            if error is not None:
                self._feed(self.scoring, told.ScoringFailed(ticket, _code(error), _text(error)))
                return
            if parts and _version(parts[0]) != _version(result):
                parts.clear()
            else:
                parts.append(result)
            submit()

        def submit() -> None:
            start = len(parts) * CHUNK_ROWS
            if parts and start >= len(batch):
                self._feed(self.scoring, answer(parts))
                return
            rows = batch[start : start + CHUNK_ROWS]
            self._lane.submit(kind, lambda: work(rows), done, urgent=False)

        if not batch.ndim or not len(batch):
            text = f"candidates are {batch.shape}, expected (n, *sample shape) with n at least 1"
            self._feed(self.scoring, told.ScoringFailed(ticket, RefusalCode.SHAPE, text))
            return
        submit()


def _version(part: Any) -> int:
    version: int = part.model_version if isinstance(part, Evaluation) else part[0]
    return version


def _scored(ticket: str, parts: list[Evaluation]) -> told.Scored:
    vectors = [part.embeddings for part in parts if part.embeddings is not None]
    return told.Scored(
        ticket,
        parts[0].model_version,
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.fitness for part in parts]),
        np.concatenate(vectors) if vectors else None,
    )


def _text(error: Exception) -> str:
    """A refusal says it itself; of anything else its type belongs to it."""
    is_ours = isinstance(error, ValueError | OSError)
    return shortened(str(error) if is_ours else f"{type(error).__name__}: {error}", LONGEST_TEXT_BYTES)


def _code(error: Exception) -> RefusalCode:
    if isinstance(error, NotFinite):
        return RefusalCode.NOT_FINITE
    return RefusalCode.SHAPE if isinstance(error, DoesNotFit) else RefusalCode.FAILED
