"""Losses: base.py (the promise) and one file per variant. Loads a loss by its name, and torch only for those that need it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from active_learner.errors import BadNetwork
from active_learner.losses.base import Loss

VARIANTS: dict[str, str] = {
    "cross_entropy": "active_learner.losses.cross_entropy:CrossEntropy",
    "mean_squared_error": "active_learner.losses.mean_squared_error:MeanSquaredError",
    "torch": "active_learner.losses.torch_loss:TorchLoss",
}
"""Name -> "module:Class". "torch" takes what it wraps behind a colon: torch:CrossEntropyLoss."""


def load_loss(name: str, base: Path | None = None) -> Loss:
    """The loss called `name`: one of VARIANTS, torch:NAME of torch.nn, or module:factory.

    A factory is called without arguments and returns a Loss, or a callable (predictions, targets) -> scalar of torch
    tensors. `base`: folder where its module is looked for after the installed ones. Raises: BadNetwork.
    """
    kind, _, rest = name.partition(":")
    if not rest and kind in VARIANTS and kind != "torch":
        closed_form: Loss = _variant(kind)()
        return closed_form
    if kind == "torch" and rest:
        named: Loss = _variant("torch").named(rest)
        return named
    if kind and rest:
        return _made_by(name, base or Path())
    raise BadNetwork(f"no loss {name!r}: allowed are cross_entropy, mean_squared_error, torch:NAME and module:factory")


def _variant(kind: str) -> Any:
    module, _, attribute = VARIANTS[kind].partition(":")
    return getattr(import_module(module), attribute)


def _made_by(name: str, base: Path) -> Loss:
    from active_learner import imports

    factory = imports.resolve(name, base)
    try:
        made = factory()
    except Exception as error:  # the user's factory may raise anything
        raise BadNetwork(f"loss {name!r}: the factory failed: {type(error).__name__}: {error}") from error
    if isinstance(made, Loss):
        return made
    if not callable(made):
        raise BadNetwork(
            f"loss {name!r}: the factory returned {type(made).__name__}, not a loss (predictions, targets)"
        )
    wrapped: Loss = _variant("torch")(made)
    return wrapped
