"""A network in any framework as an evaluator engine. Knows the few things that a Network must do, and arrays; no framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from active_learner.backends import states
from active_learner.backends.base import SNAPSHOT, Array, Backend, EngineState, Evaluation
from active_learner.core.seeds import step_seed

ArrayLike = Any
"""What numpy makes an array of by itself: its own, a torch tensor on the CPU, a JAX array."""
Arrays = Mapping[str, ArrayLike]
"""By name."""


class Network(ABC):
    """A network and its optimizer. What it is given are numpy arrays, float32, its own to keep or change. What it returns is
    copied at once.

    Methods are called one at a time, not always from the same thread. ValueError means "refused, and nothing has changed": its
    words reach whoever asked; so does any exception of `forward` and `predict`. Another one elsewhere ends the process; the
    last checkpoint is good.
    """

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Seed every generator with `seed` and make network and optimizer anew."""

    @abstractmethod
    def forward(self, seed: int, batch: Array) -> ArrayLike:
        """Seed every generator with `seed`, run `batch` (n, *sample shape) in training mode, and keep what `apply` needs.

        Returns (n, width). May be called again before `apply`: then only the last call counts, running statistics included.
        """

    @abstractmethod
    def apply(self, gradient: Array) -> ArrayLike | None:
        """Backward from `gradient` (n, width) through what `forward` kept, then one step of the optimizer.

        Returns the gradient with respect to the batch, taken before the step; None is enough for a first stage. Raises:
        ValueError, before anything has changed, when the gradient of a parameter is not finite.
        """

    @abstractmethod
    def weights(self) -> Arrays:
        """All parameters and buffers by name, as they were after the last `apply`."""

    @abstractmethod
    def optimizer_state(self) -> Arrays:
        """What the optimizer remembers, by any names; {} when it remembers nothing."""

    @abstractmethod
    def restore(self, weights: Arrays, optimizer_state: Arrays) -> None:
        """Go on from what `weights` and `optimizer_state` once returned, now numpy arrays. `reset` was called just before.

        What it raises means that this checkpoint is not for this network; it is then asked to go on from what there was.
        """

    @abstractmethod
    def predict(self, weights: Arrays, batch: Array) -> ArrayLike:
        """(n, width) by these weights, in evaluation mode. What `forward` kept, the weights in training and the generators
        stay as they are."""

    def probabilities(self, predictions: Array) -> Array:
        """(n, classes) float32, rows sum to 1. The default takes `predictions` for logits."""
        exponentials = np.exp(predictions - predictions.max(axis=1, keepdims=True))
        shares: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
        return shares

    def fitness(self, probabilities: Array) -> Array:
        """(n,) float32, what sources breed by. The default is the mean class by probability."""
        mean: Array = probabilities @ np.arange(probabilities.shape[1], dtype=np.float32)
        return mean


@dataclass(frozen=True, slots=True)
class _Kept:
    """A forward whose gradient has not come yet."""

    step: int
    seed: int
    batch: Array
    shape: tuple[int, ...]


class OwnNetwork(Backend):
    """See Backend. Counts steps, derives seeds, checks arrays and writes checkpoints around a Network."""

    def __init__(self, network: Network, seed: int = 0, stage: int = 0) -> None:
        """`seed`: the run's; the one that comes with step 1 counts. `stage`: place in a chain, input first."""
        self._network, self._stage, self._width = network, stage, 0
        self._seed, self._applied, self._model_version = seed, 0, 0
        self._kept: _Kept | None = None
        self.reset(seed)

    @property
    def applied(self) -> int:
        return self._applied

    @property
    def model_version(self) -> int:
        return self._model_version

    @property
    def width(self) -> int:
        return self._width

    def forward(self, step: int, seed: int, batch: Array) -> Array:
        if seed != self._seed and self._applied == 0:
            self.reset(seed)
        self._kept = None
        predictions = self._run(partial(self._network.forward, step_seed(seed, step, self._stage)), batch)
        self._kept = _Kept(step, seed, batch, predictions.shape)
        return predictions

    def apply(self, step: int, gradient: Array, want_input_gradient: bool) -> Array | None:
        kept = self._kept
        if kept is None or kept.step != step:
            held = "none is kept" if kept is None else f"the graph of step {kept.step} is kept"
            raise ValueError(f"no graph of step {step}: {held}")
        if gradient.shape != kept.shape:
            raise states.DoesNotFit(f"gradient of step {step} is {gradient.shape}, expected {kept.shape}")
        slope_out = _floats(gradient)
        if not np.isfinite(slope_out).all():
            raise states.NotFinite(f"gradient of step {step} is not finite")
        try:
            slope = self._network.apply(slope_out)
        except ValueError as error:
            self.forward(kept.step, kept.seed, kept.batch)  # backward may have used the graph up
            raise states.of_step(step, error) from error
        if want_input_gradient and slope is None:
            raise RuntimeError("apply() returned no gradient with respect to the batch, and the stage before needs it")
        self._kept, self._applied = None, step
        return _floats(slope) if want_input_gradient and slope is not None else None

    def evaluate(self, batch: Array) -> Array:
        return self._run(partial(self._network.predict, self._weights()), batch)

    def infer(self, batch: Array) -> Array:
        return self._run(partial(self._network.predict, self._snapshot), batch)

    def score(self, batch: Array, embeddings: bool) -> Evaluation:
        """Embeddings are not known here."""
        probabilities = np.asarray(self._network.probabilities(self.infer(batch)), np.float32)
        fitness = np.asarray(self._network.fitness(probabilities), np.float32)
        if fitness.shape != batch.shape[:1] or not np.isfinite(fitness).all():
            raise ValueError(f"fitness() returned {fitness.shape}, expected {batch.shape[:1]}, finite")
        return Evaluation(self._model_version, probabilities, fitness, None)

    def promote(self) -> None:
        weights = self._weights()
        states.check_finite(weights)
        self._snapshot, self._model_version = weights, self._applied

    def digest(self) -> str:
        return states.digest(self._weights())

    def capture(self, promoted: bool = False) -> EngineState:
        sections = {"network.": self._weights(), "optimizer.": _copied(self._network.optimizer_state())}
        if not promoted and self._model_version != self._applied:
            sections[SNAPSHOT] = dict(self._snapshot)
        arrays = {section + name: one for section, found in sections.items() for name, one in found.items()}
        states.check_finite(arrays)
        version = self._applied if promoted else self._model_version
        facts = {"step": self._applied, "model_version": version, "seed": self._seed, "stage": self._stage}
        return EngineState(arrays, {**facts, "network": type(self._network).__name__})

    def load(self, path: Path, run: str) -> int:
        state = EngineState.read(path, run)
        facts, weights = state.facts, _section(state.arrays, "network.")
        _check_same(path, weights, self._weights())
        self._take(path, facts["seed"], weights, _section(state.arrays, "optimizer."))
        self._snapshot = _section(state.arrays, SNAPSHOT) or weights
        self._seed, self._applied, self._model_version = facts["seed"], facts["step"], facts["model_version"]
        self.run, self.term, self.weights_of = facts["run"], facts["term"], facts["weights_of"]
        self._kept = None
        return self._applied

    def _take(self, path: Path, seed: int, weights: Arrays, optimizer_state: Arrays) -> None:
        """Raises: ValueError when the network does not take it, with weights, optimizer and kept graph as they were."""
        before, kept = (self._weights(), _copied(self._network.optimizer_state())), self._kept
        try:
            self._network.reset(step_seed(seed, 0, self._stage))
            self._network.restore(_copied(weights), optimizer_state)
        except Exception as error:  # the user's network may raise anything
            self._network.reset(step_seed(self._seed, 0, self._stage))
            self._network.restore(*before)
            if kept is not None:
                self.forward(kept.step, kept.seed, kept.batch)
            text = f"{type(self._network).__name__}.restore failed: {type(error).__name__}: {error}"
            raise ValueError(f"checkpoint {path.name}: {text}") from error

    def reset(self, seed: int) -> None:
        self._network.reset(step_seed(seed, 0, self._stage))
        self._snapshot = self._weights()
        self._seed, self._applied, self._model_version, self._kept = seed, 0, 0, None

    def _weights(self) -> dict[str, Array]:
        return _copied(self._network.weights())

    def _run(self, forward: Callable[[Array], ArrayLike], batch: Array) -> Array:
        """Raises: ValueError when the network fails, or returns something else than (n, width) finite numbers."""
        states.check_batch(batch)
        try:
            found = _floats(forward(_floats(batch)))
        except Exception as error:  # the user's network may raise anything
            raise states.failure(type(self._network).__name__, batch.shape, "", error) from error
        if found.ndim != 2 or len(found) != len(batch):
            raise states.DoesNotFit(f"the network returned {found.shape}, expected ({len(batch)}, width)")
        if not np.isfinite(found).all():
            raise states.NotFinite("predictions are not finite")
        self._width = found.shape[1]
        return found


def _floats(array: ArrayLike) -> Array:
    """A copy: what came from the wire is read-only, and a network may change what it is given."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, which is refused
        return np.asarray(array).astype(np.float32, order="C")


def _copied(arrays: Arrays) -> dict[str, Array]:
    return {name: np.asarray(array).copy(order="C") for name, array in arrays.items()}


def _section(arrays: Arrays, prefix: str) -> dict[str, Array]:
    """Copies: those of a file are read-only."""
    return _copied({name.removeprefix(prefix): one for name, one in arrays.items() if name.startswith(prefix)})


def _check_same(path: Path, there: Arrays, here: Arrays) -> None:
    """Raises: ValueError naming the first entry that does not fit."""
    for name in sorted({*there, *here}):
        old, new = (found[name].shape if name in found else None for found in (there, here))
        if old != new:
            raise ValueError(f"checkpoint {path.name} is of another network: {name} is {old} there and {new} here")
