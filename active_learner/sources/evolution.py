"""Genomes of bits that breed by the evaluator's fitness. Knows numpy; not the wire, and not what the bits mean.

A generation is proposed whole, the elite too: its fitness changes with every promoted model. A generation that nobody
scored is not bred from: the last scored one stays, and mutants of it are proposed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.records import Features, SampleSpec
from active_learner.errors import ConfigError
from active_learner.sources.base import Outcome, Source

if TYPE_CHECKING:
    from active_learner.config.schema import EvolutionSource

Genomes = NDArray[np.uint8]

BARREN_GENERATIONS = 3
"""So many generations without one genome that the pool did not know: the population has converged."""
RESTLESS_GENERATIONS = 5
"""How long a converged population is shaken: long enough for selection to find something among the fresh ones."""
RESTLESS_IMMIGRANTS = 0.5
RESTLESS_MUTATION = 4
"""Times the configured mutation rate, and at least that many bits a genome."""
DISTINCT_TRIES = 3
"""Passes that replace repeated genomes; few bits may not have enough distinct ones."""


class Evolution(Source):
    """Tournament selection, two-point crossover, bit flips, elite and immigrants."""

    wants_fitness = True

    def __init__(self, section: EvolutionSource, spec: SampleSpec, seed: int, base: Path | None = None) -> None:
        """`base` is not used. Raises: ConfigError when the genome is not the experiment's sample, or the elite is the whole population."""
        _check(section, spec)
        self._section = section
        self._spec = spec
        self._rng = np.random.default_rng(seed)
        self._parents: Genomes = self._random(section.population)
        self._fitness: NDArray[np.float64] | None = None
        self._proposed: Genomes | None = None
        self._generation = 0
        self._barren = 0
        self._restless = 0

    @property
    def generation(self) -> int:
        """Generations proposed so far."""
        return self._generation

    @property
    def ended(self) -> bool:
        limit = self._section.generations
        return limit is not None and self._generation >= limit

    def propose(self) -> Features | None:
        """The next generation, (population, *shape); rows differ from each other as far as the bits allow."""
        if self.ended:
            return None
        offspring = self._parents if self._generation == 0 else self._breed()
        self._proposed = self._distinct(offspring)
        self._generation += 1
        self._restless = max(0, self._restless - 1)
        return self._proposed.reshape(-1, *self._spec.shape).astype(self._spec.dtype)

    def report(self, outcome: Outcome) -> None:
        """Scored: these genomes are the parents of the next generation. Converged: it diversifies by itself."""
        self._barren = 0 if outcome.new else self._barren + 1
        if self._barren >= BARREN_GENERATIONS:
            self.diversify()
        if outcome.fitness is None or self._proposed is None or len(outcome.fitness) != len(self._proposed):
            return
        self._parents = self._proposed
        self._fitness = np.nan_to_num(np.asarray(outcome.fitness, np.float64), nan=-np.inf, posinf=np.finfo(float).max)

    def diversify(self) -> None:
        """Half immigrants and four times the mutation for the next generations."""
        self._restless, self._barren = RESTLESS_GENERATIONS, 0

    def _breed(self) -> Genomes:
        """One generation from the parents: elite, immigrants and children; without fitness mutants of them all."""
        size = self._section.population
        immigrants = self._immigrants()
        if self._fitness is None:
            elite = self._parents[:0]
            children = self._parents[immigrants:]
        else:
            elite = self._elite(self._fitness, size - immigrants)
            children = self._cross(self._select(self._fitness, 2 * (size - immigrants - len(elite))))
        return np.concatenate([elite, self._mutate(children), self._random(immigrants)])

    def _immigrants(self) -> int:
        share = max(self._section.immigrants, RESTLESS_IMMIGRANTS) if self._restless else self._section.immigrants
        return min(math.ceil(share * self._section.population), self._section.population)

    def _elite(self, fitness: NDArray[np.float64], room: int) -> Genomes:
        order = np.argsort(-fitness, kind="stable")
        return self._parents[order[: min(self._section.elite, room)]]

    def _select(self, fitness: NDArray[np.float64], count: int) -> Genomes:
        """`count` winners of tournaments, (count, bits)."""
        drawn = self._rng.integers(0, len(fitness), (count, self._section.tournament))
        winners: Genomes = self._parents[drawn[np.arange(count), fitness[drawn].argmax(axis=1)]]
        return winners

    def _cross(self, parents: Genomes) -> Genomes:
        """(2 n, bits) -> (n, bits): the stretch between two cuts comes from the second parent, at the crossover rate."""
        first, second = parents[0::2], parents[1::2]
        bits = self._section.bits
        cuts = np.sort(self._rng.integers(0, bits + 1, (len(first), 2)), axis=1)
        cuts[self._rng.random(len(first)) >= self._section.crossover_rate] = 0
        place = np.arange(bits)
        crossed: Genomes = np.where((place >= cuts[:, :1]) & (place < cuts[:, 1:]), second, first)
        return crossed

    def _mutate(self, genomes: Genomes) -> Genomes:
        flips = self._rng.random(genomes.shape) < self._mutation_rate()
        mutated: Genomes = genomes ^ flips.astype(np.uint8)
        return mutated

    def _mutation_rate(self) -> float:
        rate, bits = self._section.mutation_rate, self._section.bits
        if self._restless:
            return min(0.5, max(rate * RESTLESS_MUTATION, RESTLESS_MUTATION / bits))
        return rate if self._fitness is not None else max(rate, 1 / bits)  # drifting without fitness must move

    def _random(self, count: int) -> Genomes:
        return self._rng.integers(0, 2, (count, self._section.bits), dtype=np.uint8)

    def _distinct(self, genomes: Genomes) -> Genomes:
        """The same rows in their order, but a repeated one becomes a mutant of itself, at last a random one."""
        for attempt in range(DISTINCT_TRIES):
            repeated = _repeated(genomes)
            if not repeated.any():
                break
            genomes = genomes.copy()
            fresh = self._mutate(genomes[repeated]) if attempt == 0 else self._random(int(repeated.sum()))
            genomes[repeated] = fresh
        return genomes


def _repeated(genomes: Genomes) -> NDArray[np.bool_]:
    """True for each row that has occurred above."""
    packed = np.packbits(genomes, axis=1)
    rows: NDArray[Any] = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    mask = np.ones(len(genomes), bool)
    mask[np.unique(rows, return_index=True)[1]] = False
    return mask


def _check(section: EvolutionSource, spec: SampleSpec) -> None:
    problems = []
    if math.prod(spec.shape) != section.bits:
        problems.append(f"source.bits: {section.bits} bits do not fill samples of shape {spec.shape}")
    if section.elite >= section.population:
        problems.append(f"source.elite: {section.elite} must be less than source.population, {section.population}")
    if problems:
        raise ConfigError(problems)
