"""What every query strategy in the table promises (strategies/base.py)."""

from __future__ import annotations

import numpy as np
import pytest

from active_learner.strategies import VARIANTS, load_strategy
from active_learner.strategies.base import PoolView, QueryStrategy, Selection

CLASSES = 4


def view(probabilities: np.ndarray, keys: list[str] | None = None) -> PoolView:
    """A pool as the trainer makes it: rows sorted by key, whatever the order of arrival."""
    n = len(probabilities)
    keys = keys or [f"{i:032x}" for i in range(n)]
    order = np.argsort(keys)
    rows = np.asarray(probabilities, dtype=np.float32)[order]
    features = np.arange(2 * n, dtype=np.uint8).reshape(n, 2)[order]
    return PoolView(tuple(keys[i] for i in order), features, rows, np.zeros(n, dtype=np.int64))


def random_pool(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(CLASSES), n)


def ask(strategy: QueryStrategy, pool: PoolView, count: int, seed: int = 7) -> Selection:
    return strategy.select(pool, count, np.random.default_rng(seed))


@pytest.fixture(params=sorted(VARIANTS))
def strategy(request: pytest.FixtureRequest) -> QueryStrategy:
    return load_strategy(request.param)


class TestEveryStrategy:
    def test_has_the_name_it_is_found_by(self, strategy: QueryStrategy) -> None:
        assert VARIANTS[strategy.name].endswith(type(strategy).__name__)

    @pytest.mark.parametrize(("n", "count"), [(1, 1), (7, 3), (7, 7), (3, 5), (300, 5)])
    def test_selects_different_rows_as_many_as_there_are(self, strategy: QueryStrategy, n: int, count: int) -> None:
        chosen = ask(strategy, view(random_pool(n)), count)
        assert chosen.rows.shape == chosen.scores.shape == (min(n, count),)
        assert (chosen.rows.dtype, chosen.scores.dtype) == (np.int64, np.float64)
        assert len(set(chosen.rows.tolist())) == min(n, count)
        assert all(0 <= row < n for row in chosen.rows)

    def test_same_arguments_and_generator_state_give_the_same_selection(self, strategy: QueryStrategy) -> None:
        pool = view(random_pool(50))
        first, second = ask(strategy, pool, 10), ask(strategy, pool, 10)
        assert np.array_equal(first.rows, second.rows)
        assert np.array_equal(first.scores, second.scores)

    def test_the_order_of_arrival_does_not_change_the_keys(self, strategy: QueryStrategy) -> None:
        probabilities, keys = random_pool(40), [f"{i * 7919:032x}" for i in range(40)]
        shuffled = np.random.default_rng(3).permutation(40)
        one = view(probabilities, keys)
        other = view(probabilities[shuffled], [keys[i] for i in shuffled])
        assert [one.keys[i] for i in ask(strategy, one, 9).rows] == [
            other.keys[i] for i in ask(strategy, other, 9).rows
        ]

    def test_scores_fall_and_ties_are_broken_by_key(self, strategy: QueryStrategy) -> None:
        chosen = ask(strategy, view(np.repeat(random_pool(5), 6, axis=0)), 30)
        for (a, x), (b, y) in zip(
            *(list(zip(chosen.scores, chosen.rows, strict=True))[i:] for i in (0, 1)), strict=False
        ):
            assert a > b or (a == b and x < y)

    def test_a_pool_without_any_score_is_still_asked(self, strategy: QueryStrategy) -> None:
        chosen = ask(strategy, view(np.full((6, CLASSES), np.nan)), 4)
        assert len(chosen.rows) == 4
        assert not np.isnan(chosen.scores).any()

    def test_an_empty_pool_gives_an_empty_selection(self, strategy: QueryStrategy) -> None:
        assert ask(strategy, view(np.zeros((0, CLASSES))), 4).rows.shape == (0,)

    def test_the_pool_is_left_as_it_was(self, strategy: QueryStrategy) -> None:
        pool = view(random_pool(20))
        before = pool.probabilities.copy(), pool.features.copy()
        ask(strategy, pool, 5)
        assert np.array_equal(pool.probabilities, before[0])
        assert np.array_equal(pool.features, before[1])


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"random"}))
class TestUncertaintyStrategies:
    def test_ask_the_most_uncertain_first_not_the_most_certain(self, name: str) -> None:
        """The tutorial sorted ascending: it asked about what the network knew best."""
        sure, likely, torn, uniform = (
            [0.97, 0.01, 0.01, 0.01],
            [0.7, 0.2, 0.05, 0.05],
            [0.5, 0.4, 0.05, 0.05],
            [0.25] * 4,
        )
        chosen = ask(load_strategy(name), view(np.array([sure, uniform, likely, torn])), 4)
        assert chosen.rows.tolist() == [1, 3, 2, 0]
        assert (np.diff(chosen.scores) < 0).all()

    def test_unscored_samples_come_last_and_by_key(self, name: str) -> None:
        probabilities = random_pool(5)
        probabilities[[1, 3]] = np.nan
        chosen = ask(load_strategy(name), view(probabilities), 5)
        assert chosen.rows[3:].tolist() == [1, 3]
        assert np.isneginf(chosen.scores[3:]).all()
        assert np.isfinite(chosen.scores[:3]).all()

    def test_what_is_chosen_depends_on_the_probabilities_not_on_the_place(self, name: str) -> None:
        probabilities = random_pool(60)
        shuffled = np.random.default_rng(5).permutation(60)
        one = ask(load_strategy(name), view(probabilities), 8).rows
        other = ask(load_strategy(name), view(probabilities[shuffled]), 8).rows
        assert np.array_equal(one, shuffled[other])
