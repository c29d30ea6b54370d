"""What is noted while a round runs, for its result. Knows plans and numbers; no phases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from active_learner.core.records import Plan, RoundResult
from active_learner.core.training_events import ValidationDone


class RoundLog:
    """Losses, times, validation and digests of the round that runs; the results of those that are over."""

    def __init__(self, results: dict[int, RoundResult]) -> None:
        self._results = results
        self._losses: dict[int, float] = {}
        self._steps_at: list[float] = []
        self._started_at: dict[int, float] = {}
        self._validation: ValidationDone | None = None
        self._objection = ""
        self.digests: dict[str, str] = {}

    def start(self, plan: Plan, at: float) -> None:
        """The first start counts: a replay is part of the round's time."""
        self._started_at.setdefault(plan.round, at)

    def restart_steps(self) -> None:
        self._losses.clear()
        self._steps_at.clear()

    def add_loss(self, step: int, loss: float, at: float) -> None:
        """Of one step, when its gradient was ready; a step that is done again has the same."""
        self._losses[step] = loss
        self._steps_at.append(at)

    def end_steps(self) -> None:
        self.digests.clear()
        self._validation, self._objection = None, ""

    def validated(self, event: ValidationDone, objection: str) -> None:
        """`objection`: why the round's model is held back; "": it is not."""
        self._validation, self._objection = event, objection

    def held_back(self, plan: Plan) -> str:
        """Why; "": it is not, or not judged yet."""
        return self._results[plan.round].held_back if self.has_result(plan) else self._objection

    def promoted_before(self, plan: Plan) -> RoundResult | None:
        """The last round before this one whose model was not held back."""
        rounds = sorted(number for number, one in self._results.items() if number < plan.round and not one.held_back)
        return self._results[rounds[-1]] if rounds else None

    def has_result(self, plan: Plan) -> bool:
        return plan.round in self._results

    def digest(self, roles: Sequence[str]) -> str:
        """Of all stages, input first."""
        return "+".join(self.digests[role] for role in roles)

    def divergence(self, plan: Plan, digest: str) -> str | None:
        """Says it when a replay of a finished round came to other weights."""
        earlier = self._results[plan.round].digest
        if earlier == digest:
            return None
        return f"round {plan.round} was replayed to other weights: {digest[:12]} instead of {earlier[:12]}"

    def close(self, plan: Plan, digest: str, at: float) -> RoundResult:
        """The result, kept; train_loss is the mean of the last epoch."""
        steps = range(plan.last_step + 1 - plan.batches_per_epoch, plan.last_step + 1)
        last_epoch = [self._losses[step] for step in steps if step in self._losses]
        heard = self._validation
        started = self._started_at.get(plan.round, at)
        result = RoundResult(
            round=plan.round,
            model_version=plan.last_step,
            digest=digest,
            labels=len(plan.rows),
            accuracy=heard.accuracy if heard else None,
            loss=heard.loss if heard else None,
            calibration_error=heard.calibration_error if heard else None,
            train_loss=sum(last_epoch) / len(last_epoch) if last_epoch else None,
            seconds=at - started,
            extra={
                "steps": plan.steps,
                "step_p50_s": self._median_step(),
                **({"held_back": self._objection} if self._objection else {}),
            },
        )
        self._results[plan.round] = result
        return result

    def _median_step(self) -> float | None:
        """Seconds from one gradient to the next; None with fewer than two."""
        times = [after - before for before, after in pairwise(self._steps_at)]
        return median(times) if times else None
