"""From kill -9 to the next useful message, for each process."""

from __future__ import annotations

from typing import ClassVar

from active_learner.bench.outcome import Goal
from active_learner.bench.recovery import GOALS_S, WORST_S, measured
from tests.proofs.base import Proof, Say, Tally
from tests.proofs.under_fire import PATIENCE

PROCESSES = 5


class Recovery(Proof):
    """A unit is a kill. In a test run on a busy machine only the bound counts; the medians are told by the long form."""

    title: ClassVar[str] = "recovery from a kill to the next useful message"
    unit: ClassVar[str] = "kills"
    short: ClassVar[int] = 2 * PROCESSES
    long: ClassVar[int] = 20 * PROCESSES
    chunk: ClassVar[int] = 10 * PROCESSES
    timeout_s: ClassVar[float] = 600.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        account = measured(units // PROCESSES, say, PATIENCE)
        tally.count("kills", account.deaths)
        tally.count("late", len(account.late))
        tally.count("not back", len(account.not_back))
        for program, seconds in account.seconds().items():
            for one in seconds:
                tally.measured(f"{program} s", one)
        for words in account.unexpected:
            tally.fail(words)
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        longest = max(total.highest.values(), default=float("inf"))
        bounded = not counts["late"] and not counts["not back"] and longest < WORST_S
        found = [
            Goal(f"{units} kills", f"{counts['kills']}", counts["kills"] >= units),
            Goal(f"every one works again within {WORST_S:.0f} s", f"at most {longest:.2f} s", bounded),
        ]
        return found if units < self.long else [*found, *(_median(total, one) for one in GOALS_S)]


def _median(total: Tally, program: str) -> Goal:
    seconds = sorted(total.samples.get(f"{program} s", [])) or [float("inf")]
    p50, goal_s = seconds[len(seconds) // 2], GOALS_S[program]
    return Goal(f"{program} within {goal_s} s", f"p50 {p50:.2f} s, max {seconds[-1]:.2f} s", p50 <= goal_s)
