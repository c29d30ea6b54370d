"""The step that is measured: melody network, batches of 20, plain SGD; and the loops without a wire. One torch thread."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from active_learner.backends import torch_state
from active_learner.core.seeds import step_seed
from active_learner.examples.torch_networks import melody
from active_learner.losses import load_loss
from active_learner.results.words import quantile

BITS, CLASSES, BATCH, BATCHES = 128, 6, 20, 20
SEED, LEARNING_RATE = 7, 0.05
STEPS, WARM_UP = 1_000, 50
LOSS = "cross_entropy"


@dataclass(frozen=True, slots=True)
class Steps:
    """What one way of stepping came to."""

    p50_s: float
    p99_s: float
    digest: str
    """Of the weights after the last step; "" when they cannot be seen."""

    @classmethod
    def of(cls, taken: list[float], digest: str = "") -> Steps:
        """`taken`: seconds of each step, the first ones are warm-up."""
        counted = taken[min(WARM_UP, len(taken) // 5) :]
        return cls(quantile(counted, 0.5), quantile(counted, 0.99), digest)


def batches() -> list[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """BATCHES different ones, used in turn: 400 genomes (20, 128) with ratings (20,)."""
    draw = np.random.default_rng(3)
    return [
        (draw.integers(0, 2, (BATCH, BITS), dtype=np.uint8), draw.integers(0, CLASSES, BATCH)) for _ in range(BATCHES)
    ]


def network() -> nn.Module:
    """As an evaluator of a run with that seed makes it."""
    torch.set_num_threads(1)
    torch.manual_seed(step_seed(SEED, 0, 0))
    return melody()


def digest(trained: nn.Module) -> str:
    return torch_state.digest(torch_state.as_arrays(trained.state_dict()))


def plain_loop(steps: int = STEPS) -> Steps:
    """What everybody writes: forward, torch's loss, backward, step."""
    trained, rows = network(), [_tensors(*batch) for batch in batches()]
    optimizer = torch.optim.SGD(trained.parameters(), lr=LEARNING_RATE)
    loss, taken = nn.CrossEntropyLoss(), []
    for step in range(steps):
        batch, labels = rows[step % BATCHES]
        begun = time.perf_counter()
        optimizer.zero_grad()
        loss(trained(batch), labels).backward()
        optimizer.step()
        taken.append(time.perf_counter() - begun)
    return Steps.of(taken, digest(trained))


def cut_loop(steps: int = STEPS) -> Steps:
    """The same cut where the wire is, with the trainer's own loss: its weights are those that the wire must give."""
    trained, rows = network(), [(_tensors(*batch)[0], batch[1]) for batch in batches()]
    optimizer = torch.optim.SGD(trained.parameters(), lr=LEARNING_RATE)
    loss, taken = load_loss(LOSS), []
    for step in range(steps):
        batch, labels = rows[step % BATCHES]
        begun = time.perf_counter()
        predictions = trained(batch)
        _, gradient = loss.gradient(predictions.detach().numpy(), labels)
        optimizer.zero_grad()
        predictions.backward(torch.from_numpy(gradient))
        optimizer.step()
        taken.append(time.perf_counter() - begun)
    return Steps.of(taken, digest(trained))


def _tensors(batch: NDArray[Any], labels: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(batch.astype(np.float32)), torch.from_numpy(labels)
