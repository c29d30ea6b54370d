"""The strategies' own formulas and their name table."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from active_learner.errors import BadNetwork, ConfigError
from active_learner.strategies import load_strategy
from active_learner.strategies.base import PoolView
from active_learner.strategies.random_choice import RandomChoice
from active_learner.strategies.uncertainty import Entropy, LeastConfidence, Margin, UncertaintyStrategy


def pool(*rows: list[float]) -> PoolView:
    n = len(rows)
    return PoolView(
        tuple(f"{i:032x}" for i in range(n)),
        np.zeros((n, 1)),
        np.array(rows, dtype=np.float32).reshape(n, -1),
        np.zeros(n, dtype=np.int64),
    )


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (LeastConfidence(), [0.4, 0.0, 0.5]),
        (Margin(), [0.7, 0.0, 1.0]),
        (Entropy(), [-(0.6 * log(0.6) + 0.3 * log(0.3) + 0.1 * log(0.1)), 0.0, log(2)]),
    ],
)
def test_scores_are_the_published_formulas(strategy: UncertaintyStrategy, expected: list[float]) -> None:
    view = pool([0.6, 0.3, 0.1], [1.0, 0.0, 0.0], [0.5, 0.0, 0.5])
    assert strategy.scores(view, np.random.default_rng(0)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("strategy", [LeastConfidence(), Margin(), Entropy()])
def test_one_class_is_certain(strategy: UncertaintyStrategy) -> None:
    assert strategy.scores(pool([1.0]), np.random.default_rng(0)).tolist() == [0.0]


def test_a_row_with_a_single_nan_counts_as_never_scored() -> None:
    assert np.isneginf(Entropy().scores(pool([0.5, float("nan")]), np.random.default_rng(0))).all()


def test_probabilities_of_another_length_than_the_keys_are_refused() -> None:
    view = PoolView(("a",), np.zeros((1, 1)), np.zeros((2, 3)), np.zeros(1, dtype=np.int64))
    with pytest.raises(ValueError, match=r"expected \(1, classes\)"):
        Margin().scores(view, np.random.default_rng(0))


def test_random_choice_is_uniform() -> None:
    generator, view = np.random.default_rng(1), pool(*([[0.5, 0.5]] * 5))
    counts = np.bincount([RandomChoice().select(view, 1, generator).rows[0] for _ in range(2000)], minlength=5)
    assert counts.min() > 330
    assert counts.max() < 470


def test_a_strategy_of_the_users_own_is_found_by_module_and_factory() -> None:
    assert isinstance(load_strategy("active_learner.strategies.uncertainty:Margin"), Margin)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("margn", "did you mean margin"),
        ("what", "not one of least_confidence, margin, entropy, random"),
        ("nowhere.at_all:factory", "no module 'nowhere'"),
        ("active_learner.strategies.uncertainty:Nothing", "has no 'Nothing'"),
        ("builtins:dict", "returned a dict, expected a QueryStrategy"),
        ("math:pi", "cannot be called"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_a_config_error_in_words(name: str, words: str) -> None:
    with pytest.raises((ConfigError, BadNetwork), match=words):
        load_strategy(name)
