"""What the torch engine says of networks that raise, and of batches and gradients that fit nowhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.test_torch_backend import batch, small


class Raising(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 10)
        self.outer = Sour(error)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.outer(self.inner(rows))
        return found


class Sour(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error", [KeyError("size"), RuntimeError("out of luck"), ZeroDivisionError("by zero")], ids=str
)
def test_a_mistake_inside_a_network_is_told_with_type_text_and_layer(error: Exception) -> None:
    backend = small(network=lambda: Raising(error), arguments={}, label="mine:make")
    wanted = (
        f"mine:make failed with a batch of (5, 64): layer 'outer' (Sour) got (5, 10): {type(error).__name__}: {error}"
    )
    for refused in (lambda rows: backend.forward(1, 0, rows), backend.evaluate, backend.infer):
        with pytest.raises(ValueError, match="failed") as caught:
            refused(batch(1))
        assert str(caught.value) == wanted


@pytest.mark.parametrize("shape", [(), (0, 64), (5,), (1,) * 8, (5, 63)], ids=str)
def test_batches_and_gradients_of_any_shape_are_refused_in_words(shape: tuple[int, ...]) -> None:
    backend, odd = small(), np.ones(shape, np.float32)
    before = backend.digest()
    for refused in (
        lambda: backend.forward(1, 0, odd),
        lambda: backend.evaluate(odd),
        lambda: backend.score(odd, True),
    ):
        with pytest.raises(ValueError, match=r"expected|does not take"):
            refused()
    backend.forward(1, 0, batch(1))
    with pytest.raises(ValueError, match=r"expected \(5, 10\)"):
        backend.apply(1, odd, False)
    assert (backend.digest(), backend.applied) == (before, 0)


def test_a_gradient_that_float32_cannot_hold_is_refused() -> None:
    backend = small()
    backend.forward(1, 0, batch(1))
    with pytest.raises(ValueError, match="step 1 is not finite"):
        backend.apply(1, np.full((5, 10), 1e300), False)
