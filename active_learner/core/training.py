"""The training machine: plans become applied steps, exactly once and in order. Knows plans, steps and stages; not
labels' meaning, features, sockets or clocks.

Phases: idle, planning, syncing, predicting, computing, applying, validating, promoting, committing, halted. Whatever is
lost is said again on a Tick; whatever does not fit leads to syncing, which asks every stage where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from active_learner.core.machine import Machine
from active_learner.core.records import Plan, RoundResult
from active_learner.core.round_log import RoundLog
from active_learner.core.schedule import BatchPlace, place_of, plan_of
from active_learner.core.stages import Restoration, Stages
from active_learner.core.training_events import (
    AppliedHeard,
    AskPosition,
    Command,
    CommitResult,
    ComputeGradient,
    Event,
    GradientReady,
    LossFailed,
    MakePlan,
    ModelReady,
    Note,
    NothingToTrain,
    PlanCommitted,
    PositionHeard,
    PredictionHeard,
    PromotedHeard,
    Refusal,
    ResultCommitted,
    RoundEnded,
    RoundWanted,
    SendForward,
    SendGradient,
    SendPromote,
    SendRestore,
    SendStep,
    StageJoined,
    StageLeft,
    Tick,
    Validate,
    ValidationDone,
)

BACKOFF_LIMIT = 8
"""The wait before a re-send doubles up to so many times the first one: a person watching sees life within seconds."""

HALT_RETRY_S = 30.0
"""A refusal is deterministic: nothing gets better by itself soon, but a person may have mended the evaluator."""

TOLD = {
    PredictionHeard: "prediction",
    GradientReady: "gradient",
    AppliedHeard: "applied",
    LossFailed: "loss failed",
    ValidationDone: "validated",
    PromotedHeard: "promoted",
}


class TrainingMachine(Machine[Event, Command]):
    """One trainer's training: `term` is its own, `plans` all there are, the last one perhaps without a result."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("idle", "round wanted"): "_plan",
        ("*", "round wanted"): "_remember_round",
        ("planning", "plan committed"): "_adopt_plan",
        ("planning", "nothing to train"): "_nothing_to_train",
        ("planning", "tick"): "_wait",
        ("idle", "tick"): "_wait",
        ("planning", "stage joined"): "_wait",
        ("*", "stage joined"): "_sync",
        ("*", "stage left"): "_stage_left",
        ("syncing", "position"): "_hear_position",
        ("syncing", "last position"): "_reconcile",
        ("predicting", "misfit"): "_sync",
        ("applying", "misfit"): "_sync",
        ("validating", "misfit"): "_sync",
        ("promoting", "misfit"): "_sync",
        ("idle", "misfit"): "_sync",
        ("*", "misfit"): "_wait",
        ("*", "stale"): "_count_stale",
        ("predicting", "prediction"): "_compute",
        ("computing", "gradient"): "_send_gradient",
        ("computing", "loss failed"): "_halt",
        ("applying", "applied"): "_applied",
        ("validating", "validated"): "_promote",
        ("promoting", "promoted"): "_hear_promoted",
        ("promoting", "last promoted"): "_commit",
        ("committing", "committed"): "_finish_round",
        ("idle", "committed"): "_finish_round",
        ("*", "committed"): "_remember_ended",
        ("predicting", "refused"): "_halt",
        ("applying", "refused"): "_halt",
        ("validating", "refused"): "_halt",
        ("promoting", "refused"): "_halt",
        ("syncing", "refused"): "_halt",
        ("syncing", "tick"): "_wait",
        ("syncing", "late"): "_say_again",
        ("predicting", "tick"): "_wait",
        ("predicting", "late"): "_say_again",
        ("computing", "tick"): "_wait",
        ("applying", "tick"): "_wait",
        ("applying", "late"): "_say_again",
        ("validating", "tick"): "_wait",
        ("validating", "late"): "_say_again",
        ("promoting", "tick"): "_wait",
        ("promoting", "late"): "_say_again",
        ("committing", "tick"): "_wait",
        ("halted", "tick"): "_wait",
        ("halted", "late"): "_sync",
    }

    def __init__(
        self,
        *,
        term: int,
        roles: Sequence[str],
        width: int | None,
        fused: bool,
        resend_s: float,
        validate_every: int = 1,
        history: Sequence[tuple[Plan, RoundResult | None]] = (),
    ) -> None:
        """`width`: of the predictions that the loss wants (None: any). `history`: every plan of the run, by round."""
        super().__init__("idle")
        self.term = term
        self.stages = Stages(roles, width)
        self._want_fused = fused and len(roles) == 1
        self._resend_s = resend_s
        self._validate_every = validate_every
        self.plans = [plan for plan, _ in history]
        self._log = RoundLog({plan.round: result for plan, result in history if result is not None})
        self.applied = 0
        self.place: BatchPlace | None = None
        self.stale = 0
        self.resent = 0
        self.halt_reason = ""
        self._round_wanted = False
        self._ended_round: int | None = None
        self._unanswered: list[Command] = []
        self._wait_s = resend_s
        self._deadline = float("inf")

    # --- what an event is now

    def classify(self, event: Event) -> str:
        match event:
            case PredictionHeard() | GradientReady() | AppliedHeard() | LossFailed() | ValidationDone():
                return self._classify_step(event)
            case PositionHeard():
                return self._classify_position(event)
            case Tick(at=at):
                return "late" if at >= self._deadline else "tick"
            case PromotedHeard():
                return self._classify_promoted(event)
            case Refusal():
                return "refused" if event.term == self.term and self._expects_refusal(event) else "stale"
            case RoundWanted():
                return "round wanted"
            case PlanCommitted():
                return "plan committed"
            case NothingToTrain():
                return "nothing to train"
            case StageJoined():
                return "stage joined"
            case StageLeft():
                return "stage left"
            case ResultCommitted():
                return "committed"

    def _classify_step(
        self, event: PredictionHeard | GradientReady | AppliedHeard | LossFailed | ValidationDone
    ) -> str:
        if getattr(event, "term", self.term) != self.term:
            return "stale"
        if isinstance(event, ValidationDone):
            fits = self.phase == "validating" and event.round == self._present_plan().round
        else:
            wanted = {PredictionHeard: "predicting", AppliedHeard: "applying"}.get(type(event), "computing")
            fits = self.phase == wanted and self.place is not None and event.step == self.place.step
        return TOLD[type(event)] if fits else "stale"

    def _classify_position(self, event: PositionHeard) -> str:
        if event.term != self.term or event.role not in self.stages.roles:
            return "stale"
        if self.phase == "syncing":
            return "last position" if self.stages.would_complete(event) else "position"
        return "stale" if event.applied == self.applied and not event.why else "misfit"

    def _classify_promoted(self, event: PromotedHeard) -> str:
        fits = self.phase == "promoting" and event.term == self.term and event.step == self.applied
        if not fits or event.role not in self.stages.roles:
            return "stale"
        return "last promoted" if {*self._log.digests, event.role} == set(self.stages.roles) else "promoted"

    def _expects_refusal(self, event: Refusal) -> bool:
        if self.phase not in ("predicting", "applying", "validating", "promoting", "syncing"):
            return False
        return event.step in (0, self.applied, self.applied + 1, self.applied + 2)

    # --- planning

    def _plan(self, _: RoundWanted) -> list[Command]:
        self._round_wanted = False
        self._enter("planning", None)
        first_step = self.plans[-1].last_step + 1 if self.plans else 1
        return [MakePlan(None, first_step)]

    def _remember_round(self, _: RoundWanted) -> list[Command]:
        self._round_wanted = True
        return []

    def _adopt_plan(self, event: PlanCommitted) -> list[Command]:
        self.plans.append(event.plan)
        return self._sync(event)

    def _nothing_to_train(self, _: NothingToTrain) -> list[Command]:
        self._enter("idle", None)
        return [RoundEnded(None, self.applied), Note("warning", "no label to train on: the round was left out")]

    # --- where everyone stands

    def _sync(self, event: Event) -> list[Command]:
        self.stages.forget()
        return self._say("syncing", [AskPosition(self.term)], _at(event))

    def _hear_position(self, event: PositionHeard) -> list[Command]:
        self.stages.hear(event)
        return []

    def _reconcile(self, event: PositionHeard) -> list[Command]:
        self.stages.hear(event)
        last = self.plans[-1].last_step if self.plans else 0
        meeting = self.stages.reconcile(last)
        if isinstance(meeting, str):
            return self._halt_because(meeting, event.at)
        if isinstance(meeting, Restoration):
            self.stages.forget()
            restores: list[Command] = [SendRestore(role, meeting.step) for role in meeting.roles]
            return self._say("syncing", [*restores, AskPosition(self.term)], event.at)
        self.applied = meeting
        return self._go_on(event.at)

    def _go_on(self, at: float) -> list[Command]:
        """From `applied` to whatever comes next."""
        ended = plan_of(self.plans, self.applied)
        boundary = ended is not None and self.applied == ended.last_step
        if ended is not None and boundary and not self._is_settled(ended):
            return self._end_plan(ended, at)
        plan = plan_of(self.plans, self.applied + 1)
        if plan is None:
            return self._rest(at)
        self._log.start(plan, at)
        return self._forward(plan, at)

    def _is_settled(self, plan: Plan) -> bool:
        """Its result is kept and every stage has the checkpoint."""
        return self._log.has_result(plan) and self.stages.promoted(plan.last_step)

    def _rest(self, at: float) -> list[Command]:
        self.place = None
        self._enter("idle", None)
        ended, self._ended_round = self._ended_round, None
        commands: list[Command] = [ModelReady(self.applied) if ended is None else RoundEnded(ended, self.applied)]
        return [*commands, *self._plan(RoundWanted(at))] if self._round_wanted else commands

    # --- steps

    def _forward(self, plan: Plan, at: float) -> list[Command]:
        self.place = place_of(plan, self.applied + 1)
        if self.place.step == plan.first_step:
            self._log.restart_steps()
        return self._say("predicting", [SendForward(self.place)], at)

    def _compute(self, event: PredictionHeard) -> list[Command]:
        assert self.place is not None
        if self.applied < self.place.step - 1:  # fused: the prediction of k+1 says that k is applied
            self.applied = self.place.step - 1
        self._enter("computing", None)
        return [ComputeGradient(self.place, event.predictions)]

    def _send_gradient(self, event: GradientReady) -> list[Command]:
        assert self.place is not None
        self._log.add_loss(event.loss, event.at)
        plan = self.place.plan
        if self._want_fused and self.stages.fused and self.place.step < plan.last_step:
            self.place = place_of(plan, self.place.step + 1)
            return self._say("predicting", [SendStep(event.gradient, self.place)], event.at)
        return self._say("applying", [SendGradient(self.place.step, event.gradient)], event.at)

    def _applied(self, event: AppliedHeard) -> list[Command]:
        self.applied = event.step
        return self._go_on(event.at)

    # --- the end of a round

    def _end_plan(self, plan: Plan, at: float) -> list[Command]:
        self.place = None
        self._log.end_steps()
        if not self._log.has_result(plan) and plan.round % self._validate_every == 0:
            return self._say("validating", [Validate(plan.round, again=False)], at)
        return self._say("promoting", [SendPromote(plan.round, plan.last_step, plan.last_step)], at)

    def _promote(self, event: ValidationDone) -> list[Command]:
        self._log.validated(event)
        plan = self._present_plan()
        return self._say("promoting", [SendPromote(plan.round, plan.last_step, plan.last_step)], event.at)

    def _hear_promoted(self, event: PromotedHeard) -> list[Command]:
        self._log.digests[event.role] = event.digest
        return []

    def _commit(self, event: PromotedHeard) -> list[Command]:
        self._log.digests[event.role] = event.digest
        self.stages.promote(self.applied)
        plan = self._present_plan()
        digest = self._log.digest(self.stages.roles)
        if self._log.has_result(plan):
            divergence = self._log.divergence(plan, digest)
            return [*([Note("error", divergence)] if divergence else []), *self._go_on(event.at)]
        self._enter("committing", None)
        return [CommitResult(self._log.close(plan, digest, event.at))]

    def _finish_round(self, event: ResultCommitted) -> list[Command]:
        self._ended_round = event.round
        return self._go_on(event.at)

    def _remember_ended(self, event: ResultCommitted) -> list[Command]:
        self._ended_round = event.round
        return []

    # --- what goes wrong

    def _halt(self, event: LossFailed | Refusal) -> list[Command]:
        who = f"{event.role}: " if isinstance(event, Refusal) else ""
        return self._halt_because(f"step {event.step}: {who}{event.text}", event.at)

    def _halt_because(self, text: str, at: float) -> list[Command]:
        self.halt_reason = text
        self._enter("halted", at + HALT_RETRY_S)
        advice = f"mend it and start the evaluator again; it is tried again every {HALT_RETRY_S:g} s"
        return [Note("error", f"training is halted: {text} ({advice})")]

    def _stage_left(self, event: StageLeft) -> list[Command]:
        return [Note("warning", f"{event.role} is away: training waits for it")] if self.phase != "idle" else []

    def _count_stale(self, _: Event) -> list[Command]:
        self.stale += 1
        return []

    def _say_again(self, event: Tick) -> list[Command]:
        """What was said long enough in vain is not said again: a stage behind another may have begun anew, unheard."""
        self.resent += 1
        is_long = self._wait_s >= self._resend_s * BACKOFF_LIMIT
        if is_long and len(self.stages.roles) > 1 and self.phase in ("predicting", "applying"):
            return self._sync(event)
        self._wait_s = min(self._wait_s * 2, self._resend_s * BACKOFF_LIMIT)
        self._deadline = event.at + self._wait_s
        return [Validate(c.round, again=True) if isinstance(c, Validate) else c for c in self._unanswered]

    def _wait(self, _: Event) -> list[Command]:
        return []

    # --- small things

    def _present_plan(self) -> Plan:
        plan = plan_of(self.plans, self.applied)
        assert plan is not None
        return plan

    def _say(self, phase: str, commands: list[Command], at: float) -> list[Command]:
        """Enter the phase that waits for the answer; a late Tick says it again."""
        self._enter(phase, at + self._resend_s)
        self._unanswered = commands
        self._wait_s = self._resend_s
        return commands

    def _enter(self, phase: str, deadline: float | None) -> None:
        self.phase = phase
        self._deadline = float("inf") if deadline is None else deadline
        if phase != "halted":
            self.halt_reason = ""


def _at(event: Event) -> float:
    return getattr(event, "at", 0.0)
