"""python -m active_learner.simulator --seed N [--seeds N] [--trace]: runs one seed, or some, and tells what went wrong. Knows
the command line only."""

from __future__ import annotations

import argparse
import sys

from active_learner.simulator.world import Verdict, simulate


def main() -> int:
    """0: no invariant was violated."""
    parser = argparse.ArgumentParser(prog="python -m active_learner.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many, from SEED on")
    parser.add_argument("--trace", action="store_true", help="tell the whole story, also of a run that went well")
    given = parser.parse_args()
    bad = 0
    for seed in range(given.seed, given.seed + given.seeds):
        verdict = simulate(seed, trace=given.trace)
        bad += bool(verdict.violation)
        sys.stdout.write(told(verdict, given.trace) + "\n")
    return int(bad > 0)


def told(verdict: Verdict, whole: bool) -> str:
    line = (
        f"seed {verdict.seed}: {verdict.events} events in {verdict.virtual_s:.0f} virtual seconds, {verdict.rounds} rounds, "
        f"{verdict.answers} label events, digest {verdict.digest}"
    )
    story = verdict.story if whole or verdict.violation else []
    return "\n".join([*story, line, *([f"VIOLATED {verdict.violation}"] if verdict.violation else [])])


sys.exit(main())
