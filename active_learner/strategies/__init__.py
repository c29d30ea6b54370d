"""Query strategies by name. Knows names; nothing is imported before a strategy is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from active_learner import imports
from active_learner.errors import ConfigError

if TYPE_CHECKING:
    from active_learner.strategies.base import QueryStrategy

VARIANTS: dict[str, str] = {
    "least_confidence": "active_learner.strategies.uncertainty:LeastConfidence",
    "margin": "active_learner.strategies.uncertainty:Margin",
    "entropy": "active_learner.strategies.uncertainty:Entropy",
    "random": "active_learner.strategies.random_choice:RandomChoice",
}


def load_strategy(name: str, base: Path = Path()) -> QueryStrategy:
    """The strategy of that name, or what `module:factory` (looked up from `base` too) returns without arguments.

    Raises: ConfigError when there is no such name or the factory returns something else; BadNetwork when it cannot be
    imported.
    """
    from active_learner.strategies.base import QueryStrategy

    factory = imports.resolve(_path(name), base)
    if not callable(factory):
        raise ConfigError([f"trainer.strategy: {name} cannot be called"])
    strategy = factory()
    if not isinstance(strategy, QueryStrategy):
        kind = type(strategy).__name__
        raise ConfigError([f"trainer.strategy: {name} returned a {kind}, expected a QueryStrategy"])
    return strategy


def _path(name: str) -> str:
    if name in VARIANTS or ":" in name:
        return VARIANTS.get(name, name)
    near = get_close_matches(name, VARIANTS, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError([f"trainer.strategy: {name!r} is not one of {', '.join(VARIANTS)} or module:factory{meant}"])
