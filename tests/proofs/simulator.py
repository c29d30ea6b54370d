"""The deterministic simulator: seeds run, invariants checked, every fault and row met, mutants caught. Knows what is counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from active_learner.bench.outcome import Goal
from active_learner.core import answering, asking, evaluation, leasing, proposing, queueing, scoring, session, training
from active_learner.core.machine import Machine
from active_learner.simulator.faults import COUNTED_BY_ITSELF, KINDS
from active_learner.simulator.invariants import INVARIANTS
from active_learner.simulator.world import Verdict, simulate
from tests.proofs.base import Proof, Say, Tally
from tests.proofs.simulator_mutants import MUTANTS, mutated, seeds_for

PROCESSES = 2
TWICE_OF = 20
"""One seed of so many is run a second time, in a process whose sets are in another order: it must be the same run."""
MUTANT_SEEDS = 40
"""A mutant must be caught by one of so many."""

MACHINES: tuple[type[Machine], ...] = (  # type: ignore[type-arg]
    answering.Answering,
    asking.AskingMachine,
    evaluation.EvaluationMachine,
    leasing.Leasing,
    proposing.Proposing,
    queueing.QueueMachine,
    scoring.ScoringMachine,
    session.Session,
    training.TrainingMachine,
)

ACCEPTED = (
    "every stage has accepted this trainer's term before anything but a position is asked of it; a stage of a higher one comes "
    "only later, in its place, or behind a trainer in ours, and its presence, which leads to syncing, comes before all it says"
)

CANNOT_OCCUR: dict[tuple[str, str, str], str] = {
    ("Proposing", "*", "odd receipt"): (
        "the trainer counts each row of a batch once (core/intake.py), and the broker lets nobody else say TAKEN (core/rights.py)"
    ),
    ("Proposing", "*", "nobody we need"): (
        "the session tells once that a member came and once that it went (core/session.py), the source of needed roles alone"
    ),
    ("QueueMachine", "*", "reopened"): (
        "the queue gives a question up in the turn in which it is passed, so that none is open and passed (services/leasing_shell.py)"
    ),
    ("Session", "closed", "tick"): "Peer.close cancels the timer in the turn in which the session ends",
    (
        "Session",
        "closed",
        "stale",
    ): "Peer.close closes the link in that same turn, and a closed link hands nothing over",
    ("Session", "closed", "connected"): (
        "nor does it tell of connections: the monitor of its socket ends in that turn (transport/zmq_link.py)"
    ),
    ("Session", "closed", "finish"): "Peer.close ends the session once: a second call returns before that",
    ("TrainingMachine", "predicting", "replaced"): ACCEPTED,
    ("TrainingMachine", "applying", "replaced"): ACCEPTED,
    ("TrainingMachine", "validating", "replaced"): ACCEPTED,
    ("TrainingMachine", "promoting", "replaced"): ACCEPTED,
}
"""Rows that a running system never comes to, and why: they are there for callers' mistakes and for peers of another make, and
unit tests hit them."""

SEVERAL = "a process of one annotator is told of that one alone; the page's has several, and is not simulated"
ELSEWHERE: dict[tuple[str, str, str], str] = {
    ("Answering", "*", "question_other"): SEVERAL,
    ("Answering", "*", "leased_other"): SEVERAL,
}
"""Rows of what is not in the simulation, and what that is: unit tests hit them."""


def run_seed(seed: int) -> Verdict:
    """In a process of its own."""
    return simulate(seed)


def catch(name: str, first: int) -> int | None:
    """The first seed that finds the mutant out; None: none of MUTANT_SEEDS."""
    with mutated(name):
        for seed in seeds_for(name, first, MUTANT_SEEDS):
            if simulate(seed).violation:
                return seed
    return None


@contextmanager
def processes(hash_seed: int) -> Iterator[ProcessPoolExecutor]:
    """New ones, in which sets and the hashes of texts are in an order of their own."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = str(hash_seed)
    try:
        with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
            yield pool
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


class Simulator(Proof):
    title = (
        "the real services in virtual time: 21 invariants under every fault, one seed is one run, mutants are caught"
    )
    unit = "seeds"
    short = 200
    long = 20_500
    """10,000 virtual hours: twenty thousand seeds come to 9,900 of them."""
    chunk = 500
    """In each the mutants are tried once: forty times in the long form."""
    timeout_s = 1800.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        digests: dict[int, str] = {}
        with processes(hash_seed=1) as pool:
            for verdict in pool.map(run_seed, range(seed, seed + units), chunksize=5):
                _add(tally, verdict)
                digests[verdict.seed] = verdict.digest
            caught = pool.map(catch, MUTANTS, [seed] * len(MUTANTS))
            for name, found in zip(MUTANTS, caught, strict=True):
                tally.count("mutants tried")
                tally.count("mutants caught", int(found is not None))
                if found is None:
                    tally.fail(f"mutant not caught by {MUTANT_SEEDS} seeds from {seed} on: {name}")
        with processes(hash_seed=2) as pool:
            for again in pool.map(run_seed, range(seed, seed + units, TWICE_OF)):
                tally.count("run twice")
                if again.digest != digests[again.seed]:
                    tally.fail(f"seed {again.seed} came to another run the second time")
        _tell(tally, say)
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        faults = [name for name in (*KINDS, *COUNTED_BY_ITSELF) if not counts[f"fault {name}"]]
        left_out = {**CANNOT_OCCUR, **ELSEWHERE}
        rows = [row for row in _rows() if not counts[_name(row)] and row not in left_out]
        wrong = [row for row in left_out if counts[_name(row)]]
        numbers = {one.number for one in INVARIANTS}
        unchecked = [number for number in sorted(numbers) if not counts[f"invariant {number:02}"]]
        hours = counts["virtual seconds"] / 3600
        goals = [
            Goal(
                "21 invariants checked",
                f"{len(numbers) - len(unchecked)}, never {unchecked}",
                len(numbers) == 21 and not unchecked,
            ),
            Goal(
                "every fault kind",
                f"{len(KINDS) + len(COUNTED_BY_ITSELF) - len(faults)} kinds, never {faults}",
                not faults,
            ),
            Goal(
                "every row that can occur",
                f"{len(_rows()) - len(rows) - len(left_out)} of {len(_rows())}, {len(CANNOT_OCCUR)} cannot, {len(ELSEWHERE)} are "
                f"of what is not simulated, never {rows}, after all {wrong}",
                not rows and not wrong,
            ),
            Goal("mutants caught", f"{counts['mutants caught']} of {counts['mutants tried']}", _all_caught(counts)),
        ]
        if units >= self.long:
            goals.append(Goal("10,000 virtual hours", f"{hours:,.0f}", hours >= 10_000))
            goals.append(Goal("1e7 events", f"{counts['events']:,}", counts["events"] >= 10_000_000))
        return goals


def _all_caught(counts: Counter[str]) -> bool:
    return counts["mutants caught"] == counts["mutants tried"] >= 12


def _add(tally: Tally, verdict: Verdict) -> None:
    tally.count("seeds")
    tally.count("events", verdict.events)
    tally.count("virtual seconds", round(verdict.virtual_s))
    tally.count("rounds", verdict.rounds)
    tally.count("label events", verdict.answers)
    for name, number in verdict.faults.items():
        tally.count(f"fault {name}", number)
    for row, number in verdict.rows.items():
        tally.count(_name(row), number)
    for invariant, number in verdict.checks.items():
        tally.count(f"invariant {invariant:02}", number)
    if verdict.violation:
        tally.fail(f"python -m active_learner.simulator --seed {verdict.seed}: {verdict.violation}")


def _rows() -> list[tuple[str, str, str]]:
    return [(kind.__name__, *row) for kind in MACHINES for row in kind.TABLE]


def _name(row: tuple[str, str, str]) -> str:
    return "row " + " ".join(row)


def _tell(tally: Tally, say: Say) -> None:
    for group in ("fault", "invariant"):
        told = [
            f"{name[len(group) + 1 :]} {number:,}"
            for name, number in sorted(tally.counts.items())
            if name.startswith(f"{group} ")
        ]
        say(f"{group}s: {', '.join(told)}")
    never = [row for row in _rows() if not tally.counts[_name(row)]]
    say(
        f"rows hit: {len(_rows()) - len(never)} of {len(_rows())}; never: {', '.join(' '.join(row) for row in never) or 'none'}"
    )
    hours = tally.counts["virtual seconds"] / 3600
    say(
        f"{tally.counts['events']:,} events in {hours:,.0f} virtual hours; mutants caught {tally.counts['mutants caught']}"
    )
