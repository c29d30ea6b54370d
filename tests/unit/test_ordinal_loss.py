"""The example of a loss of one's own: soft targets for ratings, by module:factory."""

from __future__ import annotations

import numpy as np
import pytest

from active_learner.losses import load_loss

NAME = "active_learner.examples.torch_losses:ordinal"
LOGITS = np.random.default_rng(3).normal(0, 2, (4, 6)).astype(np.float32)
RATINGS = np.array([0, 2, 5, 5])


def soft() -> np.ndarray:
    rows = np.exp(-1.5 * np.abs(np.arange(6) - RATINGS[:, None]))
    return rows / rows.sum(axis=1, keepdims=True)


def test_the_gradient_is_softmax_less_soft_targets() -> None:
    loss, gradient = load_loss(NAME).gradient(LOGITS, RATINGS)
    exponentials = np.exp(LOGITS.astype(np.float64))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient, (shares - soft()) / 4, rtol=1e-4, atol=1e-7)
    assert loss == pytest.approx(-float((soft() * np.log(shares)).sum(axis=1).mean()), rel=1e-5)


def test_a_near_miss_costs_less_than_a_far_one() -> None:
    loss = load_loss(NAME)

    def cost(rating: int) -> float:
        return loss.gradient(np.eye(6, dtype=np.float32)[[rating]] * 5, np.array([5]))[0]

    assert cost(5) < cost(4) < cost(3) < cost(0)


def test_the_width_must_be_that_of_the_ratings() -> None:
    loss = load_loss(NAME)
    assert loss.width(6) == 6
    with pytest.raises(ValueError, match="do not fit predictions of width 5"):
        loss.gradient(LOGITS[:, :5], RATINGS)
