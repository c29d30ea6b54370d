"""A network of one's own behind the engine's promise: the example of PyTorch against our engine, and one of numpy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from active_learner.backends.own_network import OwnNetwork
from active_learner.backends.settings import NetworkSettings
from active_learner.backends.torch_module import TorchBackend
from active_learner.examples.torch_evaluator import Digits
from active_learner.examples.torch_networks import digits
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.serving import Array, ArrayLike, Arrays, Network

SEED = 5


class Linear(Network):
    """One layer, plain gradient descent, nothing but numpy."""

    def reset(self, seed: int) -> None:
        self.matrix = np.random.default_rng(seed).normal(0, 0.1, (64, 10)).astype(np.float32)

    def forward(self, seed: int, batch: Array) -> ArrayLike:
        self.batch = batch
        return batch @ self.matrix

    def apply(self, gradient: Array) -> ArrayLike:
        slope = gradient @ self.matrix.T
        self.matrix = self.matrix - np.float32(0.01) * (self.batch.T @ gradient)
        return slope

    def weights(self) -> Arrays:
        return {"matrix": self.matrix}

    def optimizer_state(self) -> Arrays:
        return {}

    def restore(self, weights: Arrays, optimizer_state: Arrays) -> None:
        self.matrix = weights["matrix"]

    def predict(self, weights: Arrays, batch: Array) -> ArrayLike:
        return batch @ weights["matrix"]


def batch(step: int) -> np.ndarray:
    rows = np.random.default_rng(step).integers(0, 17, (6, 64)).astype(np.uint8)
    rows.setflags(write=False)
    return rows


def gradient(step: int) -> np.ndarray:
    slope = np.random.default_rng(900 + step).normal(0, 0.1, (6, 10)).astype(np.float32)
    slope.setflags(write=False)
    return slope


def train(backend: Any, first: int, last: int) -> None:
    for step in range(first, last + 1):
        backend.forward(step, SEED, batch(step))
        backend.apply(step, gradient(step), False)


def ours(seed: int = SEED) -> TorchBackend:
    return TorchBackend(NetworkSettings(digits, seed=seed))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=[Digits, Linear])
def kind(request: pytest.FixtureRequest) -> type[Network]:
    found: type[Network] = request.param
    return found


def test_the_example_trains_as_our_engine_bit_for_bit_and_scores_as_it() -> None:
    example, engine = OwnNetwork(Digits(), SEED), ours()
    assert example.digest() == engine.digest()
    train(example, 1, 30)
    train(engine, 1, 30)
    assert example.digest() == engine.digest()
    np.testing.assert_array_equal(example.evaluate(batch(99)), engine.evaluate(batch(99)))
    for one in (example, engine):
        one.promote()
    there, here = example.score(batch(99), True), engine.score(batch(99), False)
    assert there.model_version == here.model_version == 30
    np.testing.assert_allclose(there.probabilities, here.probabilities, rtol=1e-5)
    np.testing.assert_allclose(there.fitness, here.fitness, rtol=1e-5)
    assert there.embeddings is None


def test_the_seed_of_the_run_makes_the_network(kind: type[Network]) -> None:
    one, other = OwnNetwork(kind(), 1), OwnNetwork(kind(), 2)
    assert one.digest() != other.digest()
    train(one, 1, 2)
    train(other, 1, 2)
    assert one.digest() == other.digest()


def test_scoring_and_validating_between_forward_and_gradient_change_nothing(kind: type[Network]) -> None:
    busy, quiet = OwnNetwork(kind(), SEED), OwnNetwork(kind(), SEED)
    train(quiet, 1, 5)
    for step in range(1, 6):
        busy.forward(step, SEED, batch(99))
        busy.forward(step, SEED, batch(step))
        busy.evaluate(batch(50))
        busy.score(batch(60), True)
        busy.digest()
        busy.apply(step, gradient(step), False)
    assert busy.digest() == quiet.digest()


@pytest.mark.parametrize("promoted", [True, False])
def test_a_loaded_checkpoint_goes_on_bit_for_bit(kind: type[Network], tmp_path: Path, promoted: bool) -> None:
    whole, halved, path = OwnNetwork(kind(), SEED), OwnNetwork(kind(), SEED), tmp_path / "one.safetensors"
    train(whole, 1, 15)
    train(halved, 1, 15)
    if promoted:
        halved.promote()
    halved.save(path, "run", 4)
    assert halved.model_version == (15 if promoted else 0)
    whole.promote()
    other = OwnNetwork(kind(), 77)
    train(other, 1, 3)
    assert other.load(path, "run") == 15
    assert (other.applied, other.model_version, other.run) == (15, 15, "run")
    np.testing.assert_array_equal(other.infer(batch(9)), whole.infer(batch(9)))
    train(whole, 16, 30)
    train(other, 16, 30)
    assert other.digest() == whole.digest()


def test_checkpoints_of_another_run_or_network_are_refused(tmp_path: Path) -> None:
    one, path = OwnNetwork(Digits(), SEED), tmp_path / "one.safetensors"
    one.save(path, "mine", 0)
    with pytest.raises(ValueError, match="of run mine, not of yours"):
        one.load(path, "yours")
    other = OwnNetwork(Linear(), SEED)
    before = other.digest()
    with pytest.raises(ValueError, match=r"another network: 2.bias is \(128,\) there and None here"):
        other.load(path, "mine")
    assert other.digest() == before


class Momentum(Linear):
    """Its optimizer has a state, of which a checkpoint of before it knows nothing."""

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self.momentum = np.zeros((64, 10), np.float32)

    def optimizer_state(self) -> Arrays:
        return {"momentum": self.momentum}

    def restore(self, weights: Arrays, optimizer_state: Arrays) -> None:
        super().restore(weights, optimizer_state)
        self.momentum = optimizer_state["momentum"]


def test_a_checkpoint_that_the_network_does_not_take_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    before = OwnNetwork(Linear(), SEED)
    train(before, 1, 2)
    before.save(tmp_path / "two.safetensors", "run", 1)
    backend, reference = OwnNetwork(Momentum(), SEED), OwnNetwork(Momentum(), SEED)
    train(backend, 1, 3)
    train(reference, 1, 4)
    backend.forward(4, SEED, batch(4))
    with pytest.raises(ValueError, match=r"two.safetensors: Momentum.restore failed: KeyError: 'momentum'"):
        backend.load(tmp_path / "two.safetensors", "run")
    backend.apply(4, gradient(4), False)
    assert (backend.applied, backend.digest()) == (4, reference.digest())


def test_one_that_the_network_does_not_take_is_not_offered_again(tmp_path: Path) -> None:
    """Else a trainer would ask for it for ever."""
    folder = CheckpointFolder(tmp_path, "network", 3)
    before, backend = OwnNetwork(Linear(), SEED), OwnNetwork(Momentum(), SEED)
    train(before, 1, 2)
    before.save(folder.path(2), "run", 1)
    train(backend, 1, 3)
    digest = backend.digest()
    assert folder.steps() == (2,)
    with pytest.raises(ValueError, match=r"Momentum.restore failed"):
        folder.restore(backend, "run", 2, SEED)
    assert folder.steps() == ()
    assert (backend.applied, backend.digest()) == (3, digest)


@pytest.mark.parametrize("spoil", ["nan", "shape", "other step", "again"])
def test_a_refused_gradient_changes_nothing(kind: type[Network], spoil: str) -> None:
    spoiled, clean = OwnNetwork(kind(), SEED), OwnNetwork(kind(), SEED)
    train(spoiled, 1, 2)
    train(clean, 1, 3)
    bad, step = gradient(3).copy(), {"other step": 4, "again": 2}.get(spoil, 3)
    if spoil != "again":
        spoiled.forward(3, SEED, batch(3))
    if spoil == "nan":
        bad[1, 1] = np.nan
    with pytest.raises(ValueError, match="step"):
        spoiled.apply(step, bad[:, :9] if spoil == "shape" else bad, False)
    assert spoiled.applied == 2
    spoiled.forward(3, SEED, batch(3))
    spoiled.apply(3, gradient(3), False)
    assert spoiled.digest() == clean.digest()


def test_what_the_network_refuses_in_apply_leaves_the_graph_for_the_next_gradient() -> None:
    spoiled, clean = OwnNetwork(Digits(), SEED), OwnNetwork(Digits(), SEED)
    train(clean, 1, 1)
    spoiled.forward(1, SEED, batch(1))
    with pytest.raises(ValueError, match="step 1: the gradient of a parameter is not finite"):
        spoiled.apply(1, np.full((6, 10), 3e38, np.float32), False)
    spoiled.apply(1, gradient(1), False)
    assert spoiled.digest() == clean.digest()


def test_a_batch_that_does_not_fit_is_refused(kind: type[Network]) -> None:
    backend = OwnNetwork(kind(), SEED)
    for refused in (lambda rows: backend.forward(1, SEED, rows), backend.evaluate, backend.infer):
        with pytest.raises(ValueError, match=rf"{kind.__name__} does not take a batch of \(6, 63\)"):
            refused(batch(1)[:, :63])


@pytest.mark.parametrize("shape", [(), (0, 64), (5,), (1,) * 8], ids=str)
def test_batches_of_any_shape_are_refused_in_words(kind: type[Network], shape: tuple[int, ...]) -> None:
    backend = OwnNetwork(kind(), SEED)
    for refused in (lambda rows: backend.forward(1, SEED, rows), backend.evaluate, backend.infer):
        with pytest.raises(ValueError, match=r"expected|does not take"):
            refused(np.ones(shape, np.float32))


def test_a_mistake_inside_a_network_is_told_with_its_type() -> None:
    class Sour(Linear):
        def predict(self, weights: Arrays, batch: Array) -> ArrayLike:
            raise KeyError("size")

    with pytest.raises(ValueError, match=r"Sour failed with a batch of \(6, 64\): KeyError: 'size'"):
        OwnNetwork(Sour(), SEED).infer(batch(1))


def test_a_stage_of_a_chain_returns_the_gradient_with_respect_to_its_input() -> None:
    stage = OwnNetwork(Linear(), SEED)
    matrix = stage.infer(np.eye(64))
    stage.forward(1, SEED, batch(1))
    slope = stage.apply(1, gradient(1), True)
    assert slope is not None
    np.testing.assert_allclose(slope, gradient(1) @ matrix.T, rtol=1e-5)
    first = OwnNetwork(Digits(), SEED)
    first.forward(1, SEED, batch(1))
    with pytest.raises(RuntimeError, match="the stage before needs it"):
        first.apply(1, gradient(1), True)


def test_reset_is_the_network_as_it_was_first_made(kind: type[Network]) -> None:
    backend = OwnNetwork(kind(), SEED)
    first = backend.digest()
    train(backend, 1, 3)
    backend.promote()
    backend.reset(SEED)
    assert (backend.digest(), backend.applied, backend.model_version) == (first, 0, 0)
