"""The steps of a plan: which rows are in which batch. Knows plans and seeds; not labels, features or messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from active_learner.core.records import Plan
from active_learner.core.seeds import epoch_order


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """Where a step stands in its round; epoch and batch count from 0."""

    plan: Plan
    step: int
    epoch: int
    batch: int
    rows: tuple[int, ...]
    """Positions in `plan.rows`."""


@lru_cache(maxsize=64)
def _epoch_batches(seed: int, round_number: int, epoch: int, rows: int, batch_size: int) -> tuple[tuple[int, ...], ...]:
    order = epoch_order(seed, round_number, epoch, rows)
    return tuple(tuple(order[start : start + batch_size]) for start in range(0, rows, batch_size))


def place_of(plan: Plan, step: int) -> BatchPlace:
    """The batch of `step`: every epoch uses each row once, in an order of its own.

    Raises: ValueError when the step is not of this plan.
    """
    if not plan.first_step <= step <= plan.last_step:
        raise ValueError(f"step {step} is not of round {plan.round} ({plan.first_step} to {plan.last_step})")
    epoch, batch = divmod(step - plan.first_step, plan.batches_per_epoch)
    batches = _epoch_batches(plan.seed, plan.round, epoch, len(plan.rows), plan.batch_size)
    return BatchPlace(plan, step, epoch, batch, batches[batch])


def last_step(plans: Sequence[Plan]) -> int:
    """Of the last plan; 0 without one."""
    return plans[-1].last_step if plans else 0


def plan_of(plans: Sequence[Plan], step: int) -> Plan | None:
    """The plan that has this step; plans are by round, their steps without gap."""
    for plan in reversed(plans):
        if plan.first_step <= step <= plan.last_step:
            return plan
    return None
