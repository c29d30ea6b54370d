"""How good predictions are: accuracy, cross entropy, calibration, uncertainty. Knows arrays; no network and no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15
"""Of equal width, as in Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017."""

UNCERTAINTY_BINS = 10
SMALLEST_PROBABILITY = float(np.finfo(np.float64).tiny)
"""log(0) would make one wrong, certain answer an infinite loss."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What held-out rows say of a model."""

    rows: int
    accuracy: float
    """Share of rows whose likeliest class (the lowest of equals) is the label."""
    loss: float
    """Mean cross entropy in nats; of a single output the mean squared error."""
    calibration_error: float | None
    """Expected calibration error, 0 to 1; None for a single output, which says no probability."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of about the same confidence."""

    rows: int
    confidence: float
    """Mean probability of the predicted class."""
    accuracy: float


def evaluate(predictions: NDArray[Any], labels: NDArray[Any], output: str = "logits") -> Evaluation:
    """Predictions (n, classes) float32, "logits" or "probabilities", against labels (n,) of whole numbers.

    One column is one number per row, near to the label when it is right: a rating learned by squared error.
    Raises: ValueError when shapes do not fit, nothing is there, a value is not finite, or a label is no column.
    """
    given, wanted = _checked(predictions, labels)
    if given.shape[1] == 1:
        return _evaluate_numbers(given[:, 0], wanted)
    probabilities = as_probabilities(given, output)
    likelihood = probabilities[np.arange(len(wanted)), wanted]
    loss = (
        -np.log(np.maximum(likelihood, SMALLEST_PROBABILITY)).mean()
        if output == "probabilities"
        else _cross_entropy(given, wanted)
    )
    right = probabilities.argmax(axis=1) == wanted
    return Evaluation(len(wanted), float(right.mean()), float(loss), calibration_error(probabilities, wanted))


def as_probabilities(predictions: NDArray[Any], output: str = "logits") -> NDArray[np.float64]:
    """(n, classes) logits through softmax, or probabilities as they are; (n, classes) float64."""
    given = np.asarray(predictions, dtype=np.float64)
    if output == "probabilities":
        return given
    if output != "logits":
        raise ValueError(f"output is {output!r}, allowed are logits and probabilities")
    exponents = np.exp(given - given.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def reliability(
    probabilities: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS
) -> tuple[ReliabilityBin, ...]:
    """Rows (n, classes) by the confidence of their likeliest class, in bins (0, 1/bins], ..., without empty ones."""
    confidence = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == np.asarray(labels)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return tuple(
        ReliabilityBin(int(own.sum()), float(confidence[own].mean()), float(right[own].mean()))
        for own in (place == number for number in range(bins))
        if own.any()
    )


def calibration_error(probabilities: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between how sure and how often right, weighted by rows: (n, classes) and (n,) -> 0 to 1."""
    groups = reliability(probabilities, labels, bins)
    rows = sum(group.rows for group in groups)
    return sum(group.rows * abs(group.confidence - group.accuracy) for group in groups) / rows


def uncertainty_histogram(probabilities: NDArray[Any], bins: int = UNCERTAINTY_BINS) -> tuple[int, ...]:
    """Counts of 1 - the largest probability in `bins` equal bins of [0, 1], most certain first.

    (n, classes) float32; rows with a NaN (never scored) are not counted.
    """
    scored = np.asarray(probabilities, dtype=np.float64)
    scored = scored[~np.isnan(scored).any(axis=1)] if scored.size else scored.reshape(0, 1)
    if not len(scored):
        return (0,) * bins
    uncertain = np.clip(1.0 - scored.max(axis=1), 0.0, 1.0)
    return tuple(int(count) for count in np.histogram(uncertain, bins=bins, range=(0.0, 1.0))[0])


def confusion_matrix(predictions: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """(classes, classes) int64: row is the label, column the prediction, from (n, classes) and (n,)."""
    given, wanted = _checked(predictions, labels)
    counts = np.zeros((given.shape[1],) * 2, dtype=np.int64)
    np.add.at(counts, (wanted, given.argmax(axis=1)), 1)
    return counts


def _cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """By log-sum-exp: stays finite for a certain, wrong answer."""
    top = logits.max(axis=1)
    spread = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((spread - logits[np.arange(len(labels)), labels]).mean())


def _evaluate_numbers(numbers: NDArray[np.float64], labels: NDArray[np.int64]) -> Evaluation:
    right = np.floor(numbers + 0.5).astype(np.int64) == labels
    return Evaluation(len(labels), float(right.mean()), float(((numbers - labels) ** 2).mean()), None)


def _checked(predictions: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    given, wanted = np.asarray(predictions, dtype=np.float64), np.asarray(labels)
    if given.ndim != 2 or wanted.ndim != 1 or len(given) != len(wanted) or not given.size:
        raise ValueError(f"expected predictions (n, classes) and labels (n,), got {given.shape} and {wanted.shape}")
    if wanted.dtype.kind not in "iu":
        raise ValueError(f"labels are {wanted.dtype}, expected whole numbers")
    if not np.isfinite(given).all():
        raise ValueError("a prediction is not finite")
    columns = given.shape[1]
    if columns > 1 and (wanted.min() < 0 or wanted.max() >= columns):
        raise ValueError(
            f"labels are {wanted.min()} to {wanted.max()}, the predictions have columns 0 to {columns - 1}"
        )
    return given, wanted.astype(np.int64)
