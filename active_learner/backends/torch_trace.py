"""Finds the layer where a batch does not fit, and lists layers. Knows modules; not training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of the table that `check` prints."""

    name: str
    kind: str
    output: tuple[int, ...]
    """Shape for the traced batch."""
    parameters: int


def layers_of(network: nn.Module, batch: Tensor) -> list[Layer]:
    """The leaf modules in the order in which they ran for `batch`; raises what the network raises."""
    seen: list[Layer] = []
    hooks = []

    def note(name: str, module: nn.Module, result: Any) -> None:
        shape = tuple(result.shape) if isinstance(result, Tensor) else ()
        seen.append(Layer(name, _described(module), shape, sum(p.numel() for p in module.parameters())))

    for name, module in _leaves(network):
        hooks.append(module.register_forward_hook(lambda m, _i, result, name=name: note(name, m, result)))
    try:
        with torch.no_grad():
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def culprit(network: nn.Module, batch: Tensor) -> str:
    """Which layer fails for `batch`, and on what shape; "" when none of its own does."""
    running: list[str] = []
    hooks = []

    def enter(name: str, module: nn.Module, inputs: Any) -> None:
        shapes = ", ".join(str(tuple(one.shape)) for one in inputs if isinstance(one, Tensor))
        running.append(f"layer {name!r} ({_described(module)}) got {shapes}")

    for name, module in _leaves(network):
        hooks.append(module.register_forward_pre_hook(lambda m, inputs, name=name: enter(name, m, inputs)))
        hooks.append(module.register_forward_hook(lambda _m, _i, _r: running.clear()))
    try:
        with torch.no_grad():
            network(batch)
    except Exception:  # it failed before; here only the place is wanted
        return running[-1] if running else ""
    finally:
        for hook in hooks:
            hook.remove()
    return ""


def _leaves(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name or "network", module) for name, module in network.named_modules() if not any(module.children())]


def _described(module: nn.Module) -> str:
    extra = module.extra_repr()
    return f"{type(module).__name__}({extra})" if extra else type(module).__name__
