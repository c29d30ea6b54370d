"""Cross-entropy of logits in closed form: mean over the batch, as torch.nn.CrossEntropyLoss. Knows numpy only.

Equal to torch's up to the last bits (another order of the sums); who needs torch's bits takes torch:CrossEntropyLoss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.losses.base import Loss
from active_learner.losses.checks import check_batch, check_result


class CrossEntropy(Loss):
    """Predictions are logits, one column a class."""

    def width(self, classes: int) -> int:
        return classes

    def gradient(self, predictions: NDArray[Any], targets: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """(softmax - one-hot) / batch, all in float32; the largest logit is taken off first, so nothing overflows."""
        check_batch(predictions, targets)
        logits = predictions.astype(np.float32, copy=False)
        shifted = logits - logits.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        sums = exponentials.sum(axis=1, keepdims=True)
        rows = np.arange(len(targets))
        loss = float(np.mean(np.log(sums[:, 0]) - shifted[rows, targets]))
        gradient = exponentials / sums
        gradient[rows, targets] -= np.float32(1.0)
        gradient /= np.float32(len(targets))
        check_result(loss, gradient)
        return loss, gradient
