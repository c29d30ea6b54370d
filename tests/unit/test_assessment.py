"""Accuracy, cross entropy, calibration and uncertainty against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from active_learner.core.assessment import (
    as_probabilities,
    calibration_error,
    confusion_matrix,
    evaluate,
    reliability,
    uncertainty_histogram,
)


def test_logits_and_their_softmax_are_the_same_evaluation() -> None:
    logits = np.array([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [1.0, 1.0, 4.0]], dtype=np.float32)
    labels = np.array([0, 1, 2])
    by_logits = evaluate(logits, labels)
    by_probabilities = evaluate(as_probabilities(logits), labels, output="probabilities")
    assert by_logits.accuracy == by_probabilities.accuracy == pytest.approx(2 / 3)
    assert by_logits.loss == pytest.approx(by_probabilities.loss)
    assert by_logits.calibration_error == pytest.approx(by_probabilities.calibration_error)


def test_loss_is_the_mean_negative_log_likelihood() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]], dtype=np.float32)
    found = evaluate(probabilities, np.array([0, 0]), output="probabilities")
    assert found.loss == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert found.rows == 2


def test_a_certain_wrong_answer_has_a_finite_loss() -> None:
    assert evaluate(np.array([[1000.0, 0.0]], dtype=np.float32), np.array([1])).loss == pytest.approx(1000.0)
    assert math.isfinite(evaluate(np.array([[1.0, 0.0]]), np.array([1]), output="probabilities").loss)


def test_calibration_error_weighs_each_bin_by_its_rows() -> None:
    """Three rows at 0.9 of which two are right, one at 0.6 that is right: 3/4 x |0.9 - 2/3| + 1/4 x |0.6 - 1|."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    expected = 0.75 * (0.9 - 2 / 3) + 0.25 * 0.4
    assert calibration_error(probabilities, np.array([0, 0, 1, 0])) == pytest.approx(expected)


def test_a_model_that_is_sure_and_right_is_perfectly_calibrated() -> None:
    assert calibration_error(np.eye(4), np.arange(4)) == 0.0


def test_confidence_at_the_edge_of_a_bin_belongs_to_the_lower_one() -> None:
    bins = reliability(np.array([[0.6, 0.4], [0.61, 0.39]]), np.array([0, 1]), bins=5)
    assert [(group.rows, group.accuracy) for group in bins] == [(1, 1.0), (1, 0.0)]


def test_a_single_output_is_right_when_it_is_nearest_to_the_label() -> None:
    found = evaluate(np.array([[0.4], [2.6], [3.4]], dtype=np.float32), np.array([0, 3, 5]))
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.calibration_error is None
    assert found.loss == pytest.approx((0.16 + 0.16 + 2.56) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("predictions", "labels", "words"),
    [
        (np.zeros((2, 3)), np.array([0]), "expected predictions"),
        (np.zeros((0, 3)), np.zeros(0, np.int64), "expected predictions"),
        (np.zeros(3), np.array([0, 1, 2]), "expected predictions"),
        (np.zeros((1, 3)), np.array([3]), "columns 0 to 2"),
        (np.zeros((1, 3)), np.array([0.0]), "whole numbers"),
        (np.array([[np.nan, 0.0]]), np.array([0]), "not finite"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(predictions: np.ndarray, labels: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(predictions, labels)


def test_an_unknown_kind_of_output_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are logits and probabilities"):
        evaluate(np.zeros((1, 2)), np.array([0]), output="odds")


def test_uncertainty_is_counted_from_certain_to_unsure_without_unscored_rows() -> None:
    probabilities = np.array([[1.0, 0.0], [0.95, 0.05], [0.5, 0.5], [np.nan, np.nan]], dtype=np.float32)
    counts = uncertainty_histogram(probabilities)
    assert counts[0] == 2
    assert counts[5] == 1
    assert sum(counts) == 3


def test_an_empty_pool_has_an_empty_histogram() -> None:
    assert uncertainty_histogram(np.zeros((0, 3), np.float32)) == (0,) * 10
    assert uncertainty_histogram(np.full((2, 3), np.nan)) == (0,) * 10


def test_confusion_has_labels_as_rows_and_predictions_as_columns() -> None:
    predictions = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    assert confusion_matrix(predictions, np.array([0, 1, 1])).tolist() == [[1, 0], [1, 1]]
