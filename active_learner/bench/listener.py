"""The simulated listener: which ratings it gives, how fast a network learns them, whether they drive the evolution.

Knows melodies, a network in plain PyTorch and our evolution; no service and no wire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from active_learner.bench.outcome import Goal, Outcome
from active_learner.config.schema import EvolutionSource
from active_learner.core.records import SampleSpec
from active_learner.examples.torch_networks import melody
from active_learner.melody.listener import RATINGS, rate
from active_learner.sources.base import Outcome as Scored
from active_learner.sources.evolution import Evolution

SEEDS = 3
BITS, SHARED = 128, 20_000
"""SHARED: random genomes whose ratings are counted; the rarest rating is about 2 in 10,000."""
EVOLUTIONS = 10
LEARNABLE, TESTED = 4_000, 2_000
"""Genomes to draw labels from and to test on, half random and half bred; no evolution bred both."""
LABELS = (500, 1_000, 2_000)
STEPS, BATCH, LEARNING_RATE = 1_200, 40, 1e-3
GENERATIONS = (0, 10, 40)
TRUE, NETWORK, CHANCE = "true rating", f"network of {LABELS[0]}", "chance"

Genomes = NDArray[np.uint8]
Fitness = Callable[[Genomes], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Guessed:
    """How well ratings were told: the share that was right, and how far off on average."""

    accuracy: float
    off_by: float


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured, unrounded."""

    shares: dict[str, list[float]]
    """Where the genomes are from -> share of each rating."""
    constant: Guessed
    """The best without looking: always the most common rating, and the median for `off_by`."""
    learned: dict[int, list[Guessed]]
    """Labels -> one of each seed."""
    bred: dict[str, list[list[float]]]
    """What the fitness was -> of each seed the mean true rating of each of GENERATIONS."""


def bench(seeds: int = SEEDS) -> Outcome:
    """Means over `seeds`, which draw the labels, the first weights and the first generation."""
    torch.set_num_threads(1)
    genomes, tested = both_kinds(LEARNABLE, seed=1), both_kinds(TESTED, seed=2)
    shares = {"random": _shares(_random(SHARED, 3)), "bred": _shares(all_bred(seed=4))}
    learned: dict[int, list[Guessed]] = {labels: [] for labels in LABELS}
    bred: dict[str, list[list[float]]] = {TRUE: [], NETWORK: [], CHANCE: []}
    for seed in range(seeds):
        drawn = _generator("labels", seed).permutation(len(genomes))
        networks = {labels: taught(genomes[drawn[:labels]], seed) for labels in LABELS}
        for labels, network in networks.items():
            learned[labels].append(guessed(network, tested))
        ways = {TRUE: rate, NETWORK: expected_rating(networks[LABELS[0]]), CHANCE: any_rating(seed)}
        for way, fitness in ways.items():
            generations = breed(fitness, seed)
            bred[way].append([float(rate(generations[number]).mean()) for number in GENERATIONS])
    return told(Found(shares, constant(rate(tested)), learned, bred))


def told(found: Found) -> Outcome:
    """One table of three parts, each with a heading of its own."""
    outcome = Outcome("listener: melodies rated 0 to 5", ("share of genomes", *found.shares, ""))
    for rating in range(RATINGS):
        outcome.rows.append((f"rated {rating}", *(f"{one[rating]:.4f}" for one in found.shares.values()), ""))
    outcome.rows += [("",) * 4, ("128-256-64-16-6 taught by", "accuracy", "least .. most", "off by")]
    for labels, seeds in found.learned.items():
        right = [one.accuracy for one in seeds]
        spread, off_by = f"{min(right):.3f} .. {max(right):.3f}", _mean([one.off_by for one in seeds])
        outcome.rows.append((f"{labels:,} labels", f"{_mean(right):.3f}", spread, f"{off_by:.3f}"))
    fixed = found.constant
    outcome.rows.append(("nothing, the best constant", f"{fixed.accuracy:.3f}", "", f"{fixed.off_by:.3f}"))
    outcome.rows += [("",) * 4, ("mean true rating, bred by", *found.bred)]
    for place, number in enumerate(GENERATIONS):
        means = (f"{_mean([seed[place] for seed in seeds]):.2f}" for seeds in found.bred.values())
        outcome.rows.append((f"generation {number}", *means))
    outcome.figures = asdict(found)
    outcome.goals = _goals(found)
    return outcome


def _goals(found: Found) -> list[Goal]:
    given = sum(any(one[rating] > 0 for one in found.shares.values()) for rating in range(RATINGS))
    accuracy = min(one.accuracy for one in found.learned[LABELS[0]])
    network, chance = (_mean([seed[-1] for seed in found.bred[way]]) for way in (NETWORK, CHANCE))
    return [
        Goal("each rating occurs among random or bred genomes", f"{given} of {RATINGS}", given == RATINGS),
        Goal(
            f"{LABELS[0]} labels are right more often than the best constant, with every seed",
            f"{accuracy:.3f} against {found.constant.accuracy:.3f}",
            accuracy > found.constant.accuracy,
        ),
        Goal(
            f"generation {GENERATIONS[-1]} bred by that network is rated higher than one bred by chance",
            f"{network:.2f} against {chance:.2f}",
            network > chance,
        ),
    ]


def breed(fitness: Fitness, seed: int) -> list[Genomes]:
    """Generations 0 to the last of GENERATIONS, (50, 128) each, as a shipped experiment breeds them."""
    source = Evolution(EvolutionSource(bits=BITS), SampleSpec((BITS,), "uint8", RATINGS), seed)
    generations: list[Genomes] = []
    for _ in range(GENERATIONS[-1] + 1):
        genomes = source.propose()
        assert genomes is not None, "a source without a limit of generations has always one more"
        source.report(Scored(genomes, fitness(genomes).astype(np.float32), len(genomes)))
        generations.append(genomes)
    return generations


def all_bred(seed: int) -> Genomes:
    """The distinct genomes of EVOLUTIONS evolutions by the true rating, shuffled."""
    seeds = range(seed * EVOLUTIONS, (seed + 1) * EVOLUTIONS)
    distinct = np.unique(np.concatenate([genomes for one in seeds for genomes in breed(rate, one)]), axis=0)
    return _generator("shuffled", seed).permutation(distinct)


def both_kinds(count: int, seed: int) -> Genomes:
    """Half random, half bred, in no order."""
    half = count // 2
    rows = np.concatenate([_random(count - half, seed), all_bred(seed)[:half]])
    return _generator("shuffled", seed).permutation(rows)


def taught(genomes: Genomes, seed: int) -> nn.Module:
    """The melody network after STEPS batches of Adam on the true ratings of these genomes."""
    torch.manual_seed(seed)
    network, drawn = melody(BITS, RATINGS), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    rows, ratings = torch.from_numpy(genomes.astype(np.float32)), torch.from_numpy(rate(genomes))
    loss = nn.CrossEntropyLoss()
    for _ in range(STEPS):
        batch = torch.randint(0, len(rows), (BATCH,), generator=drawn)
        optimizer.zero_grad()
        loss(network(rows[batch]), ratings[batch]).backward()
        optimizer.step()
    return network


def guessed(network: nn.Module, genomes: Genomes) -> Guessed:
    """Right: the most likely rating is the true one. Off by: from the expected rating to the true one."""
    chances, ratings = _chances(network, genomes), rate(genomes)
    off_by = np.abs(chances @ np.arange(RATINGS) - ratings).mean()
    return Guessed(float((chances.argmax(axis=1) == ratings).mean()), float(off_by))


def constant(ratings: NDArray[np.int64]) -> Guessed:
    """The best that one rating for all can do, once for each figure."""
    common = np.bincount(ratings).max() / len(ratings)
    return Guessed(float(common), float(np.abs(ratings - np.median(ratings)).mean()))


def expected_rating(network: nn.Module) -> Fitness:
    return lambda genomes: _chances(network, genomes) @ np.arange(RATINGS)


def any_rating(seed: int) -> Fitness:
    """What evolution comes to without selection."""
    drawn = _generator("chance", seed)
    return lambda genomes: drawn.random(len(genomes))


def _chances(network: nn.Module, genomes: Genomes) -> NDArray[np.float32]:
    """(n, 128) -> (n, 6) class probabilities."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(genomes.astype(np.float32)))
    chances: NDArray[np.float32] = logits.softmax(dim=1).numpy()
    return chances


def _generator(purpose: str, seed: int) -> np.random.Generator:
    """One stream for each purpose: the evolution's first generation comes from its bare seed and must occur nowhere else."""
    return np.random.default_rng([seed, *purpose.encode()])


def _random(count: int, seed: int) -> Genomes:
    return _generator("genomes", seed).integers(0, 2, (count, BITS), dtype=np.uint8)


def _shares(genomes: Genomes) -> list[float]:
    counted = np.bincount(rate(genomes), minlength=RATINGS) / len(genomes)
    return [float(share) for share in counted]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
