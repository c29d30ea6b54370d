"""Oracles by name: who can answer questions. Knows names; nothing is imported before an oracle is asked for.

Each class or function is called with `spec`, `base` (the folder that relative paths start from), `seed` (the run's), and the keys of its
section of the configuration but `kind`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from active_learner.core.records import SampleSpec
    from active_learner.oracles.base import Oracle

VARIANTS: dict[str, str] = {
    "simulated": "active_learner.oracles.simulated:SimulatedOracle",
    "terminal": "active_learner.oracles.at_terminal:make_terminal",
}


def make_oracle(kind: str, *, spec: SampleSpec, base: Path, seed: int, **settings: Any) -> Oracle:
    """An oracle of that kind; `settings` are the keys of its section of the configuration.

    Raises: KeyError when there is no such kind; ConfigError, BadNetwork when its settings cannot be followed.
    """
    module, _, name = VARIANTS[kind].partition(":")
    made: Oracle = getattr(import_module(module), name)(spec=spec, base=base, seed=seed, **settings)
    return made
