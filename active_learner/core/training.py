"""The training machine: plans become applied steps, exactly once and in order. Knows plans, steps and stages; not
labels' meaning, features, sockets or clocks.

Phases: idle, planning, syncing, taking (a higher term), predicting, computing, applying, validating, promoting, committing,
halted, and ended, after which nothing is said any more. Whatever is lost is said again on a Tick; whatever does not fit leads to syncing,
which asks every stage where it stands. What an event is: training_triggers.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from active_learner.core import training_triggers as triggers
from active_learner.core.machine import Machine
from active_learner.core.promotion import Gate
from active_learner.core.records import Plan, RoundResult
from active_learner.core.resends import Backoff, Due, Jitter, no_jitter
from active_learner.core.round_log import RoundLog
from active_learner.core.schedule import BatchPlace, last_step, place_of, plan_of
from active_learner.core.stages import Restoration, Stages
from active_learner.core.training_events import (
    AppliedHeard,
    AskPosition,
    Command,
    CommitResult,
    ComputeGradient,
    End,
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
    Replaced,
    ResultCommitted,
    RoundEnded,
    RoundWanted,
    SendForward,
    SendGradient,
    SendPromote,
    SendRestore,
    SendStep,
    StageLeft,
    TakeTerm,
    TermTaken,
    Tick,
    Validate,
    ValidationDone,
)

BACKOFF_LIMIT = 8
"""The wait before a re-send doubles up to so many times the first one: a person watching sees life within seconds."""

HALT_RETRY_S = 30.0
"""A refusal is deterministic: nothing gets better by itself soon, but a person may have mended the evaluator."""


class TrainingMachine(Machine[Event, Command]):
    """One trainer's training: `term` is its own, `plans` all there are, the last one perhaps without a result."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("idle", "round wanted"): "_plan",
        ("*", "round wanted"): "_remember_round",
        ("planning", "plan committed"): "_adopt_plan",
        ("planning", "nothing to train"): "_nothing_to_train",
        ("planning", "stage joined"): "_wait",
        ("*", "stage joined"): "_sync",
        ("*", "stage left"): "_stage_left",
        ("syncing", "position"): "_hear_position",
        ("syncing", "last position"): "_reconcile",
        ("predicting", "misfit"): "_sync",
        ("applying", "misfit"): "_sync",
        ("validating", "misfit"): "_doubt",
        ("promoting", "misfit"): "_doubt",
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
        ("*", "tick"): "_wait",
        ("syncing", "late"): "_say_again",
        ("predicting", "late"): "_say_again",
        ("applying", "late"): "_say_again",
        ("validating", "late"): "_say_again",
        ("promoting", "late"): "_say_again",
        ("halted", "late"): "_sync",
        ("predicting", "replaced"): "_give_way",
        ("applying", "replaced"): "_give_way",
        ("validating", "replaced"): "_give_way",
        ("promoting", "replaced"): "_give_way",
        ("syncing", "replaced"): "_take_term",
        ("taking", "term taken"): "_sync_anew",
        ("taking", "stage joined"): "_wait",
        ("ended", "stage joined"): "_wait",
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
        gate: Gate | None = None,
        accept_rollback: bool = False,
        jitter: Jitter = no_jitter,
    ) -> None:
        """`width`: of the predictions that the loss wants (None: any). `history`: every plan of the run, by round. `gate` None:
        every round's model scores. `accept_rollback`: the evaluators go back when they know more than this store."""
        super().__init__("idle")
        self.term = term
        self.stages = Stages(roles, width)
        self._want_fused = fused and len(roles) == 1
        self._backoff = Backoff(resend_s, resend_s * BACKOFF_LIMIT, jitter)
        self._validate_every, self._gate, self._accept_rollback = validate_every, gate, accept_rollback
        self.plans = [plan for plan, _ in history]
        self._log = RoundLog({plan.round: result for plan, result in history if result is not None})
        self.applied = 0
        self.place: BatchPlace | None = None
        self.stale = self.resent = self.refused = 0
        self.halt_reason = ""
        self.round_wanted = False
        self._ended_round: int | None = None
        self._unanswered: list[Command] = []
        self._due = Due(0.0, 0.0)
        self._has_met, self._is_above = False, not accept_rollback
        # before we met, nobody can have done more; an open plan may be one of after the rollback, and what was done one of before
        self._last_known = last_step([plan for plan, result in history if result is not None or not accept_rollback])
        self._doubted, self.deadline = -1, float("inf")

    def classify(self, event: Event) -> str:
        return triggers.trigger(self, event)

    @property
    def promoted(self) -> set[str]:
        """Roles that have said PROMOTED of this round."""
        return set(self._log.digests)

    # --- planning

    def _plan(self, event: RoundWanted) -> list[Command]:
        """Behind an accepted rollback not before all have gone back: steps of a plan that is lost could be taken for its own."""
        if self._accept_rollback and not self._has_met:
            who = " and ".join(self.stages.silent)
            return [*self._remember_round(event), Note("warning", f"{who} must come and go back before a round begins")]
        self.round_wanted = False
        self._enter("planning", None)
        return [MakePlan(None, last_step(self.plans) + 1)]

    def _remember_round(self, _: RoundWanted) -> list[Command]:
        self.round_wanted = True
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
        return self._say("syncing", [AskPosition(self.term)], event.at)

    def _hear_position(self, event: PositionHeard) -> list[Command]:
        self.stages.hear(event)
        return []

    def _reconcile(self, event: PositionHeard) -> list[Command]:
        self.stages.hear(event)
        last = last_step(self.plans) if self._has_met else self._last_known
        ahead = self.stages.ahead_of(last)
        if ahead and not self._accept_rollback:
            return self._end(ahead)
        if not self._is_above:  # a trainer on the store as it was later may have had this very term
            return self._outbid()
        meeting = self.stages.reconcile(last)
        if isinstance(meeting, str):
            return self._halt_because(meeting, event.at)
        if isinstance(meeting, Restoration):
            return self._restore(meeting, event.at)
        self.applied, self._has_met = meeting, True
        return self._go_on(event.at)

    def _restore(self, meeting: Restoration, at: float) -> list[Command]:
        self.stages.forget()
        restores = (SendRestore(role, meeting.step) for role in meeting.roles)
        return self._say("syncing", [*restores, AskPosition(self.term)], at)

    def _go_on(self, at: float) -> list[Command]:
        """From `applied` to whatever comes next."""
        ended = plan_of(self.plans, self.applied)
        if ended is not None and self.applied == ended.last_step and not self._is_settled(ended):
            return self._end_plan(ended, at)
        plan = plan_of(self.plans, self.applied + 1)
        if plan is None:
            return self._rest(at)
        self._log.start(plan, at)
        return self._forward(plan, at)

    def _is_settled(self, plan: Plan) -> bool:
        """Its result is kept and every stage has the checkpoint."""
        return self._log.has_result(plan) and self.stages.promoted(plan.last_step)

    def _take_term(self, event: Replaced) -> list[Command]:
        """Only before anything was done in the present term: two trainers must not outbid each other for ever."""
        may = self._accept_rollback and not self._has_met
        return self._outbid(is_above=False) if may else self._give_way(event)

    def _outbid(self, is_above: bool = True) -> list[Command]:
        self._is_above = is_above
        self._enter("taking", None)
        return [TakeTerm()]

    def _sync_anew(self, event: TermTaken) -> list[Command]:
        self.term = event.term
        return self._sync(event)

    def _give_way(self, event: Replaced) -> list[Command]:
        return self._end(f"{event.role}: {event.text}")

    def _end(self, text: str) -> list[Command]:
        self._enter("ended", None)
        return [End(text)]

    def _rest(self, at: float) -> list[Command]:
        self.place = None
        self._enter("idle", None)
        ended, self._ended_round = self._ended_round, None
        commands: list[Command] = [ModelReady(self.applied) if ended is None else RoundEnded(ended, self.applied)]
        return [*commands, *self._plan(RoundWanted(at))] if self.round_wanted else commands

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
        self._log.add_loss(event.step, event.loss, event.at)
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
        if self._log.has_result(plan) and self._doubted != plan.round:
            return self._say_promote(plan, at)
        if self._doubted == plan.round or (self._gate is not None and self.stages.any_promoted(plan.last_step)):
            return self._do_again(plan, at)  # by which verdict died with a trainer: those weights must not be judged
        if plan.round % self._validate_every == 0:
            return self._say("validating", [Validate(plan.round, again=False)], at)
        return self._say_promote(plan, at)

    def _promote(self, event: ValidationDone) -> list[Command]:
        plan = self._present_plan()
        best = self._log.promoted_before(plan)
        self._log.validated(event, self._gate.objection(event, best) if self._gate is not None else "")
        return self._say_promote(plan, event.at)

    def _say_promote(self, plan: Plan, at: float) -> list[Command]:
        held_back = self._log.held_back(plan)
        if held_back and not self.stages.can_reach(plan.base_version):
            return self._restore(self.stages.meet(plan.base_version), at)
        weights_of = plan.base_version if held_back else plan.last_step
        return self._say("promoting", [SendPromote(plan.round, plan.last_step, weights_of)], at)

    def _doubt(self, event: PositionHeard) -> list[Command]:
        """It stands there, and what fits there does not: its weights are not those of the round's last step."""
        self._doubted = self._present_plan().round if event.applied == self.applied else self._doubted
        return self._sync(event)

    def _do_again(self, plan: Plan, at: float) -> list[Command]:
        """Its last steps at least, from the nearest checkpoint before its end."""
        self._doubted = -1
        return self._restore(self.stages.meet(plan.last_step - 1), at)

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
        held_back = self._log.held_back(plan)
        told = [Note("warning", f"round {plan.round} is held back: {held_back}")] if held_back else []
        return [CommitResult(self._log.close(plan, digest, event.at)), *told]

    def _finish_round(self, event: ResultCommitted) -> list[Command]:
        self._ended_round = event.round
        return self._go_on(event.at)

    def _remember_ended(self, event: ResultCommitted) -> list[Command]:
        self._ended_round = event.round
        return []

    # --- what goes wrong

    def _halt(self, event: LossFailed | Refusal) -> list[Command]:
        self.refused += 1
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
        is_long = self._due.wait_s >= self._backoff.longest_s
        if is_long and len(self.stages.roles) > 1 and self.phase in ("predicting", "applying"):
            return self._sync(event)
        self._due = self._backoff.next(self._due, event.at)
        self.deadline = self._due.at
        self.stages.asks_again()
        return [Validate(c.round, again=True) if isinstance(c, Validate) else c for c in self._unanswered]

    def _wait(self, _: Event) -> list[Command]:
        return []

    # --- small things

    def _present_plan(self) -> Plan:
        plan = plan_of(self.plans, self.applied)
        assert plan is not None
        return plan

    def _say(self, phase: str, commands: list[Command], at: float) -> list[Command]:
        """Enter the phase that waits for the answer; a late Tick says it again, or what is asked too often for the first time."""
        self._due = self._backoff.first(at)
        self._enter(phase, self._due.at)
        self._unanswered = commands
        return commands if phase != "syncing" or self.stages.may_ask(at, self._backoff.first_s) else []

    def _enter(self, phase: str, deadline: float | None) -> None:
        self.phase = phase
        self.deadline = float("inf") if deadline is None else deadline
        if phase != "halted":
            self.halt_reason = ""
