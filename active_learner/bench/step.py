"""The SGD step of the melody network: in one process, through our wire, by the whole service, and by swergio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from active_learner.bench import step_peer, step_service, step_swergio, step_task
from active_learner.bench.outcome import NO_SWERGIO, Goal, Outcome, middle, times
from active_learner.bench.processes import context, has_swergio
from active_learner.bench.roundtrip import NAGLE

ROUNDS = 3
LARGEST_ADDED_S, LEAST_TIMES_SWERGIO = 1.5e-3, 50.0
PLAIN, CUT = "in process, plain PyTorch", "in process, cut in two, our loss"
FUSED, TWO = "broker, evaluator, bare peer, STEP", "the same, FORWARD and GRADIENT"
SERVICE = "trainer and evaluator, steps of a round"
SWERGIO = "swergio, its tutorial's handlers"


def bench(rounds: int = ROUNDS) -> Outcome:
    """Each way once a round, so that a busy moment of the machine meets all of them; medians over the rounds.

    A step is the median of its loop, of the service the median of a round by the trainer's clock.
    """
    ways: dict[str, Callable[[], Any]] = {
        PLAIN: lambda: alone(step_task.plain_loop),
        CUT: lambda: alone(step_task.cut_loop),
        FUSED: lambda: step_peer.remote_loop(True),
        TWO: lambda: step_peer.remote_loop(False),
        SERVICE: step_service.service_loop,
    }
    if has_swergio():
        ways[SWERGIO] = step_swergio.swergio_loop
    found: dict[str, list[Any]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, measure in ways.items():
            found[way].append(measure())
    return told(found)


def told(found: dict[str, list[Any]]) -> Outcome:
    """Rows and goals out of what was measured; also without swergio, which then is a miss."""
    outcome = Outcome(
        "SGD step: 128-256-64-16-6, batch 20, SGD", ("way", "step us", "steps/s", "adds us", "of in-process")
    )
    seconds = {way: [_seconds(one) for one in runs] for way, runs in found.items()}
    for way, runs in seconds.items():
        plain = _beside(found, way)
        added = middle([own - base for own, base in zip(runs, plain, strict=True)])
        share = middle([own / base for own, base in zip(runs, plain, strict=True)])
        step = middle(runs)
        outcome.rows.append((way, f"{step * 1e6:,.0f}", f"{1 / step:,.1f}", f"{added * 1e6:,.0f}", times(share)))
    outcome.figures = {"seconds_a_step": seconds, "digests": {way: _digests(runs) for way, runs in found.items()}}
    outcome.goals = [*_added_goals(found), _bits_goal(found), _swergio_goal(seconds)]
    outcome.notes.append(NAGLE if SWERGIO in found else NO_SWERGIO)
    return outcome


def alone(loop: Callable[[], step_task.Steps]) -> step_task.Steps:
    """In a fresh process, as the other ways are: nothing that ran before makes it faster."""
    with context.Pool(1) as pool:
        return pool.apply(loop)


def _beside(found: dict[str, list[Any]], way: str) -> list[float]:
    """The in-process step of each round: medians against medians."""
    return [one.p50_s for one in found[PLAIN]]


def _added_goals(found: dict[str, list[Any]]) -> list[Goal]:
    goals = []
    for way in (FUSED, SERVICE):
        pairs = zip(found[way], _beside(found, way), strict=True)
        added = middle([_seconds(own) - base for own, base in pairs])
        words = f"{way} adds at most {LARGEST_ADDED_S * 1e3:g} ms to the in-process step"
        goals.append(Goal(words, f"{added * 1e3:.2f} ms", added <= LARGEST_ADDED_S))
    return goals


def _bits_goal(found: dict[str, list[Any]]) -> Goal:
    seen = {digest for way in (CUT, FUSED, TWO) for digest in _digests(found[way])}
    words = f"the same weights, bit for bit, after {step_task.STEPS} steps in process, by STEP and by two trips"
    return Goal(words, "one digest" if len(seen) == 1 else f"{len(seen)} digests", len(seen) == 1)


def _swergio_goal(seconds: dict[str, list[float]]) -> Goal:
    words = f"at least {LEAST_TIMES_SWERGIO:.0f} times swergio's steps a second, by the whole service"
    if SWERGIO not in seconds:
        return Goal(words, "not measured: swergio is not installed", False)
    ratio = middle([other / own for own, other in zip(seconds[SERVICE], seconds[SWERGIO], strict=True)])
    return Goal(words, times(ratio), ratio >= LEAST_TIMES_SWERGIO)


def _seconds(run: Any) -> float:
    return run.p50_s if isinstance(run, step_task.Steps) else float(run)


def _digests(runs: list[Any]) -> list[str]:
    return [run.digest for run in runs if isinstance(run, step_task.Steps)]
