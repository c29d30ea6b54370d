"""Members that read slowly or not at all: others lose nothing, what is shed is counted exactly, the broker stays small."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import ClassVar

from active_learner.bench.load import Crowd, SessionLost, crowd, flood
from active_learner.bench.outcome import Goal
from active_learner.bench.slow import BOUND_BYTES, MEGABYTES, RATE, lacking, steady
from tests.proofs.base import Proof, Say, Tally

READERS = {"one": "all", "two": "slow", "three": "stopped"}
RATES = (RATE, RATE // 2, RATE // 4)
"""Of the short form: the next one when a machine is too busy for this one. What is promised holds at any."""
SHARE = 0.95
"""Of RATE that a busy machine must reach: below it the run was another one."""


class Slow(Proof):
    title: ClassVar[str] = f"one slow and one stopped member at {RATE:,} messages/s; 1 GB pushed at a stopped one"
    unit: ClassVar[str] = "seconds"
    short: ClassVar[int] = 8
    long: ClassVar[int] = 600
    chunk: ClassVar[int] = 300
    timeout_s: ClassVar[float] = 900.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        try:
            steadily = self._steadily(units)
            self._judge("20,000/s", steadily, tally, say)
            tally.measured("sent/s", steadily.rate)
            self._judge("1 GB", steady(partial(flood, {"one": "stopped"}, MEGABYTES)), tally, say)
        except SessionLost as error:
            tally.fail(f"this machine is too busy for the load: {error}")
        return tally

    def _steadily(self, seconds: int) -> Crowd:
        """Raises: SessionLost, when even the slowest rate is too much."""
        if seconds > self.short:
            return steady(partial(crowd, READERS, RATE, seconds))
        *faster, slowest = RATES
        for rate in faster:
            with suppress(SessionLost):
                return crowd(READERS, rate, seconds)
        return steady(partial(crowd, READERS, slowest, seconds))

    def _judge(self, what: str, one: Crowd, tally: Tally, say: Say) -> None:
        p99_ms = 1000 * one.quantile(0.99)
        say(
            f"{what}: {one.sent:,} sent at {one.rate:,.0f}/s, {one.shed:,} shed, {one.unaccounted} uncounted, "
            f"{lacking(one)} lacking elsewhere, p99 of others {p99_ms:.1f} ms, broker {one.peak_bytes / 2**20:.0f} MiB"
        )
        tally.count("sent", one.sent)
        tally.count("shed", one.shed)
        tally.measured(f"p99 ms of others at {what}", p99_ms)
        tally.measured("broker MiB", one.peak_bytes / 2**20)
        if lacking(one):
            tally.fail(f"{what}: a member that reads all lacks {lacking(one)} of {one.sent}")
        if one.unaccounted:
            tally.fail(f"{what}: {one.unaccounted} copies neither came nor were counted: {one.readers}, {one.counters}")
        if one.counters.get("evicted"):
            tally.fail(f"{what}: {one.counters['evicted']} members were evicted, though all took what they were given")

    def goals(self, total: Tally, units: int) -> list[Goal]:
        slowest = min(total.samples.get("sent/s", [0.0]))
        most = total.highest.get("broker MiB", float("nan"))
        shed = total.counts["shed"]
        wanted = (
            SHARE * RATE if units >= self.long else 1.0
        )  # what is promised holds at any rate that a busy machine gives
        return [
            Goal(f"at least {wanted:,.0f} of {RATE:,} messages/s sent", f"{slowest:,.0f}", slowest >= wanted),
            Goal("something was shed at all", f"{shed:,}", shed > 0),
            Goal(f"broker under {BOUND_BYTES >> 20} MiB", f"{most:.0f} MiB", most < BOUND_BYTES >> 20),
        ]
