"""The same breeding as our evolution's, with DEAP's own tools, when it is installed. Knows DEAP; not what it is compared with."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from active_learner.config.schema import EvolutionSource


def version() -> str | None:
    """None: it is not installed."""
    try:
        return importlib.metadata.version("deap")
    except importlib.metadata.PackageNotFoundError:
        return None


def step(section: EvolutionSource) -> Callable[[], None]:
    """Breeds one generation; fitness is the number of set bits. The array is what the wire needs, so it belongs to the step."""
    random.seed(0)  # DEAP draws from the global generator
    toolbox = _toolbox(section)
    population = toolbox.population(section.population)

    def breed() -> None:
        nonlocal population
        fitness = np.array(population, np.uint8).sum(axis=1).astype(np.float32)
        for genome, value in zip(population, fitness, strict=True):
            genome.fitness.values = (float(value),)
        population = _bred(toolbox, population, section)

    return breed


def _bred(toolbox: Any, population: list[Any], section: EvolutionSource) -> list[Any]:
    """Elite, children and immigrants, in the shares of our evolution."""
    immigrants = math.ceil(section.immigrants * section.population)
    elite = [toolbox.clone(genome) for genome in toolbox.best(population)]
    children = [
        toolbox.clone(genome) for genome in toolbox.select(population, len(population) - immigrants - len(elite))
    ]
    for first, second in zip(children[::2], children[1::2], strict=False):  # an odd one is not crossed
        if random.random() < section.crossover_rate:
            toolbox.mate(first, second)
    for child in children:
        toolbox.mutate(child)
    return [*elite, *children, *toolbox.population(immigrants)]


def _toolbox(section: EvolutionSource) -> Any:
    # By name, as DEAP has no types and most machines have no DEAP.
    base, creator, tools = (importlib.import_module(f"deap.{name}") for name in ("base", "creator", "tools"))
    if not hasattr(creator, "Genome"):
        creator.create("SetBits", base.Fitness, weights=(1.0,))
        creator.create("Genome", list, fitness=creator.SetBits)
    toolbox = base.Toolbox()
    toolbox.register("bit", random.randint, 0, 1)
    toolbox.register("genome", tools.initRepeat, creator.Genome, toolbox.bit, section.bits)
    toolbox.register("population", tools.initRepeat, list, toolbox.genome)
    toolbox.register("best", tools.selBest, k=section.elite)
    toolbox.register("select", tools.selTournament, tournsize=section.tournament)
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutFlipBit, indpb=section.mutation_rate)
    return toolbox
