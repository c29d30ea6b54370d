"""Members that read slowly or not at all, at 20,000 messages a second: what the others notice, beside idle, in one run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from active_learner.bench.load import FRAME_BYTES, Crowd, SessionLost, crowd, flood
from active_learner.bench.outcome import Goal, Outcome, times

RATE = 20_000
SECONDS = 10
MEGABYTES = 1000
BOUND_BYTES = 256 << 20
ATTEMPTS = 3
"""A machine that gives the broker no time for a second makes it lose a session: that run says nothing."""

PHASES: dict[str, dict[str, str]] = {
    "all read": {"one": "all", "two": "all", "three": "all"},
    "one slow": {"one": "all", "two": "all", "three": "slow"},
    "one stopped": {"one": "all", "two": "all", "three": "stopped"},
}
"""The same load and as many members: only how the third reads is different."""
IDLE = "idle"
PUSH = "1 GB at a stopped"


def bench(rounds: int = 1) -> Outcome:
    """Each phase `rounds` times SECONDS, one after the other."""
    outcome = Outcome(
        f"slow: {RATE:,} messages/s of {FRAME_BYTES} B to three members; round trip of a pair beside them",
        (
            "members",
            "sent/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "of idle p99",
            "others lack",
            "shed",
            "uncounted",
            "broker MB",
        ),
    )
    found: dict[str, Crowd] = {IDLE: steady(partial(crowd, {}, 1, SECONDS * rounds))}
    for name, members in PHASES.items():
        found[name] = steady(partial(crowd, members, RATE, SECONDS * rounds))
    found[PUSH] = steady(partial(flood, {"three": "stopped"}, MEGABYTES))
    for name, one in found.items():
        outcome.rows.append(_row(name, one, found[IDLE]))
        outcome.figures[name] = _figures(one)
    outcome.goals.extend(goals(found))
    return outcome


def steady(run: Callable[[], Crowd], attempts: int = ATTEMPTS) -> Crowd:
    """Again when a session was lost. Raises: SessionLost when it always is."""
    try:
        return run()
    except SessionLost:
        if attempts == 1:
            raise
        return steady(run, attempts - 1)


def lacking(one: Crowd) -> int:
    """Messages that members who read all did not get."""
    return sum(one.sent - report["came"] for report in one.readers.values() if report["manner"] == "all")


def goals(found: dict[str, Crowd]) -> list[Goal]:
    loaded = {name: one for name, one in found.items() if name != IDLE}
    reached = min(one.rate for name, one in loaded.items() if name in PHASES)
    most = max(one.peak_bytes for one in loaded.values())
    worst = max(found[name].quantile(0.99) for name in PHASES)
    without, idle = found["all read"].quantile(0.99), found[IDLE].quantile(0.99)
    lack, uncounted = sum(map(lacking, loaded.values())), sum(one.unaccounted for one in loaded.values())
    return [
        Goal(f"{RATE:,} messages/s sent", f"{reached:,.0f}", reached >= 0.99 * RATE),
        Goal("the others lose nothing", f"{lack} lacking", lack == 0),
        Goal("what is shed is counted exactly", f"{uncounted} uncounted", uncounted == 0),
        Goal(f"broker under {BOUND_BYTES >> 20} MiB", f"{most / 2**20:.0f} MiB", most < BOUND_BYTES),
        Goal("a slow member at most doubles the others' p99", times(worst / without), worst <= 2 * without),
        Goal("and it is at most twice the idle one", times(worst / idle), worst <= 2 * idle),
    ]


def _row(name: str, one: Crowd, idle: Crowd) -> tuple[str, ...]:
    waits = [one.quantile(share) for share in (0.5, 0.99, 1.0)]
    return (
        name,
        f"{one.rate:,.0f}",
        *(f"{1000 * wait:.2f}" for wait in waits),
        times(waits[1] / idle.quantile(0.99)),
        str(lacking(one)),
        f"{one.shed:,}",
        str(one.unaccounted),
        f"{one.peak_bytes / 1e6:.0f}",
    )


def _figures(one: Crowd) -> dict[str, object]:
    return {
        "rate": one.rate,
        "sent": one.sent,
        "p50_s": one.quantile(0.5),
        "p99_s": one.quantile(0.99),
        "round_trips": len(one.times),
        "shed": one.shed,
        "uncounted": one.unaccounted,
        "peak_bytes": one.peak_bytes,
        "readers": one.readers,
        "counters": one.counters,
    }
