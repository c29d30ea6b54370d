"""Runs the training machine: its commands become messages, losses and commits, their results its next events.

Knows rooms, the loss and the held-out rows; decides nothing (core/training.py does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core import training_events as told
from active_learner.core.assessment import evaluate
from active_learner.core.batches import rows_at_once
from active_learner.core.measures import Histogram
from active_learner.core.records import Plan, RoundResult
from active_learner.core.training import TrainingMachine
from active_learner.crash_points import reach
from active_learner.errors import WrongStore
from active_learner.losses.base import Loss
from active_learner.services.label_book import LabelBook
from active_learner.services.pump import Pump, Surroundings
from protocol.limits import shortened
from protocol.messages import (
    Forward,
    Gradient,
    PositionRequest,
    Promote,
    Restore,
    Status,
    Step,
)

VALIDATION_ROWS = 256
"""Held-out rows in a batch, of large ones fewer: few messages, and a network of any size holds it."""

LONGEST_TEXT_BYTES = 4096
"""Of an error of a loss or an evaluator, which may be of any length: a page, and room for what is said around it."""

STEPPING = ("predicting", "computing", "applying")

ROLLED_BACK = (
    "Either the store is an older copy, then put the newer one back, or go on from it with --accept-rollback: the evaluators "
    "then forget what they learned since; or another trainer has taken this run over, then it has to end first"
)

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Config, as far as it concerns what the shell says."""

    run: str
    seed: int
    epochs: int
    batch_size: int
    loss: str
    output: str
    traininput: str
    trainoutput: str


class TrainingShell:
    """`on_plan` is called when the labels of a round are fixed, before any later answer is told. `on_ready` gets ModelReady and RoundEnded; `on_result(result, predictions)` is awaited before a round counts as ended."""

    def __init__(
        self,
        machine: TrainingMachine,
        settings: TrainingSettings,
        book: LabelBook,
        load_loss: Callable[[str], Loss],
        held_out: tuple[Array, Array] | None,
        *,
        outside: Surroundings,
        on_plan: Callable[[], None] = lambda: None,
        on_ready: Callable[[told.ModelReady | told.RoundEnded], None],
        on_result: Callable[[RoundResult, Array | None], Awaitable[None]],
    ) -> None:
        self.machine = machine
        self._settings, self._book, self._held_out = settings, book, held_out
        self._load_loss, self._losses = load_loss, dict[str, Loss]()
        self._say, self._note, self._spawn, self._fail = outside.say, outside.note, outside.spawn, outside.fail
        self._on_plan, self._on_ready, self._on_result = on_plan, on_ready, on_result
        self._pump = Pump(machine, self._do, outside.fail)
        self.step_times = Histogram()
        self._applied_at: float | None = None
        self._rows: tuple[int, Array, Array] | None = None
        self._validation: _Validation | None = None
        self._predictions: Array | None = None
        self._does = self._commands()

    def _commands(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            told.MakePlan: self._make_plan,
            told.AskPosition: self._ask_position,
            told.SendRestore: self._send_restore,
            told.TakeTerm: self._take_term,
            told.End: self._end,
            told.SendForward: self._send_forward,
            told.SendGradient: self._send_gradient,
            told.SendStep: self._send_step,
            told.ComputeGradient: self._compute_gradient,
            told.Validate: self._validate,
            told.SendPromote: self._send_promote,
            told.CommitResult: self._commit_result,
            told.ModelReady: self._on_ready,
            told.RoundEnded: self._on_ready,
            told.Note: lambda command: self._note(command.level, command.text),
        }

    def _do(self, command: told.Command) -> None:
        self._does[type(command)](command)
        if isinstance(command, told.SendGradient | told.SendStep):
            reach("trainer.gradient_sent")
        if isinstance(command, told.SendForward | told.SendStep):
            reach("trainer.forward_sent")

    def handle(self, event: told.Event) -> None:
        """Feed one event and do what it leads to."""
        before = self.machine.applied
        self._pump.handle(event)
        if self.machine.applied != before:
            reach("trainer.step_applied")
            place = self.machine.place
            if place is None or (place.batch == 0 and place.step > place.plan.first_step):
                reach("trainer.epoch_ended")
            self._measure_step(before + 1)

    def _measure_step(self, expected: int) -> None:
        """From one applied step to the next of the same round; what lies between two rounds is no step."""
        at, since = _now(), self._applied_at
        if since is not None and self.machine.applied == expected:
            self.step_times.observe(at - since)
        self._applied_at = at if self.machine.phase in STEPPING else None

    def validation_heard(self, ticket: str, predictions: Array, at: float) -> None:
        """A held-out batch came back."""
        if self._validation is not None and self._validation.hear(ticket, predictions):
            self._next_validation(self._validation, at)

    # --- plans and results

    def _make_plan(self, command: told.MakePlan) -> None:
        settings, machine = self._settings, self.machine

        def template(keys: tuple[str, ...], values: tuple[int, ...], asked: bool) -> Plan:
            return Plan(
                round=machine.plans[-1].round + 1 if machine.plans else int(asked),
                first_step=command.first_step,
                rows=keys,
                values=values,
                seed=settings.seed,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                loss=settings.loss,
                base_version=command.first_step - 1,
            )

        async def make() -> None:
            plan = await self._book.make_plan(template)
            if plan is not None:
                self._on_plan()
            self.handle(told.NothingToTrain(_now()) if plan is None else told.PlanCommitted(plan, _now()))

        self._spawn(make())

    def _commit_result(self, command: told.CommitResult) -> None:
        async def commit() -> None:
            await self._on_result(command.result, self._predictions)
            reach("trainer.result_committed")
            self._predictions = None
            self.handle(told.ResultCommitted(command.result.round, _now()))

        self._spawn(commit())

    # --- steps

    def _ask_position(self, command: told.AskPosition) -> None:
        self._say(self._settings.traininput, PositionRequest(command.term, self._settings.run))

    def _take_term(self, _: told.TakeTerm) -> None:
        async def take() -> None:
            self.handle(told.TermTaken(await self._book.next_term(), _now()))

        self._spawn(take())

    def _end(self, command: told.End) -> None:
        self._fail(WrongStore(f"{command.text}. {ROLLED_BACK}"))

    def _send_restore(self, command: told.SendRestore) -> None:
        message = Restore(self.machine.term, self._settings.run, command.role, command.step)
        self._say(self._settings.traininput, message)

    def _send_forward(self, command: told.SendForward) -> None:
        place = command.place
        features, _ = self._rows_of(place.plan)
        message = Forward(
            self.machine.term,
            place.step,
            Status.TRAIN,
            "",
            place.plan.round,
            place.epoch,
            place.batch,
            place.plan.seed,
            features[list(place.rows)],
        )
        self._say(self._settings.traininput, message)

    def _send_step(self, command: told.SendStep) -> None:
        place = command.place
        features, _ = self._rows_of(place.plan)
        message = Step(
            self.machine.term,
            place.step - 1,
            command.gradient,
            place.plan.round,
            place.epoch,
            place.batch,
            place.plan.seed,
            features[list(place.rows)],
        )
        self._say(self._settings.traininput, message)

    def _send_gradient(self, command: told.SendGradient) -> None:
        message = Gradient(self.machine.term, command.step, command.gradient)
        self._say(self._settings.trainoutput, message)

    def _compute_gradient(self, command: told.ComputeGradient) -> None:
        reach("trainer.prediction_heard")
        step = command.place.step
        _, targets = self._rows_of(command.place.plan)
        wanted = targets[list(command.place.rows)]
        try:
            if command.predictions.shape[:1] != wanted.shape:
                raise ValueError(f"predictions {command.predictions.shape} for {len(wanted)} samples")
            loss, gradient = self._loss_of(command.place.plan).gradient(command.predictions, wanted)
        except MemoryError:  # ends the process (bounds.py): it is no fault of the loss
            raise
        except Exception as error:  # a loss of the user's own may raise anything
            self.handle(told.LossFailed(step, _text(error), _now()))
            return
        self.handle(told.GradientReady(step, loss, gradient, _now()))

    def _loss_of(self, plan: Plan) -> Loss:
        """A round keeps its loss: the configuration may name another one since."""
        if plan.loss not in self._losses:
            self._losses[plan.loss] = self._load_loss(plan.loss)
        return self._losses[plan.loss]

    def _rows_of(self, plan: Plan) -> tuple[Array, Array]:
        if self._rows is None or self._rows[0] != plan.round:
            self._rows = (plan.round, *self._book.rows(plan))
        return self._rows[1], self._rows[2]

    # --- the end of a round

    def _validate(self, command: told.Validate) -> None:
        if self._held_out is None:
            self.handle(told.ValidationDone(command.round, None, None, None, _now()))
            return
        if not command.again or self._validation is None:
            self._validation = _Validation(command.round, self.machine.term, self._held_out[0])
        self._send_validation(self._validation)

    def _send_validation(self, validation: _Validation) -> None:
        message = Forward(
            self.machine.term,
            self.machine.applied,
            Status.VALIDATE,
            validation.ticket,
            validation.round,
            0,
            validation.batch,
            self._settings.seed,
            validation.rows(),
        )
        self._say(self._settings.traininput, message)

    def _next_validation(self, validation: _Validation, at: float) -> None:
        if not validation.is_complete:
            self._send_validation(validation)
            return
        assert self._held_out is not None
        self._validation = None
        try:
            predictions = np.concatenate(validation.heard)
            found = evaluate(predictions, self._held_out[1], self._settings.output)
        except ValueError as error:
            self._note("warning", f"validation of round {validation.round}: {error}")
            self.handle(told.ValidationDone(validation.round, None, None, None, at))
            return
        self._predictions = predictions
        reach("trainer.validated")
        self.handle(told.ValidationDone(validation.round, found.accuracy, found.loss, found.calibration_error, at))

    def _send_promote(self, command: told.SendPromote) -> None:
        message = Promote(self.machine.term, self._settings.run, command.round, command.step, command.weights_of)
        self._say(self._settings.traininput, message)
        reach("trainer.promote_sent")


class _Validation:
    """Held-out batches under way, one at a time."""

    def __init__(self, round: int, term: int, features: Array) -> None:
        self.round, self._term, self._features = round, term, features
        self._rows_at_once = rows_at_once(features, VALIDATION_ROWS)
        self.batch = 0
        self.heard: list[Array] = []

    @property
    def ticket(self) -> str:
        return f"{self._term}-{self.round}-{self.batch}"

    @property
    def is_complete(self) -> bool:
        return self.batch * self._rows_at_once >= len(self._features)

    def rows(self) -> Array:
        return self._features[self.batch * self._rows_at_once : (self.batch + 1) * self._rows_at_once]

    def hear(self, ticket: str, predictions: Array) -> bool:
        """True: it is the batch that was waited for."""
        if ticket != self.ticket or self.is_complete or predictions.shape[:1] != self.rows().shape[:1]:
            return False
        self.heard.append(predictions)
        self.batch += 1
        return True


def _text(error: Exception) -> str:
    """What ours and torch's say is a sentence; of anything else its type belongs to it."""
    is_told = isinstance(error, ValueError | RuntimeError | IndexError)
    return shortened(str(error) if is_told else f"{type(error).__name__}: {error}", LONGEST_TEXT_BYTES)


def _now() -> float:
    return asyncio.get_running_loop().time()
