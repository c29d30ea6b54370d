"""Weights over the wire against plain PyTorch, bit for bit, after a thousand steps of real processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from active_learner.losses import load_loss
from tests.integration.up_process import call
from tests.reference import digest, hashed, trained

pytestmark = pytest.mark.integration
SEED = 11
STEPS = 1000
ROUND = ("initial_labels=100", "epochs=200", "batch_size=20", "pool_size=1200")


def network(dropout: float) -> nn.Module:
    """What active_learner.examples.torch_networks:digits says it is, written again."""
    layers: list[nn.Module] = [nn.Flatten(), _Once()]
    for width, following in ((64, 128), (128, 64)):
        layers += [nn.Linear(width, following), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(64, 10))


class _Once(nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch * 1.0


def run(folder: Path, *sets: str) -> Path:
    options = [f"trainer.{rule}" for rule in ROUND] + [f"seed={SEED}", *sets]
    ended = call("up", "digits", "--rounds", "1", *(word for one in options for word in ("--set", one)), cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "runs" / "digits"


def last_line(run_dir: Path) -> dict[str, Any]:
    line: dict[str, Any] = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    return line


def ours(name: str) -> Any:
    """Backward through the gradient that the trainer would have sent."""
    loss = load_loss(name)

    def backward(predictions: torch.Tensor, targets: torch.Tensor) -> None:
        _, gradient = loss.gradient(predictions.detach().numpy(), targets.numpy())
        predictions.backward(torch.from_numpy(gradient))

    return backward


def joined(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    nn.CrossEntropyLoss()(predictions, targets).backward()


def sgd(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.05)


def adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=0.001)


SGD = ("evaluator.optimizer=sgd", "evaluator.learning_rate=0.05")
ADAM = ("evaluator.optimizer=adam", "evaluator.learning_rate=0.001", "evaluator.arguments={dropout: 0.3}")


@pytest.mark.parametrize(
    ("optimizer", "sets", "dropout", "fused", "loss"),
    [
        pytest.param(sgd, SGD, 0.0, "true", "cross_entropy", id="sgd, one trip, our loss"),
        pytest.param(sgd, SGD, 0.0, "false", "torch:CrossEntropyLoss", id="sgd, two trips, torch's loss"),
        pytest.param(adam, ADAM, 0.3, "true", "torch:CrossEntropyLoss", id="adam and dropout, one trip, torch's loss"),
        pytest.param(adam, ADAM, 0.3, "false", "cross_entropy", id="adam and dropout, two trips, our loss"),
    ],
)
def test_weights_equal_the_reference_bit_for_bit(
    tmp_path: Path, optimizer: Any, sets: tuple[str, ...], dropout: float, fused: str, loss: str
) -> None:
    run_dir = run(tmp_path, *sets, f"trainer.fused={fused}", f"trainer.loss={loss}")
    line = last_line(run_dir)
    assert line["model_version"] == STEPS
    (ours_trained,) = trained(run_dir, SEED, lambda: [lambda: network(dropout)], optimizer, ours(loss))
    assert digest(ours_trained) == line["digest"]
    if loss.startswith("torch:"):
        (plain,) = trained(run_dir, SEED, lambda: [lambda: network(dropout)], optimizer, joined)
        assert digest(plain) == line["digest"]


def test_negative_controls_differ(tmp_path: Path) -> None:
    run_dir = run(tmp_path, *ADAM, "trainer.epochs=10")
    wanted = last_line(run_dir)["digest"]

    def weights(seed: int = SEED, spoil: Any = None) -> str:
        count = 0

        def loss(predictions: torch.Tensor, targets: torch.Tensor) -> None:
            nonlocal count
            count += 1
            (spoil or (lambda *_: ours("cross_entropy")(predictions, targets)))(count, predictions, targets)

        return digest(trained(run_dir, seed, lambda: [lambda: network(0.3)], adam, loss)[0])

    def twice(count: int, predictions: torch.Tensor, targets: torch.Tensor) -> None:
        _, gradient = load_loss("cross_entropy").gradient(predictions.detach().numpy(), targets.numpy())
        predictions.backward(torch.from_numpy(gradient), retain_graph=count == 7)
        if count == 7:
            predictions.backward(torch.from_numpy(gradient))

    def skipped(count: int, predictions: torch.Tensor, targets: torch.Tensor) -> None:
        ours("cross_entropy")(predictions * (count != 7), targets)

    assert weights() == wanted
    assert weights(spoil=twice) != wanted
    assert weights(spoil=skipped) != wanted
    assert weights(seed=SEED + 1) != wanted


def test_accuracy_is_recomputed_from_the_checkpoint(tmp_path: Path) -> None:
    """An independent reader: the checkpoint's tensors, the data set, plain PyTorch."""
    import numpy as np
    from safetensors import safe_open

    run_dir = run(tmp_path, "trainer.epochs=10")
    line = last_line(run_dir)
    checkpoint = max((run_dir / "checkpoints").glob("*.safetensors"))
    with safe_open(checkpoint, framework="pt") as file:
        prefix = next(name for name in file.keys() if name.endswith("2.weight"))[: -len("2.weight")]  # noqa: SIM118
        state = {name: file.get_tensor(prefix + name) for name in network(0.0).state_dict()}
    made = network(0.0)
    made.load_state_dict(state)
    assert digest(made) == line["digest"]
    shipped = Path(__file__).parents[2] / "active_learner" / "datasets" / "digits.npz"
    with np.load(shipped, allow_pickle=False) as arrays, torch.no_grad():
        answers = made.eval()(torch.from_numpy(arrays["X_test"])).argmax(1).numpy()
        assert float((answers == arrays["y_test"]).mean()) == line["accuracy"]
    assert hashed("step/11/0/0") > 0
