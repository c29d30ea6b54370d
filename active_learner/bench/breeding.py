"""Generations a second of our evolution and of DEAP's, counting set bits. Knows how they are compared; DEAP is next door."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from active_learner.bench import breeding_deap
from active_learner.bench.outcome import Goal, Outcome, middle, times
from active_learner.config.schema import EvolutionSource
from active_learner.core.records import SampleSpec
from active_learner.sources.base import Outcome as Scored
from active_learner.sources.evolution import Evolution

ROUNDS = 3
POPULATIONS = (50, 500)
SLICE_S = 1.0
"""CPU seconds of each measurement."""
NUMPY, DEAP = "numpy, sources/evolution.py", "DEAP"
NO_DEAP = "deap: not installed, pip install deap"
GOAL = "more generations a second than DEAP, with either population"

Step = Callable[[], None]
"""Breeds one generation, from the genomes to the scored array."""
Rates = dict[tuple[str, int], list[float]]
"""(way, population) -> generations a second, one of each round."""


def bench(rounds: int = ROUNDS) -> Outcome:
    """Each way with each population once a round, so that a busy moment of the machine meets all of them."""
    ways: dict[str, Callable[[EvolutionSource], Step]] = {NUMPY: numpy_step}
    if breeding_deap.version() is not None:
        ways[DEAP] = breeding_deap.step
    found: Rates = {(way, population): [] for population in POPULATIONS for way in ways}
    for _ in range(rounds):
        for way, population in found:
            step = ways[way](EvolutionSource(population=population))
            found[way, population].append(steps_a_second(step, SLICE_S))
    return told(found)


def numpy_step(section: EvolutionSource) -> Step:
    """As the service uses it; repeated genomes are replaced, which DEAP does not do."""
    source = Evolution(section, SampleSpec((section.bits,), "uint8", 2), seed=0)

    def step() -> None:
        genomes = source.propose()
        assert genomes is not None, "a source without a limit of generations has always one more"
        source.report(Scored(genomes, genomes.sum(axis=1).astype(np.float32), len(genomes)))

    return step


def steps_a_second(step: Step, seconds: float, clock: Callable[[], float] = time.process_time) -> float:
    """By CPU time, as other processes of the machine must not count; the first step is warm-up."""
    step()
    count, begun = 0, clock()
    while (taken := clock() - begun) < seconds:
        step()
        count += 1
    return count / taken


def told(found: Rates) -> Outcome:
    """Rows and goal out of what was measured; also without DEAP, which then is a miss."""
    columns = ("way", "population", "generations/s", "least", "most", "of DEAP")
    outcome = Outcome("breeding: 128 bits, fitness is the number of set bits", columns)
    for (way, population), rates in found.items():
        told_rates = (f"{value:,.0f}" for value in (middle(rates), min(rates), max(rates)))
        share = times(_ratio(found, way, population)) if (DEAP, population) in found else "-"
        outcome.rows.append((way, str(population), *told_rates, share))
    outcome.figures = {f"{way}, population {population}": rates for (way, population), rates in found.items()}
    measured = any(way == DEAP for way, _ in found)
    outcome.notes.append(f"DEAP {breeding_deap.version()}, conversion to an array included" if measured else NO_DEAP)
    outcome.goals.append(_goal(found) if measured else Goal(GOAL, "not measured: deap is not installed", False))
    return outcome


def _goal(found: Rates) -> Goal:
    ratios = [_ratio(found, NUMPY, population) for population in POPULATIONS]
    return Goal(GOAL, " and ".join(times(ratio) for ratio in ratios), min(ratios) > 1)


def _ratio(found: Rates, way: str, population: int) -> float:
    """The median over the rounds of how many times DEAP's rate."""
    return middle([own / other for own, other in zip(found[way, population], found[DEAP, population], strict=True)])
