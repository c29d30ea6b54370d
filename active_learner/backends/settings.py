"""What an evaluator engine is told at its start. Knows no engine and no configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The evaluator section of a configuration with its module:factory names already looked up."""

    network: Callable[..., Any]
    """Called with `arguments`, returns the network; called again for the snapshot and for every restore."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    optimizer: str | Callable[..., Any] = "adam"
    """adam, adamw, sgd, or a factory called with the parameters, lr and `optimizer_arguments`."""
    learning_rate: float = 1e-3
    optimizer_arguments: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | Callable[..., Any] | None = None
    """Name in torch.optim.lr_scheduler, or a factory called with the optimizer and `schedule_arguments`."""
    schedule_arguments: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    deterministic: bool = True
    fitness: str | Callable[..., Any] = "expected"
    """expected, confidence, or a function (n, classes) float32 -> (n,)."""
    output: str = "logits"
    """logits or probabilities: what the network returns."""
    input_gradient: bool = False
    """The gradient with respect to the input may be asked for."""
    seed: int = 0
    """The run's seed: the network is made after step_seed(seed, 0, stage)."""
    stage: int = 0
    """Place in the chain of evaluators, input first."""
    label: str = "network"
    """How error texts name the network: module:factory."""
