"""A trainer and its evaluators over a bad network, in virtual time: the real machines, an engine of hashes, no clock.

The engine's weights are a hash of everything that was ever applied to them, so that a step that is skipped, done twice
or done with another batch or gradient shows at the end.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from random import Random
from typing import Any

import numpy as np

from active_learner.core import evaluation_events as e
from active_learner.core import training_events as t
from active_learner.core.checkpointing import CheckpointRule
from active_learner.core.evaluation import EvaluationMachine
from active_learner.core.promotion import Gate
from active_learner.core.records import Plan, RoundResult
from active_learner.core.schedule import place_of
from active_learner.core.training import TrainingMachine
from protocol.messages import (
    Forward,
    Gradient,
    Message,
    Position,
    PositionRequest,
    Promote,
    Promoted,
    Restore,
    Status,
    Step,
    StepRefused,
)

RUN = "run"
Numbers = np.ndarray[Any, Any]


def mix(*parts: Any) -> int:
    text = "|".join(part.tobytes().hex() if isinstance(part, np.ndarray) else str(part) for part in parts)
    return int.from_bytes(sha256(text.encode()).digest()[:6], "little")


def loss_gradient(predictions: Numbers, rows: Sequence[int]) -> Numbers:
    return np.array([[mix("gradient", predictions, rows)]], np.float64)


def plans(rounds: int) -> list[Plan]:
    made, step = [], 1
    for number in range(1, rounds + 1):
        rows = tuple(f"k{row}" for row in range(number + 2))
        made.append(Plan(number, step, rows, (0,) * len(rows), 7, 2, 2, "loss", step - 1))
        step = made[-1].last_step + 1
    return made


@dataclass
class Engine:
    """Weights, checkpoints on a disk that survives, and the kept graph."""

    stage: int
    disk: dict[int, tuple[int, int, int, bool]] = field(default_factory=dict)
    """Step -> weights, step of those that score, their weights, and whether the weights are those of an older step."""
    weights: int = 0
    applied: int = 0
    version: int = 0
    scoring: int = 0
    older: bool = False
    graph: tuple[int, int] = (0, 0)
    history: list[int] = field(default_factory=list)

    def load(self, step: int) -> None:
        made = mix("made", self.stage)
        self.weights, self.version, self.scoring, self.older = self.disk[step] if step else (made, 0, made, False)
        self.applied, self.graph = step, (0, 0)

    def forward(self, step: int, seed: int, batch: Numbers) -> Numbers:
        predicted = mix("forward", self.weights, self.stage, step, seed, batch)
        self.graph = (step, predicted)
        return np.array([[predicted]], np.float64)

    def apply(self, step: int, gradient: Numbers) -> Numbers:
        assert self.graph[0] == step == self.applied + 1, f"applied {step} on {self.applied} with {self.graph}"
        before = mix("input gradient", self.graph[1], gradient)
        self.weights = mix("apply", self.weights, self.graph[1], gradient)
        self.applied, self.graph = step, (0, 0)
        self.history.append(step)
        return np.array([[before]], np.float64)

    def keep(self) -> None:
        """In the middle of a round."""
        self.disk[self.applied] = (self.weights, self.version, self.scoring, False)
        self._clear(self.version)

    def promote(self, weights_of: int) -> None:
        if weights_of != self.applied:
            self.weights, self.graph = self.disk[weights_of][0], (0, 0)
        self.disk[self.applied] = (self.weights, self.applied, self.weights, weights_of != self.applied)
        self._clear(self.version)
        self.version, self.scoring = self.applied, self.weights

    def _clear(self, scoring: int) -> None:
        for step in sorted(self.disk)[:-2]:
            if step != scoring:
                del self.disk[step]

    def abandon(self, step: int) -> None:
        self.disk = {one: kept for one, kept in self.disk.items() if one <= step}


def accuracy(weights: Sequence[int]) -> float:
    """Of rounds 1 to 4 the second is held back and the third is not (of two stages the third is, and the fourth is not): so
    weights that a verdict got wrong go on."""
    return mix("accuracy", 1, *weights) % 100 / 100


def reference(rounds: int, stages: int, gated: bool = False) -> list[int]:
    """The weights of an undisturbed run, straight from the plans."""
    engines = [Engine(stage) for stage in range(stages)]
    for engine in engines:
        engine.load(0)
    best = (-1.0, [engine.weights for engine in engines])
    for plan in plans(rounds):
        for step in range(plan.first_step, plan.last_step + 1):
            rows = place_of(plan, step).rows
            flowing: Numbers = np.array([rows], np.int64)
            for engine in engines:
                flowing = engine.forward(step, plan.seed, flowing)
            gradient = loss_gradient(flowing, rows)
            for engine in reversed(engines):
                gradient = engine.apply(step, gradient)
        weights = [engine.weights for engine in engines]
        if not gated or accuracy(weights) >= best[0]:
            best = (accuracy(weights), weights)
        for engine, own in zip(engines, best[1], strict=True):
            engine.weights = own
    return best[1]


@dataclass(frozen=True)
class Faults:
    drop: float = 0.0
    repeat: float = 0.0
    copies: int = 1
    """More, of what is repeated: 3 where it is doubled on its way to the broker and again behind it."""
    delay_s: float = 0.0
    full_disk: float = 0.0
    kill_evaluator: float = 0.0
    kill_trainer: float = 0.0


class Wire:
    """Rooms t0 .. tN: stage i listens to t<i> and speaks into t<i+1>."""

    def __init__(
        self,
        random: Random,
        faults: Faults,
        *,
        rounds: int = 2,
        stages: int = 1,
        fused: bool = True,
        gated: bool = False,
        trainer: type[TrainingMachine] = TrainingMachine,
        evaluator: type[EvaluationMachine] = EvaluationMachine,
        engine: type[Engine] = Engine,
    ) -> None:
        self.random, self.faults, self.fused, self.gated = random, faults, fused, gated
        self._trainer_kind, self._evaluator_kind = trainer, evaluator
        self.now = 0.0
        self._queue: list[tuple[float, int, str, str, str, Message]] = []
        self._number = count()
        self.roles = [f"stage{stage}" for stage in range(stages)]
        self.engines = [engine(stage) for stage in range(stages)]
        self.evaluators: list[EvaluationMachine] = []
        self.planned: list[Plan] = []
        self.results: dict[int, RoundResult] = {}
        self._all_plans = plans(rounds)
        self.term = 0
        self.errors: list[str] = []
        for stage in range(stages):
            self.evaluators.append(self._new_evaluator(stage))
        self._new_trainer()

    # --- processes

    def _new_evaluator(self, stage: int) -> EvaluationMachine:
        engine, last = self.engines[stage], len(self.roles) - 1
        engine.load(max(engine.disk, default=0))
        before, behind = (["trainer", *self.roles, "trainer"][stage + offset] for offset in (0, 2))
        rooms = (f"t{stage}", f"t{stage + 1}", "evolution")
        place = e.Place(self.roles[stage], *rooms, stage == 0, stage == last, before=before, behind=behind)
        return self._evaluator_kind(
            place,
            run=RUN if engine.disk else "",
            applied=engine.applied,
            model_version=engine.version,
            restorable=tuple(sorted(engine.disk)),
            older=engine.older,
            rule=CheckpointRule(2, 1.5),
        )

    def _new_trainer(self) -> None:
        self.term += 1
        self.trainer = self._trainer_kind(
            term=self.term,
            roles=self.roles,
            width=None,
            fused=self.fused,
            resend_s=1.0,
            history=[(plan, self.results.get(plan.round)) for plan in self.planned],
            gate=Gate(0.0) if self.gated else None,
        )
        for role in self.roles:
            self._feed(t.StageJoined(role, self.now))
        self._ask_for_more()

    def _ask_for_more(self) -> None:
        unfinished = any(plan.round not in self.results for plan in self.planned)
        if not unfinished and len(self.planned) < len(self._all_plans):
            self._feed(t.RoundWanted(self.now))

    # --- the network

    def say(self, sender: str, room: str, message: Message) -> None:
        for _ in range(1 + self.faults.copies * (self.random.random() < self.faults.repeat)):
            if self.random.random() >= self.faults.drop:
                at = self.now + 0.01 + self.random.random() * self.faults.delay_s
                heapq.heappush(self._queue, (at, next(self._number), sender, room, "", message))

    def run(self, until: float) -> None:
        """Deliver and tick, with kills in between."""
        while self.now < until:
            self._disturb()
            self.now += 0.25
            while self._queue and self._queue[0][0] <= self.now:
                _, _, sender, room, _, message = heapq.heappop(self._queue)
                self._deliver(sender, room, message)
            self._feed(t.Tick(self.now))
            if self.is_done():
                return

    def heal(self) -> None:
        self.faults = Faults()
        self.run(self.now + 3000)

    def is_done(self) -> bool:
        return len(self.results) == len(self._all_plans) and self.trainer.phase == "idle"

    def _disturb(self) -> None:
        if self.random.random() < self.faults.kill_evaluator:
            stage = self.random.randrange(len(self.roles))
            self.evaluators[stage] = self._new_evaluator(stage)
            self._feed(t.StageLeft(self.roles[stage], self.now))
            self._feed(t.StageJoined(self.roles[stage], self.now))
        if self.random.random() < self.faults.kill_trainer:
            self._new_trainer()

    def _deliver(self, sender: str, room: str, message: Message) -> None:
        if sender != "trainer" and room in ("@trainer", "t0", f"t{len(self.roles)}"):
            self._trainer_hears(room, message)
        for stage, role in enumerate(self.roles):
            if sender != role and room in ("t0", f"t{stage}", f"t{stage + 1}"):
                heard = e.Heard(message, room, sender, sender, self.now)
                self._evaluate(stage, heard)

    # --- the evaluators' shell

    def _evaluate(self, stage: int, event: e.Event) -> None:
        machine = self.evaluators[stage]
        todo = list(machine.handle(event))
        while todo:
            command = todo.pop(0)
            if isinstance(command, e.Say):
                self.say(self.roles[stage], command.room, command.message)
            elif not isinstance(command, e.Note):
                todo += machine.handle(self._engine_does(stage, command))

    def _engine_does(self, stage: int, command: e.Command) -> e.Event:
        engine = self.engines[stage]
        match command:
            case e.RunForward():
                return e.Forwarded(engine.forward(command.step, command.seed, command.batch))
            case e.RunApply():
                return e.Applied(engine.apply(command.step, command.gradient))
            case e.RunEvaluate():
                return e.Evaluated(np.array([[0.0]]))
            case e.RunPromote():
                engine.promote(command.weights_of)
                return e.Promotion(f"{engine.weights:x}", tuple(sorted(engine.disk)))
            case e.RunCheckpoint():
                assert command.step == engine.applied
                if self.random.random() < self.faults.full_disk:
                    return e.CheckpointFailed(command.step, "full")
                engine.keep()
                return e.CheckpointWritten(command.step, tuple(sorted(engine.disk)))
            case e.RunRestore():
                engine.load(command.step)
                engine.abandon(command.step)
                return e.Restored(engine.applied, engine.version, tuple(sorted(engine.disk)), engine.older)
        raise AssertionError(command)

    # --- the trainer's shell

    def _feed(self, event: t.Event) -> None:
        events = [event]
        while events:
            for command in self.trainer.handle(events.pop(0)):
                events += self._do(command)

    def _do(self, command: t.Command) -> list[t.Event]:
        term = self.term
        match command:
            case t.MakePlan():
                plan = self._all_plans[len(self.planned)]
                assert plan.first_step == command.first_step
                self.planned.append(plan)
                return [t.PlanCommitted(plan, self.now)]
            case t.ComputeGradient():
                return [
                    t.GradientReady(
                        command.place.step, 0.0, loss_gradient(command.predictions, command.place.rows), self.now
                    )
                ]
            case t.Validate():
                return [self._validated(command)]
            case t.CommitResult():
                assert command.result.round not in self.results
                self.results[command.result.round] = command.result
                return [t.ResultCommitted(command.result.round, self.now)]
            case t.RoundEnded():
                self._ended = True
                return [t.RoundWanted(self.now)] if len(self.planned) < len(self._all_plans) else []
            case t.Note(level="error"):
                self.errors.append(command.text)
            case t.AskPosition():
                self.say("trainer", "t0", PositionRequest(term, RUN))
            case t.SendRestore():
                self.say("trainer", "t0", Restore(term, RUN, command.role, command.step))
            case t.SendForward():
                place = command.place
                rows = np.array([place.rows], np.int64)
                self.say(
                    "trainer",
                    "t0",
                    Forward(
                        term,
                        place.step,
                        Status.TRAIN,
                        "",
                        place.plan.round,
                        place.epoch,
                        place.batch,
                        place.plan.seed,
                        rows,
                    ),
                )
            case t.SendStep():
                place = command.place
                rows = np.array([place.rows], np.int64)
                self.say(
                    "trainer",
                    "t0",
                    Step(
                        term,
                        place.step - 1,
                        command.gradient,
                        place.plan.round,
                        place.epoch,
                        place.batch,
                        place.plan.seed,
                        rows,
                    ),
                )
            case t.SendGradient():
                self.say("trainer", f"t{len(self.roles)}", Gradient(term, command.step, command.gradient))
            case t.SendPromote():
                self.say("trainer", "t0", Promote(term, RUN, command.round, command.step, command.weights_of))
        return []

    def _validated(self, command: t.Validate) -> t.Event:
        """By the weights that are there; from elsewhere the answer is a position."""
        for engine, role, machine in zip(self.engines, self.roles, self.evaluators, strict=True):
            if engine.applied != self.trainer.applied or machine.older:
                where = (engine.applied, engine.version, tuple(sorted(engine.disk)))
                return t.PositionHeard(role, self.term, *where, True, 0, "not there", self.now)
        found = accuracy([engine.weights for engine in self.engines])
        return t.ValidationDone(command.round, found, None, None, self.now)

    def _trainer_hears(self, room: str, message: Message) -> None:
        match message:
            case Position():
                self._feed(
                    t.PositionHeard(
                        message.role,
                        message.term,
                        message.applied,
                        message.model_version,
                        message.restorable,
                        message.fused,
                        message.width,
                        message.why,
                        self.now,
                    )
                )
            case Forward(status=Status.TRAIN) if room == f"t{len(self.roles)}":
                self._feed(t.PredictionHeard(message.term, message.step, message.data, self.now))
            case Gradient() if room == "t0":
                self._feed(t.AppliedHeard(message.term, message.step, self.now))
            case Promoted():
                self._feed(t.PromotedHeard(message.role, message.term, message.step, message.digest, self.now))
            case StepRefused():
                self._feed(t.Refusal(message.role, message.term, message.step, message.text, self.now))
