"""Losses against torch: closed forms against the Jacobian, wrapped ones bit for bit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from active_learner.errors import BadNetwork
from active_learner.losses import load_loss


def _batch(rows: int = 20, width: int = 6, scale: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    predictions = random.normal(0, scale, (rows, width)).astype(np.float32)
    return predictions, random.integers(0, width, rows)


@pytest.mark.parametrize("scale", [0.1, 3.0, 80.0])
@pytest.mark.parametrize("name", ["cross_entropy", "mean_squared_error"])
def test_a_closed_form_gradient_is_the_jacobian_of_the_torch_loss(name: str, scale: float) -> None:
    predictions, targets = _batch(scale=scale)
    loss, gradient = load_loss(name).gradient(predictions, targets)
    wanted = torch.from_numpy(targets)
    one_hot = torch.nn.functional.one_hot(wanted, predictions.shape[1]).float()

    def reference(p: torch.Tensor) -> torch.Tensor:
        if name == "cross_entropy":
            return torch.nn.functional.cross_entropy(p, wanted)
        return torch.nn.functional.mse_loss(p, one_hot)

    leaf = torch.from_numpy(predictions.copy())
    jacobian = torch.autograd.functional.jacobian(reference, leaf).numpy()
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, jacobian, rtol=2e-5, atol=1e-7)
    assert loss == pytest.approx(float(reference(leaf)), rel=1e-5)


def test_cross_entropy_of_huge_logits_does_not_overflow() -> None:
    predictions = np.array([[1e30, -1e30], [0.0, 3e38]], np.float32)
    loss, gradient = load_loss("cross_entropy").gradient(predictions, np.array([0, 1]))
    assert loss == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("name", ["torch:CrossEntropyLoss", "torch:MSELoss", "torch:SmoothL1Loss", "torch:NLLLoss"])
def test_a_torch_loss_has_the_bits_of_backward(name: str) -> None:
    predictions, targets = _batch()
    loss, gradient = load_loss(name).gradient(predictions, targets)
    leaf = torch.from_numpy(predictions.copy()).requires_grad_()
    wanted = torch.from_numpy(targets)
    if name in ("torch:MSELoss", "torch:SmoothL1Loss"):
        wanted = torch.nn.functional.one_hot(wanted, 6).float()
    reference = getattr(torch.nn, name.removeprefix("torch:"))()(leaf, wanted)
    reference.backward()
    assert leaf.grad is not None
    assert loss == reference.item()
    np.testing.assert_array_equal(gradient, leaf.grad.numpy())


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_fifty_steps_with_the_split_loss_are_bit_for_bit_those_of_loss_backward(optimizer: str) -> None:
    torch.set_num_threads(1)
    loss = load_loss("torch:CrossEntropyLoss")
    random = np.random.default_rng(3)
    states = []
    for split in (False, True):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
        steps = getattr(torch.optim, optimizer)(network.parameters(), lr=0.01)
        random = np.random.default_rng(3)
        for _ in range(50):
            batch = torch.from_numpy(random.normal(0, 1, (10, 8)).astype(np.float32))
            targets = random.integers(0, 4, 10)
            steps.zero_grad()
            output = network(batch)
            if split:
                output.backward(torch.from_numpy(loss.gradient(output.detach().numpy(), targets)[1]))
            else:
                torch.nn.CrossEntropyLoss()(output, torch.from_numpy(targets)).backward()
            steps.step()
        states.append([value.clone() for value in network.state_dict().values()])
    for joined, parted in zip(*states, strict=True):
        assert torch.equal(joined, parted)


def test_a_factory_may_return_a_callable_of_torch_tensors() -> None:
    predictions, targets = _batch()
    loss = load_loss("tests.unit.test_losses:sum_of_squares")
    assert loss.width(6) is None
    value, gradient = loss.gradient(predictions, targets)
    assert value == pytest.approx(float(np.square(predictions).sum()), rel=1e-5)
    np.testing.assert_array_equal(gradient, 2 * predictions)


def sum_of_squares() -> object:
    """A loss factory as a user would write it."""
    return lambda predictions, targets: (predictions**2).sum()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cross_entropi", "no loss 'cross_entropi'"),
        ("torch:", "no loss"),
        ("torch:Linear", "torch.nn has no loss 'Linear'"),
        ("torch:CrossEntropy", "CrossEntropyLoss"),
        ("tests.unit.test_losses:nothing", "has no 'nothing'"),
        ("no_such_module:loss", "no module 'no_such_module'"),
        ("tests.unit.test_losses:_batch", "returned tuple"),
    ],
)
def test_a_loss_that_cannot_be_had_is_refused_with_what_there_is(name: str, told: str) -> None:
    with pytest.raises(BadNetwork, match=told):
        load_loss(name)


def test_numpy_losses_do_not_load_torch() -> None:
    code = (
        "import sys; from active_learner.losses import load_loss; load_loss('cross_entropy');"
        "load_loss('mean_squared_error'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
