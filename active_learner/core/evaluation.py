"""The evaluation machine: forward, hold the graph, apply its gradient, exactly once a step. Knows messages and numbers of
steps; not the network, the disk or the wire.

Phases: ready (no graph), holding (the graph of applied + 1 is kept), and while the engine works: forwarding, applying,
evaluating, saving, restoring. What comes while it works waits, unless it is a repeat. Candidates: scoring.py.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import ClassVar

from active_learner.core import evaluation_triggers as triggers
from active_learner.core import evaluation_words as words
from active_learner.core.checkpointing import CHECKPOINT, CheckpointRule
from active_learner.core.evaluation_events import (
    RESULTS,
    TRAINER,
    Applied,
    CheckpointFailed,
    CheckpointWritten,
    Command,
    Evaluated,
    Event,
    Forwarded,
    Heard,
    Impossible,
    Note,
    Place,
    Promotion,
    Restored,
    RunApply,
    RunCheckpoint,
    RunEvaluate,
    RunForward,
    RunPromote,
    RunRestore,
    Say,
)
from active_learner.core.evaluation_triggers import Said
from active_learner.core.evaluation_words import TrainingMessage
from active_learner.core.machine import Machine
from protocol.errors import RefusalCode
from protocol.messages import (
    Forward,
    Gradient,
    Message,
    PositionRequest,
    Promote,
    Promoted,
    Restore,
    Step,
)

IDLE = ("ready", "holding")


class EvaluationMachine(Machine[Event, Command]):
    """One evaluator. `run` "": none yet; the first PositionRequest names it."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("*", "not for us"): "_ignore",
        ("*", "not theirs to say"): "_count_unheeded",
        ("*", "stale term"): "_refuse_term",
        ("*", "repeat at work"): "_await_answer",
        ("*", "comes later"): "_let_wait",
        ("*", "too many"): "_drop",
        ("*", "new run"): "_adopt_run",
        ("*", "wrong run"): "_refuse_run",
        ("*", "new term"): "_begin_anew",
        ("*", "position request"): "_tell_position",
        ("*", "past"): "_tell_position",
        ("*", "misfit"): "_tell_misfit",
        ("ready", "forward"): "_forward",
        ("ready", "forward of step"): "_forward",
        ("holding", "forward repeated"): "_repeat_forward",
        ("holding", "forward"): "_begin_anew",
        ("holding", "gradient"): "_apply",
        ("holding", "step"): "_apply",
        ("*", "gradient repeated"): "_repeat_applied",
        ("*", "validate"): "_evaluate",
        ("*", "promote"): "_save",
        ("*", "promote repeated"): "_repeat_promoted",
        ("*", "restore"): "_restore",
        ("*", "restore needless"): "_tell_position",
        ("*", "restore impossible"): "_tell_misfit",
        ("forwarding", "forwarded"): "_hold",
        ("forwarding", "impossible"): "_refuse_forward",
        ("applying", "applied"): "_count_step",
        ("applying", "impossible"): "_refuse_gradient",
        ("evaluating", "evaluated"): "_answer_validation",
        ("evaluating", "impossible"): "_refuse_work",
        ("saving", "saved"): "_answer_promotion",
        ("saving", "impossible"): "_refuse_promotion",
        ("restoring", "restored"): "_stand_there",
        ("restoring", "impossible"): "_stay_here",
        ("*", "checkpoint written"): "_count_checkpoint",
        ("*", "checkpoint failed"): "_count_failure",
    }

    def __init__(
        self,
        place: Place,
        *,
        run: str = "",
        applied: int = 0,
        model_version: int = 0,
        restorable: tuple[int, ...] = (),
        width: int = 0,
        term: int = 0,
        older: bool = False,
        rule: CheckpointRule | None = None,
    ) -> None:
        """`term`: of the newest checkpoint; a trainer of a lower one is refused. `older`: see Restored. `rule` None: checkpoints
        only when promoted."""
        super().__init__("ready")
        self.place = place
        self.run, self.term = run, term
        self.applied, self.model_version, self.restorable, self.width = applied, model_version, restorable, width
        self.older = older  # the weights are those of an earlier step than `applied`
        self.held = 0  # step whose graph is kept; 0: none
        self.dropped = 0  # messages, because too many waited
        self.unheeded = 0  # messages of peers that may not say them
        self.said = Said()
        self.checkpoints = self.failed_checkpoints = 0  # in the middle of rounds
        self._rule = rule or CheckpointRule(2**63, float("inf"))
        self._rule.kept(applied)
        self._marked: tuple[int, int] = (0, 0)  # step after which the state is to be kept, and its round
        self._is_writing = False
        self._trainer = TRAINER
        self._work: Heard | None = None
        self._waiting: deque[Heard] = deque()

    # --- what an event is now

    def classify(self, event: Event) -> str:
        if not isinstance(event, Heard):
            return RESULTS[type(event)]
        message = event.message
        if not isinstance(message, TrainingMessage) or not self.place.is_for(message, event.room):
            return "not for us"
        if event.role != self.place.speaker(message) or (event.role != TRAINER and message.term > self.term):
            return "not theirs to say"  # a new term is the trainer's to tell, not a neighbour's
        if self.phase in IDLE:
            return triggers.of_training(self, message)
        return triggers.at_work(message, [self._worked().message, *(heard.message for heard in self._waiting)])

    # --- who speaks for which run and term

    def _adopt_run(self, event: Heard) -> list[Command]:
        message = event.message
        assert isinstance(message, PositionRequest)
        self.run, self.term = message.run, message.term
        self._forget_replies()
        return self.handle(event)

    def _begin_anew(self, event: Heard) -> list[Command]:
        """A new trainer, or a batch that the kept graph is not of: who stands before it went astray and was mended."""
        assert isinstance(event.message, TrainingMessage)
        self.term = event.message.term
        self._forget_replies()
        return self.handle(event)

    def _forget_replies(self) -> None:
        """What was said to another trainer, or before a restore, answers nothing any more; the kept graph goes too."""
        self.held = 0
        self.phase = "ready"
        self.said.forget()

    def _refuse_term(self, event: Heard) -> list[Command]:
        assert isinstance(event.message, TrainingMessage)
        text = f"term {event.message.term} is over: this evaluator serves term {self.term}"
        return [self._refusal(event, RefusalCode.STALE_TERM, text, to=event.name)]

    def _refuse_run(self, event: Heard) -> list[Command]:
        message = event.message
        assert isinstance(message, PositionRequest | Restore | Promote)
        text = f"{self.place.role} has checkpoints of run {self.run or 'none'}, not of run {message.run}"
        return [self._refusal(event, RefusalCode.WRONG_RUN, text, to=event.name)]

    # --- where it stands

    def _tell_position(self, event: Heard) -> list[Command]:
        """Past: a late copy of something done. No `why`, so that a trainer that stands at the same step goes on."""
        if event.role == TRAINER:
            self._trainer = event.name
        return [self._position("")]

    def _tell_misfit(self, event: Heard) -> list[Command]:
        assert isinstance(event.message, TrainingMessage)
        return [self._position(words.misfit(self, event.message))]

    def _position(self, why: str) -> Say:
        return Say(f"@{self._trainer}", words.position(self, why))

    # --- steps

    def _forward(self, event: Heard) -> list[Command]:
        message = event.message
        assert isinstance(message, Forward | Step)
        self._begin("forwarding", event)
        step = self.applied + 1
        due = self._rule.begin(step, event.at) if self.place.first else getattr(message, "ticket", "") == CHECKPOINT
        self._marked = (step, message.round) if due and not self._is_writing else (0, 0)
        return [RunForward(step, message.seed, message.data)]

    def _hold(self, event: Forwarded) -> list[Command]:
        message = self._done("holding")
        assert isinstance(message, Forward | Step)
        self.held = self.applied + 1
        self.width = event.predictions.shape[1]
        ticket = CHECKPOINT if self._marked[0] and not self.place.last else ""
        reply = words.predictions(message, self.held, event.predictions, ticket)
        self.said.forward, self.said.rows = Say(self.place.output_room, reply), message.data.shape[:1]
        return [self.said.forward, *self._resume()]

    def _refuse_forward(self, event: Impossible) -> list[Command]:
        heard = self._worked()
        self._done("ready")
        return [self._refusal(heard, event.code, event.text, step=self.applied + 1), *self._resume()]

    def _repeat_forward(self, _: Heard) -> list[Command]:
        return [*self.said.again(self.said.forward)]

    def _apply(self, event: Heard) -> list[Command]:
        message = event.message
        assert isinstance(message, Gradient | Step)
        fused = isinstance(message, Step)
        gradient = message.gradient if isinstance(message, Step) else message.data
        if gradient is None:
            return [self._refusal(event, RefusalCode.SHAPE, f"GRADIENT of step {message.step} has no data")]
        self._begin("applying", event)
        return [RunApply(self.held, gradient, not fused and (self.place.input_gradient or not self.place.first))]

    def _count_step(self, event: Applied) -> list[Command]:
        heard = self._worked()
        self._done("ready")
        self.applied, self.held, self.older = self.held, 0, False
        self.said.forget()
        kept = self._keep()
        if isinstance(heard.message, Step):
            return [*kept, *self._forward(heard)]
        reply = Gradient(term=self.term, step=self.applied, data=event.input_gradient)
        self.said.applied = Say(self.place.input_room, reply)
        return [*kept, self.said.applied, *self._resume()]

    def _refuse_gradient(self, event: Impossible) -> list[Command]:
        refusal = self._refusal(self._worked(), event.code, event.text)
        self._done("holding")
        return [refusal, *self._resume()]

    def _repeat_applied(self, _: Heard) -> list[Command]:
        return [*self.said.again(self.said.applied)]

    # --- checkpoints in the middle of a round

    def _keep(self) -> list[Command]:
        """One is written at a time: a slow disk costs steps after a death, not memory."""
        step, round_number = self._marked
        if step != self.applied or self._is_writing:
            return []
        self._is_writing = True
        self._rule.kept(step)
        return [RunCheckpoint(self.run, round_number, step, self.term)]

    def _count_checkpoint(self, event: CheckpointWritten) -> list[Command]:
        self._is_writing = False
        self.checkpoints += 1
        self.restorable = event.restorable
        return []

    def _count_failure(self, event: CheckpointFailed) -> list[Command]:
        self._is_writing = False
        self.failed_checkpoints += 1
        text = f"no checkpoint of step {event.step}: {event.text}; {self.failed_checkpoints} such failures so far"
        return [Note("warning", text)] if words.is_told(self.failed_checkpoints) else []

    # --- validation

    def _evaluate(self, event: Heard) -> list[Command]:
        assert isinstance(event.message, Forward)
        self._begin("evaluating", event)
        return [RunEvaluate(event.message.data)]

    def _answer_validation(self, event: Evaluated) -> list[Command]:
        message = self._done(self._rest())
        assert isinstance(message, Forward)
        return [Say(self.place.output_room, replace(message, data=event.predictions)), *self._resume()]

    def _refuse_work(self, event: Impossible) -> list[Command]:
        refusal = self._refusal(self._worked(), event.code, event.text)
        self._done(self._rest())
        return [refusal, Note("error", event.text), *self._resume()]

    # --- promotion and restoration

    def _save(self, event: Heard) -> list[Command]:
        assert isinstance(event.message, Promote)
        self._begin("saving", event)
        return [RunPromote(self.run, event.message.round, self.applied, event.message.weights_of, self.term)]

    def _answer_promotion(self, event: Promotion) -> list[Command]:
        message = self._done(self._rest())
        assert isinstance(message, Promote)
        self.older = message.weights_of != message.step
        if self.older:
            self._forget_replies()  # a kept graph is of weights that are there no more
        self.model_version, self.restorable = self.applied, event.restorable
        self._rule.kept(self.applied)
        reply = Promoted(self.term, self.place.role, message.round, self.applied, event.digest)
        self.said.promote, self.said.promoted = message, Say(f"@{self._trainer}", reply)
        return [self.said.promoted, *self._resume()]

    def _repeat_promoted(self, _: Heard) -> list[Command]:
        return [*self.said.again(self.said.promoted)]

    def _refuse_promotion(self, event: Impossible) -> list[Command]:
        message = self._worked().message
        assert isinstance(message, Promote)
        is_left = event.restorable is None or message.weights_of in (message.step, *event.restorable)
        return self._refuse_work(event) if is_left else self._stay_here(event)

    def _restore(self, event: Heard) -> list[Command]:
        assert isinstance(event.message, Restore)
        self._begin("restoring", event)
        return [RunRestore(self.run, event.message.step)]

    def _stand_there(self, event: Restored) -> list[Command]:
        self._done("ready")
        self._forget_replies()
        self.applied, self.model_version, self.restorable = event.applied, event.model_version, event.restorable
        self.older = event.older
        self._rule.kept(self.applied)
        return [self._position(""), Note("info", f"back at step {self.applied}"), *self._resume()]

    def _stay_here(self, event: Impossible) -> list[Command]:
        self._done(self._rest())
        if event.restorable is not None:
            self.restorable = event.restorable
        return [self._position(event.text), Note("warning", event.text), *self._resume()]

    # --- small things

    def _ignore(self, event: Heard) -> list[Command]:
        return []

    def _await_answer(self, _: Heard) -> list[Command]:
        return [*self.said.again(None)]

    @property
    def waiting(self) -> int:
        """Messages that wait for the engine."""
        return len(self._waiting)

    def _count_unheeded(self, event: Heard) -> list[Command]:
        self.unheeded += 1
        kind = type(event.message).__name__.upper()
        who = f"{event.name or 'somebody unknown'} (role {event.role or 'unknown'})"
        text = f"{kind} of {who} is not theirs to say and counts for nothing; {self.unheeded} such messages so far"
        return [Note("warning", text)] if words.is_told(self.unheeded) else []

    def _drop(self, _: Heard) -> list[Command]:
        self.dropped += 1
        return []

    def _let_wait(self, event: Heard) -> list[Command]:
        self._waiting.append(event)
        return []

    def _resume(self) -> list[Command]:
        """The engine is free: what waited comes now, in its order, until it is at work again."""
        commands: list[Command] = []
        while self._waiting and self.phase in IDLE:
            commands += self.handle(self._waiting.popleft())
        return commands

    def _begin(self, phase: str, work: Heard) -> None:
        if work.role == TRAINER:
            self._trainer = work.name
        self.phase, self._work = phase, work

    def _worked(self) -> Heard:
        assert self._work is not None
        return self._work

    def _done(self, phase: str) -> Message:
        """Back to `phase`; returns the message that was worked on."""
        message = self._worked().message
        self.phase, self._work = phase, None
        return message

    def _rest(self) -> str:
        return "holding" if self.held else "ready"

    def _refusal(self, event: Heard, code: str, text: str, *, step: int | None = None, to: str | None = None) -> Say:
        """To the trainer; `to`: who said something in the name of another run or term."""
        refused = words.refusal(self.place.role, event.message, code, text, step)
        return Say(f"@{to or self._trainer}", refused)
