"""Network, optimizer and schedule made from their settings. Knows how to say what is wrong with them; not training."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from active_learner.backends.settings import NetworkSettings
from active_learner.core.seeds import step_seed
from active_learner.errors import BadNetwork

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}

FITNESS: dict[str, Callable[..., Any]] = {
    "expected": lambda probabilities: probabilities @ np.arange(probabilities.shape[1], dtype=np.float32),
    "confidence": lambda probabilities: probabilities.max(axis=1),
}
"""(n, classes) float32 -> (n,)."""


@dataclass(slots=True)
class Parts:
    """What one run trains."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Any
    """A torch.optim.lr_scheduler, or None."""


def prepare_torch(settings: NetworkSettings) -> torch.device:
    """Threads, determinism and the device. Raises: BadNetwork when there is no such device."""
    torch.set_num_threads(settings.threads)
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it once, at its first use
        # Filling fresh memory would only help to find a network that reads it unwritten; it costs on every step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(settings.deterministic)
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BadNetwork(f"evaluator.device {settings.device!r} cannot be used here: {error}") from error


def seed_generators(seed: int, device: torch.device) -> None:
    """As torch.manual_seed, which takes 140 us because it asks every kind of accelerator; this takes 1."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


def make_network(settings: NetworkSettings, seed: int, device: torch.device) -> nn.Module:
    """The network as it is before step 1 of a run with that seed, in training mode. Raises: BadNetwork."""
    seed_generators(step_seed(seed, 0, settings.stage), device)
    try:
        network = settings.network(**settings.arguments)
    except Exception as error:  # the user's factory may raise anything
        arguments = ", ".join(f"{key}={value!r}" for key, value in settings.arguments.items())
        raise BadNetwork(f"{settings.label}({arguments}) failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise BadNetwork(f"{settings.label} returned {type(network).__name__}, not a torch.nn.Module")
    return network.to(device).train()


def make_parts(settings: NetworkSettings, seed: int, device: torch.device) -> Parts:
    """All anew, as before step 1. Raises: BadNetwork."""
    network = make_network(settings, seed, device)
    optimizer = _make_optimizer(settings, network)
    return Parts(network, optimizer, _make_schedule(settings, optimizer))


def fitness_of(settings: NetworkSettings) -> Callable[..., Any]:
    """Raises: BadNetwork when it is neither a name that we know nor a function."""
    return _looked_up(settings.fitness, FITNESS, "evaluator.fitness")


def _make_optimizer(settings: NetworkSettings, network: nn.Module) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise BadNetwork(f"{settings.label} has no parameters to train")
    factory = _looked_up(settings.optimizer, OPTIMIZERS, "evaluator.optimizer")
    try:
        made = factory(parameters, lr=settings.learning_rate, **settings.optimizer_arguments)
    except Exception as error:  # the arguments are the user's
        raise BadNetwork(f"evaluator.optimizer {settings.optimizer!r}: {type(error).__name__}: {error}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise BadNetwork(f"evaluator.optimizer returned {type(made).__name__}, not a torch.optim.Optimizer")
    return made


def _make_schedule(settings: NetworkSettings, optimizer: torch.optim.Optimizer) -> Any:
    if settings.schedule is None:
        return None
    schedules = torch.optim.lr_scheduler
    names = {n: getattr(schedules, n) for n in dir(schedules) if n.endswith(("LR", "Restarts")) and n[0].isupper()}
    factory = _looked_up(settings.schedule, names, "evaluator.schedule")
    try:
        return factory(optimizer, **settings.schedule_arguments)
    except Exception as error:  # the arguments are the user's
        raise BadNetwork(f"evaluator.schedule {settings.schedule!r}: {type(error).__name__}: {error}") from error


def _looked_up(wanted: str | Callable[..., Any], known: dict[str, Any], key: str) -> Callable[..., Any]:
    if callable(wanted):
        return wanted
    if not isinstance(wanted, str) or wanted not in known:
        raise BadNetwork(f"{key} {wanted!r}: allowed are {', '.join(known)} and module:factory")
    factory: Callable[..., Any] = known[wanted]
    return factory
