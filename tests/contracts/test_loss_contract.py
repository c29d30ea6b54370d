"""What every loss keeps of losses/base.py."""

from __future__ import annotations

import numpy as np
import pytest

from active_learner.losses import VARIANTS, load_loss
from active_learner.losses.base import Loss

NAMES = [name for name in VARIANTS if name != "torch"] + ["torch:CrossEntropyLoss", "torch:MSELoss"]


@pytest.fixture(params=NAMES)
def loss(request: pytest.FixtureRequest) -> Loss:
    return load_loss(request.param)


def _batch() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.normal(0, 2, (12, 5)).astype(np.float32), random.integers(0, 5, 12)


def test_the_gradient_has_shape_and_dtype_of_the_predictions(loss: Loss) -> None:
    predictions, targets = _batch()
    value, gradient = loss.gradient(predictions, targets)
    assert isinstance(value, float)
    assert gradient.shape == predictions.shape
    assert gradient.dtype == np.float32


def test_it_is_a_function_and_leaves_its_arguments_alone(loss: Loss) -> None:
    predictions, targets = _batch()
    predictions.setflags(write=False)
    targets.setflags(write=False)
    first, second = loss.gradient(predictions, targets), loss.gradient(predictions, targets)
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])


def test_a_small_step_against_the_gradient_lowers_the_loss(loss: Loss) -> None:
    predictions, targets = _batch()
    value, gradient = loss.gradient(predictions, targets)
    assert loss.gradient(predictions - np.float32(0.1) * gradient, targets)[0] < value


def test_the_width_is_the_number_of_classes(loss: Loss) -> None:
    assert loss.width(7) == 7


@pytest.mark.parametrize(
    ("predictions", "targets"),
    [
        (np.zeros((3, 4, 5), np.float32), np.zeros(3, np.int64)),
        (np.zeros((0, 4), np.float32), np.zeros(0, np.int64)),
        (np.zeros((3, 4), np.float32), np.zeros(2, np.int64)),
        (np.zeros((3, 4), np.float32), np.array([0, 1, 4])),
        (np.zeros((3, 4), np.float32), np.array([0, 1, -1])),
        (np.full((3, 4), np.nan, np.float32), np.zeros(3, np.int64)),
        (np.array([[np.inf, 0.0]], np.float32), np.zeros(1, np.int64)),
    ],
)
def test_what_does_not_fit_is_refused(loss: Loss, predictions: np.ndarray, targets: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"predictions|targets"):
        loss.gradient(predictions, targets)
