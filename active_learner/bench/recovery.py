"""How long a killed process takes to work again: from kill -9 to its next useful message, on the digits that ship."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from active_learner.bench.outcome import Goal, Outcome, middle
from active_learner.config import loading, run_folder
from active_learner.faults.attacks import KILL, Attack
from active_learner.services.chaos import Account
from active_learner.services.fire import Burning, Fire
from active_learner.services.plan import free_address

REPEATS = 10
GOALS_S = {"broker": 0.5, "trainer": 2.0, "evaluator": 5.0}
"""Of the median: a broker imports little, a trainer no torch, an evaluator torch."""

WORST_S = 15.0

ALSO = ("source", "labeler")
"""Measured too; nobody waits for them."""

AFTER_S = 0.3
"""Between one recovery and the next kill: steps, questions and candidates are under way again."""

SETS = ("trainer.epochs=40", "trainer.resend_s=0.2", "trainer.initial_labels=40", "validation.path=null")
"""Rounds of many steps, so that most kills fall into one."""


def bench(repeats: int = REPEATS) -> Outcome:
    """Median and longest of `repeats` kills of each process of one run."""
    outcome = Outcome("recovery", ("killed", "p50 s", "max s", "kills"))
    account = measured(repeats, lambda line: None)
    seconds = account.seconds()
    for program in (*GOALS_S, *ALSO):
        times = seconds.get(program, [])
        outcome.figures[program] = times
        told = (f"{middle(times):.2f}", f"{max(times):.2f}") if times else ("-", "-")
        outcome.rows.append((program, *told, str(len(times))))
    for program, goal_s in GOALS_S.items():
        times = seconds.get(program, [])
        middle_s = middle(times) if times else float("inf")
        outcome.goals.append(
            Goal(f"{program} works again within {goal_s} s", f"p50 {middle_s:.2f} s", middle_s <= goal_s)
        )
    longest = max((one for times in seconds.values() for one in times), default=float("inf"))
    outcome.goals.append(Goal(f"every one under {WORST_S:.0f} s", f"{longest:.2f} s", not account.late))
    return outcome


def measured(repeats: int, say: Callable[[str], None], patience: float = 1.0) -> Account:
    """A run of the digits in which each process is killed so often, one at a time. `patience`: as in services/fire.py."""
    programs = (*GOALS_S, *ALSO)
    attacks = [Attack(program, KILL, AFTER_S) for _ in range(repeats) for program in programs]
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        sets = (*SETS, f"run_dir={Path(folder) / 'run'}", f"broker.address={free_address()}")
        config = loading.load("digits", sets)
        run_folder.prepare(config)
        burning = asyncio.run(_burnt(Fire(config, attacks, patience=patience), say))
    if burning.stalled:
        raise RuntimeError(f"the run under fire did not come to its end: {burning.stalled}")
    return burning.account


async def _burnt(fire: Fire, say: Callable[[str], None]) -> Burning:
    burning = Burning(fire, lambda name, line: None, say)
    await burning.run()
    return burning
