"""Digits asked by uncertainty against digits asked at random, over several seeds, with the real service."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from active_learner.bench.arms import Arm, run_arm
from active_learner.bench.outcome import Goal, Outcome, middle
from active_learner.results.metrics import labels_to

GOAL = 0.9
LABELS = 400
"""Where an arm is given up: random asking needs some 200 to get to the goal."""
RANDOM = "trainer.strategy=random"
LARGEST_RATIO, LEAST_WINS = 0.75, 0.8


@dataclass(frozen=True, slots=True)
class Pair:
    """Labels to the goal of both arms from the same start; None: not reached with LABELS."""

    seed: int
    uncertainty: int | None
    random: int | None


def bench(seeds: int = 10, labels: int = LABELS, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Run `seeds` x 2 arms and compare the labels that they need to 90 % of the held-out rows."""
    pairs: list[Pair] = []
    with tempfile.TemporaryDirectory(prefix="active-learner-bench-") as folder:
        for seed in range(1, seeds + 1):
            pairs.append(one_pair(Path(folder), seed, labels))
            say(f"seed {seed}: {_told(pairs[-1].uncertainty)} asked by margin, {_told(pairs[-1].random)} at random")
    return compared(pairs, labels)


def one_pair(folder: Path, seed: int, labels: int) -> Pair:
    """Both arms of a seed; each ends when the goal is reached or there are `labels`."""
    margin = run_arm(Arm(folder / f"margin-{seed}", seed, labels, until_accuracy=GOAL))
    random = run_arm(Arm(folder / f"random-{seed}", seed, labels, (RANDOM,), until_accuracy=GOAL))
    return Pair(seed, labels_to(margin, GOAL), labels_to(random, GOAL))


def compared(pairs: list[Pair], labels: int) -> Outcome:
    """An arm that did not get there counts as one label more than it had: that flatters it."""
    outcome = Outcome(f"demo: labels to {GOAL:.0%} of the held-out digits", ("seed", "by margin", "at random", "ratio"))
    counted = [(pair.uncertainty or labels + 1, pair.random or labels + 1) for pair in pairs]
    for pair, (own, other) in zip(pairs, counted, strict=True):
        outcome.rows.append((str(pair.seed), _told(pair.uncertainty), _told(pair.random), f"{own / other:.2f}"))
    mine, theirs = ([one[place] for one in counted] for place in (0, 1))
    asked, random = middle(mine), middle(theirs)
    wins = sum(own < other for own, other in counted)
    outcome.rows.append(("median", f"{asked:g}", f"{random:g}", f"{asked / random:.2f}"))
    outcome.figures = {
        "pairs": [[pair.seed, pair.uncertainty, pair.random] for pair in pairs],
        "median_uncertainty": asked,
        "median_random": random,
        "wins": wins,
    }
    ratio_words = f"median labels at most {LARGEST_RATIO} of random's"
    wins_words = f"fewer labels on at least {LEAST_WINS:.0%} of the seeds"
    outcome.goals.append(Goal(ratio_words, f"{asked / random:.2f}", asked / random <= LARGEST_RATIO))
    outcome.goals.append(Goal(wins_words, f"{wins} of {len(pairs)}", wins >= LEAST_WINS * len(pairs)))
    return outcome


def _told(labels: int | None) -> str:
    return "-" if labels is None else str(labels)
