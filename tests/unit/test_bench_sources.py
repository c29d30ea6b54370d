"""Benchmarks of the evolution and of the simulated listener: rates, shares and goals are what was measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from active_learner.bench import breeding, listener
from active_learner.config.schema import EvolutionSource
from active_learner.melody.listener import rate


def measured(deap: bool) -> breeding.Rates:
    found: breeding.Rates = {(breeding.NUMPY, 50): [4000.0, 6000.0, 5000.0], (breeding.NUMPY, 500): [1000.0] * 3}
    return found | {(breeding.DEAP, 50): [400.0] * 3, (breeding.DEAP, 500): [2000.0] * 3} if deap else found


def found(accuracy: float, network: float, rated_5: float = 0.1) -> listener.Found:
    shares = {"random": [0.4, 0.3, 0.3, 0, 0, 0], "bred": [0.0, 0.1, 0.1, 0.3, 0.5 - rated_5, rated_5]}
    learned = {labels: [listener.Guessed(accuracy, 0.5)] * 2 for labels in listener.LABELS}
    bred = {listener.TRUE: [[2.0, 4.0, 4.5]], listener.NETWORK: [[2.0, 3.0, network]], listener.CHANCE: [[2.0] * 3]}
    return listener.Found(shares, listener.Guessed(0.3, 1.2), learned, bred)


def test_a_rate_is_steps_by_the_clock_without_the_first() -> None:
    ticks = iter(range(100))
    steps: list[int] = []
    assert breeding.steps_a_second(lambda: steps.append(1), 4.0, lambda: float(next(ticks))) == 3 / 4
    assert len(steps) == 4


def test_rates_are_set_against_deap_by_the_median_of_the_rounds() -> None:
    outcome = breeding.told(measured(deap=True))
    assert outcome.rows[0] == (breeding.NUMPY, "50", "5,000", "4,000", "6,000", "12x")
    assert [(goal.measured, goal.met) for goal in outcome.goals] == [("12x and 0.50x", False)]


def test_without_deap_its_goal_is_not_measured_and_the_table_says_what_to_do() -> None:
    outcome = breeding.told(measured(deap=False))
    assert breeding.NO_DEAP in outcome.table()
    assert [(goal.measured, goal.met) for goal in outcome.goals] == [("not measured: deap is not installed", False)]


def test_our_step_breeds_a_generation_each_time() -> None:
    ticks = iter(range(100))
    step = breeding.numpy_step(EvolutionSource(population=10))
    assert breeding.steps_a_second(step, 3.0, lambda: float(next(ticks))) == 2 / 3


def test_a_listener_that_can_be_learned_meets_its_goals() -> None:
    outcome = listener.told(found(accuracy=0.6, network=4.0))
    assert [goal.met for goal in outcome.goals] == [True, True, True]
    assert ("500 labels", "0.600", "0.600 .. 0.600", "0.500") in outcome.rows
    assert ("generation 40", "4.50", "4.00", "2.00") in outcome.rows


def test_a_listener_that_cannot_misses_them() -> None:
    outcome = listener.told(found(accuracy=0.3, network=2.0, rated_5=0.0))
    assert [goal.met for goal in outcome.goals] == [False, False, False]


def test_the_best_constant_is_the_most_common_rating_or_the_median() -> None:
    assert listener.constant(np.array([0, 0, 0, 4, 5])) == listener.Guessed(0.6, 9 / 5)
    assert listener.constant(np.array([0, 0, 3, 4, 5])) == listener.Guessed(0.4, 9 / 5)


def test_genomes_to_learn_from_are_half_random_half_bred_and_the_same_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "EVOLUTIONS", 1)
    genomes = listener.both_kinds(40, seed=1)
    bred = {row.tobytes() for row in listener.all_bred(seed=1)}
    assert genomes.shape == (40, 128)
    assert sum(row.tobytes() in bred for row in genomes) == 20
    assert np.array_equal(genomes, listener.both_kinds(40, seed=1))


def test_breeding_by_the_true_rating_rates_higher_than_chance() -> None:
    own, chance = listener.breed(rate, 5), listener.breed(listener.any_rating(5), 5)
    assert np.array_equal(own[0], chance[0])
    assert len(own) == listener.GENERATIONS[-1] + 1
    assert rate(own[-1]).mean() > rate(chance[-1]).mean()


def test_a_network_is_taught_the_same_every_time_and_guesses_within_the_ratings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "STEPS", 20)
    genomes = np.random.default_rng(0).integers(0, 2, (50, 128), dtype=np.uint8)
    network, again = listener.taught(genomes, 1), listener.taught(genomes, 1)
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))
    expected = listener.expected_rating(network)(genomes)
    assert expected.shape == (50,)
    assert ((expected >= 0) & (expected <= 5)).all()
    assert listener.guessed(network, genomes).off_by == pytest.approx(np.abs(expected - rate(genomes)).mean())
