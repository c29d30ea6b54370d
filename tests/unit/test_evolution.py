"""The evolution: breeds by fitness, never starves, and is a function of its seed."""

from __future__ import annotations

import numpy as np
import pytest

from active_learner.config.schema import EvolutionSource
from active_learner.core.records import SampleSpec
from active_learner.errors import ConfigError
from active_learner.melody import listener
from active_learner.sources.base import Outcome
from active_learner.sources.evolution import BARREN_GENERATIONS, RESTLESS_GENERATIONS, Evolution, Genomes

SPEC = SampleSpec((128,), "uint8", 6)


def evolution(seed: int = 0, spec: SampleSpec = SPEC, **keys: object) -> Evolution:
    return Evolution(EvolutionSource.model_validate(keys), spec, seed)


def generation(source: Evolution) -> Genomes:
    proposed = source.propose()
    assert proposed is not None
    return proposed


def ones(genomes: Genomes) -> Outcome:
    """Fitness: how many bits are set."""
    return Outcome(genomes, genomes.sum(axis=1).astype(np.float32), len(genomes))


def known(genomes: Genomes) -> Outcome:
    return Outcome(genomes, np.ones(len(genomes), np.float32), 0)


def distinct(genomes: Genomes) -> int:
    return len(np.unique(genomes, axis=0))


def test_selection_by_fitness_finds_the_optimum_of_a_simple_task() -> None:
    source = evolution()
    for _ in range(150):
        proposed = generation(source)
        source.report(ones(proposed))
    assert generation(source).sum(axis=1).max() >= 124


def test_the_elite_lives_on_unchanged() -> None:
    source = evolution(elite=3)
    first = generation(source)
    source.report(ones(first))
    fittest = first[np.argsort(-first.sum(axis=1), kind="stable")[:3]]
    assert np.array_equal(generation(source)[:3], fittest)


def test_the_same_seed_gives_the_same_generations_and_another_seed_others() -> None:
    one, same, other = evolution(1), evolution(1), evolution(2)
    for _ in range(3):
        a, b, c = generation(one), generation(same), generation(other)
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)
        one.report(ones(a))
        same.report(ones(b))
        other.report(ones(c))


def test_without_fitness_mutants_of_the_first_generation_are_proposed() -> None:
    source = evolution(immigrants=0.0, mutation_rate=0.01)
    first = generation(source)
    source.report(Outcome(first, None, 50))
    for _ in range(3):
        mutants = generation(source)
        flips = (mutants != first).sum(axis=1)
        assert 0 < flips.mean() < 4
        source.report(Outcome(mutants, None, 50))


def test_a_generation_that_nobody_scored_is_not_bred_from() -> None:
    source = evolution(immigrants=0.0, mutation_rate=0.0, elite=1)
    first = generation(source)
    source.report(ones(first))
    source.report(Outcome(generation(source), None, 1))
    assert np.array_equal(generation(source)[0], first[first.sum(axis=1).argmax()])


def test_a_population_of_one_genome_still_proposes_new_ones() -> None:
    source = evolution(immigrants=0.0, mutation_rate=0.0, elite=0, population=20)
    seen: set[bytes] = set()
    for _ in range(40):
        proposed = generation(source)
        seen |= {row.tobytes() for row in proposed}
        source.report(known(proposed))
    assert len(seen) > 10 * 20


def test_diversify_brings_half_immigrants_for_a_while() -> None:
    source = evolution(immigrants=0.0, mutation_rate=0.0, elite=0)
    for _ in range(60):
        source.report(ones(generation(source)))
    source.diversify()
    for _ in range(RESTLESS_GENERATIONS):
        proposed = generation(source)
        assert (proposed.sum(axis=1) < 90).sum() >= 25
        source.report(ones(proposed))


def test_generations_without_anything_new_diversify_by_themselves() -> None:
    source = evolution(immigrants=0.0, mutation_rate=0.0, elite=0)
    for _ in range(60):
        source.report(ones(generation(source)))
    for _ in range(BARREN_GENERATIONS):
        source.report(known(generation(source)))
    assert (generation(source).sum(axis=1) < 90).sum() >= 25


def test_rows_of_a_generation_differ_even_when_bred_from_one_parent() -> None:
    source = evolution(immigrants=0.0, mutation_rate=0.001, elite=2)
    for _ in range(100):
        proposed = generation(source)
        assert distinct(proposed) == 50
        source.report(ones(proposed))


def test_so_few_bits_that_rows_must_repeat_do_not_stop_it() -> None:
    source = evolution(spec=SampleSpec((3,), "uint8", 2), bits=3, population=50)
    assert generation(source).shape == (50, 3)


@pytest.mark.parametrize("fitness", [np.nan, np.inf, -np.inf])
def test_fitness_that_is_no_number_does_not_spread(fitness: float) -> None:
    source = evolution(elite=1)
    first = generation(source)
    given = first.sum(axis=1).astype(np.float32)
    given[0] = fitness
    source.report(Outcome(first, given, 50))
    assert np.array_equal(generation(source)[0], first[0]) == (fitness == np.inf)


def test_it_ends_after_its_generations() -> None:
    source = evolution(generations=2)
    for _ in range(2):
        assert not source.ended
        source.report(ones(generation(source)))
    assert source.ended
    assert source.propose() is None


def test_genomes_take_the_shape_and_dtype_of_the_experiment() -> None:
    proposed = generation(evolution(spec=SampleSpec((8, 16), "float32", 6)))
    assert (proposed.shape, proposed.dtype) == ((50, 8, 16), np.float32)


def test_what_does_not_fit_is_named_all_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        evolution(bits=64, population=4, elite=4)
    assert [one.split(":")[0] for one in error.value.problems] == ["source.bits", "source.elite"]


def test_the_melody_listener_leads_it_to_good_melodies() -> None:
    source = evolution(3)
    first = generation(source)
    for _ in range(40):
        proposed = generation(source)
        source.report(Outcome(proposed, listener.rate(proposed).astype(np.float32), 50))
    assert listener.rate(first).mean() < 2.5
    assert np.sort(listener.rate(generation(source)))[-25:].mean() > 4
