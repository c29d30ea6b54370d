"""What a run under fire has kept of its promises: goals, met or missed. Knows stores, plans and histories; attacks nothing."""

from __future__ import annotations

import subprocess  # nosec B404
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from active_learner.bench.outcome import Goal, middle
from active_learner.faults.history import History, Kept
from active_learner.services.chaos import PATIENCE_S, Account

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.core.records import Plan, RoundResult

SHOWN = 5
"""Violations told in words; all are counted."""


def answers(history: History, kept: Sequence[Kept]) -> Goal:
    """Nothing that a labeler was told is kept may be missing, and nothing be there twice."""
    violations = history.violations(kept)
    measured = f"{len(history.acknowledged):,} acknowledged, {len(kept):,} kept, {len(violations)} lost or doubled"
    return Goal(
        "every acknowledged answer is kept once", "\n    ".join([measured, *violations[:SHOWN]]), not violations
    )


def steps(plans: Sequence[tuple[Plan, RoundResult | None]]) -> Goal:
    """Plans follow one another without a gap, and each finished one has come to its last step."""
    wrong = [
        f"round {plan.round} begins at step {plan.first_step}"
        for (before, _), (plan, _) in pairwise(plans)
        if plan.first_step != before.last_step + 1
    ]
    wrong += [
        f"round {plan.round} ended at step {result.model_version}, not {plan.last_step}"
        for plan, result in plans
        if result is not None and result.model_version != plan.last_step
    ]
    finished = [plan for plan, result in plans if result is not None]
    measured = f"{finished[-1].last_step if finished else 0:,} steps in {len(finished)} rounds"
    return Goal("every step is there once", "\n    ".join([measured, *wrong[:SHOWN]]), bool(finished) and not wrong)


def attacks(account: Account, wanted: int) -> list[Goal]:
    """Whether all were made, and everybody came back."""
    inside = sum(account.inside().values())
    made = f"{len(account.blows)}, of which {inside} at a crash point"
    late = [blow.attack.told() for blow in account.late]
    return [
        Goal(f"{wanted} attacks", made, len(account.blows) >= wanted),
        Goal(f"everybody works again within {PATIENCE_S:.0f} s", "\n    ".join([recovery(account), *late]), not late),
        Goal(
            "nobody ended by itself",
            "\n    ".join([f"{len(account.unexpected)} did", *account.unexpected[:SHOWN]]),
            not account.unexpected,
        ),
    ]


def recovery(account: Account) -> str:
    """Median and longest time to the next useful word, by program."""
    seconds = account.seconds()
    told = [f"{name} {middle(times):.2f} s (at most {max(times):.2f})" for name, times in sorted(seconds.items())]
    return ", ".join(told) or "nobody had to"


def replayed(folder: Path) -> Goal:
    """`replay` trains the run again in a process of its own, from plans, labels and seeds alone."""
    command = [sys.executable, "-P", "-m", "active_learner", "replay", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603
    lines = [*ended.stdout.splitlines(), *ended.stderr.splitlines()] or ["it said nothing"]
    words = "the weights are those of an undisturbed run of the same plans"
    return Goal(words, lines[-1].removeprefix("replay: "), ended.returncode == 0)


def kept_of(config: Config, folder: Path) -> tuple[list[Kept], list[tuple[Plan, RoundResult | None]]]:
    """Asked answers and plans of the run in `folder`, read from its store when nobody writes there any more."""
    from active_learner.config.sample import resolve
    from active_learner.stores import open_store

    store = open_store(config.store.url, folder)
    store.open(config.name, resolve(config))
    try:
        events = [event for event in store.events() if event.question]
        kept = [Kept(one.id, one.question, one.annotator, one.revision, one.value) for one in events]
        return kept, store.plans()
    finally:
        store.close()
