"""What every evaluator engine keeps of backends/base.py."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.backends import VARIANTS
from active_learner.backends.base import Backend
from active_learner.backends.settings import NetworkSettings
from active_learner.examples.torch_networks import digits

SEED = 5


@pytest.fixture(params=list(VARIANTS))
def make(request: pytest.FixtureRequest) -> Callable[..., Backend]:
    module, _, name = VARIANTS[request.param].partition(":")
    variant = getattr(importlib.import_module(module), name)

    def made(**changes: Any) -> Backend:
        given: dict[str, Any] = {
            "network": digits,
            "arguments": {"hidden": 12, "dropout": 0.3},
            "input_gradient": True,
            "seed": SEED,
        }
        backend: Backend = variant(NetworkSettings(**{**given, **changes}))
        return backend

    return made


def batch(step: int, rows: int = 6) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(step).integers(0, 17, (rows, 64)).astype(np.uint8)
    found.setflags(write=False)
    return found


def gradient(step: int, rows: int = 6) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(-step + 10_000).normal(0, 1, (rows, 10)).astype(np.float32)
    found.setflags(write=False)
    return found


def train(backend: Backend, first: int, last: int) -> None:
    for step in range(first, last + 1):
        backend.forward(step, SEED, batch(step))
        backend.apply(step, gradient(step), False)


def test_a_new_engine_is_untrained(make: Callable[..., Backend]) -> None:
    backend = make()
    assert (backend.applied, backend.model_version, backend.width, backend.run) == (0, 0, 0, "")


def test_forward_returns_finite_float32_and_tells_the_width(make: Callable[..., Backend]) -> None:
    backend = make()
    predictions = backend.forward(1, SEED, batch(1))
    assert predictions.shape == (6, 10)
    assert predictions.dtype == np.float32
    assert backend.width == 10
    assert backend.applied == 0


def test_a_forward_done_again_has_the_same_bits_whatever_happened_between(make: Callable[..., Backend]) -> None:
    backend = make()
    first = backend.forward(1, SEED, batch(1))
    backend.score(batch(2), True)
    backend.evaluate(batch(3))
    np.testing.assert_array_equal(backend.forward(1, SEED, batch(1)), first)


def test_a_step_is_the_same_whatever_happened_between_forward_and_gradient(make: Callable[..., Backend]) -> None:
    quiet, busy = make(), make()
    train(quiet, 1, 3)
    for step in range(1, 4):
        busy.forward(step, SEED, batch(99))
        busy.forward(step, SEED, batch(step))
        busy.evaluate(batch(step + 50))
        busy.score(batch(step + 60), True)
        busy.digest()
        busy.apply(step, gradient(step), True)
    assert busy.digest() == quiet.digest()


def test_another_seed_gives_another_network_and_other_steps(make: Callable[..., Backend]) -> None:
    here, there = make(), make()
    assert not np.array_equal(here.forward(1, SEED, batch(1)), there.forward(1, SEED + 1, batch(1)))
    assert make(seed=1).digest() != make(seed=2).digest()


def test_the_seed_of_the_run_makes_the_network_not_the_one_of_the_process(make: Callable[..., Backend]) -> None:
    here, there = make(seed=1), make(seed=2)
    train(here, 1, 2)
    train(there, 1, 2)
    assert here.digest() == there.digest()


def test_apply_returns_the_input_gradient_taken_before_the_step(make: Callable[..., Backend]) -> None:
    first, second = make(learning_rate=1e-9), make(learning_rate=10.0)
    slopes = []
    for backend in (first, second):
        backend.forward(1, SEED, batch(1))
        slopes.append(backend.apply(1, gradient(1), True))
    assert slopes[0] is not None
    assert slopes[0].shape == (6, 64)
    assert slopes[0].dtype == np.float32
    np.testing.assert_array_equal(slopes[0], slopes[1])


def test_no_input_gradient_is_returned_unasked(make: Callable[..., Backend]) -> None:
    backend = make()
    backend.forward(1, SEED, batch(1))
    assert backend.apply(1, gradient(1), False) is None
    assert backend.applied == 1


@pytest.mark.parametrize("spoil", ["nan", "infinity", "shape", "other step", "no forward"])
def test_row_24_a_refused_gradient_changes_nothing(make: Callable[..., Backend], spoil: str) -> None:
    spoiled, clean = make(), make()
    train(spoiled, 1, 2)
    train(clean, 1, 2)
    before = spoiled.digest()
    if spoil != "no forward":
        spoiled.forward(3, SEED, batch(3))
    bad, step = gradient(3).copy(), 4 if spoil == "other step" else 3
    if spoil in ("nan", "infinity"):
        bad[2, 3] = np.nan if spoil == "nan" else np.inf
    if spoil == "shape":
        bad = bad[:, :9]
    with pytest.raises(ValueError, match="step"):
        spoiled.apply(step, bad, False)
    assert spoiled.applied == 2
    assert spoiled.digest() == before
    if spoil == "no forward":
        spoiled.forward(3, SEED, batch(3))
    spoiled.apply(3, gradient(3), False)
    train(clean, 3, 3)
    assert spoiled.digest() == clean.digest()


def test_a_gradient_is_applied_once(make: Callable[..., Backend]) -> None:
    backend = make()
    train(backend, 1, 1)
    after = backend.digest()
    with pytest.raises(ValueError, match="no graph"):
        backend.apply(1, gradient(1), False)
    assert backend.digest() == after


def test_a_batch_that_does_not_fit_is_refused_and_names_the_layer(make: Callable[..., Backend]) -> None:
    backend = make()
    before = backend.digest()
    with pytest.raises(ValueError, match=r"\(6, 63\).*layer '2'.*Linear"):
        backend.forward(1, SEED, batch(1)[:, :63])
    assert backend.digest() == before


def test_evaluate_is_in_evaluation_mode_by_the_present_weights(make: Callable[..., Backend]) -> None:
    backend = make()
    untrained = backend.evaluate(batch(9))
    np.testing.assert_array_equal(backend.evaluate(batch(9)), untrained)
    train(backend, 1, 2)
    assert not np.array_equal(backend.evaluate(batch(9)), untrained)


def test_candidates_are_scored_by_the_promoted_snapshot(make: Callable[..., Backend]) -> None:
    backend = make()
    before = backend.score(batch(9), False)
    train(backend, 1, 3)
    during = backend.score(batch(9), False)
    np.testing.assert_array_equal(during.probabilities, before.probabilities)
    assert during.model_version == 0
    backend.promote()
    after = backend.score(batch(9), False)
    assert after.model_version == backend.model_version == 3
    assert not np.array_equal(after.probabilities, before.probabilities)
    np.testing.assert_array_equal(backend.infer(batch(9)), backend.evaluate(batch(9)))


def test_scores_are_probabilities_fitness_and_embeddings_when_asked_for(make: Callable[..., Backend]) -> None:
    found = make().score(batch(9), True)
    assert found.probabilities.dtype == found.fitness.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.fitness, found.probabilities @ np.arange(10), rtol=1e-5)
    assert found.embeddings is not None
    assert found.embeddings.shape == (6, 64)
    assert make().score(batch(9), False).embeddings is None


@pytest.mark.parametrize("promoted", [True, False])
def test_a_loaded_checkpoint_goes_on_bit_for_bit(make: Callable[..., Backend], tmp_path: Path, promoted: bool) -> None:
    whole, halved, path = make(), make(), tmp_path / "one.safetensors"
    train(whole, 1, 15)
    train(halved, 1, 15)
    if promoted:
        halved.promote()
    halved.save(path, "run", 4)
    assert halved.model_version == (15 if promoted else 0)
    whole.promote()
    other = make(seed=77)
    assert other.load(path, "run") == 15
    assert (other.applied, other.model_version, other.run) == (15, 15, "run")
    assert other.digest() == whole.digest()
    np.testing.assert_array_equal(
        other.score(batch(9), False).probabilities, whole.score(batch(9), False).probabilities
    )
    train(whole, 16, 30)
    train(other, 16, 30)
    assert other.digest() == whole.digest()


def test_a_checkpoint_of_another_run_is_refused(make: Callable[..., Backend], tmp_path: Path) -> None:
    backend = make()
    train(backend, 1, 1)
    backend.save(tmp_path / "one.safetensors", "mine", 0)
    train(backend, 2, 2)
    before = backend.digest()
    with pytest.raises(ValueError, match="of run mine, not of yours"):
        backend.load(tmp_path / "one.safetensors", "yours")
    assert (backend.digest(), backend.applied) == (before, 2)


def test_a_checkpoint_of_another_network_is_refused_and_names_the_layer(
    make: Callable[..., Backend], tmp_path: Path
) -> None:
    make(arguments={"hidden": 13}).save(tmp_path / "one.safetensors", "run", 0)
    backend = make()
    before = backend.digest()
    with pytest.raises(ValueError, match=r"another network: 2.bias is \(13,\) there and \(12,\) here"):
        backend.load(tmp_path / "one.safetensors", "run")
    assert backend.digest() == before


def test_a_damaged_checkpoint_is_refused(make: Callable[..., Backend], tmp_path: Path) -> None:
    path, backend = tmp_path / "one.safetensors", make()
    backend.save(path, "run", 0)
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 4
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"one.safetensors is damaged"):
        backend.load(path, "run")


def test_reset_is_the_network_as_it_was_first_made(make: Callable[..., Backend]) -> None:
    backend = make(seed=SEED)
    first = backend.digest()
    train(backend, 1, 3)
    backend.promote()
    backend.reset(SEED)
    assert (backend.digest(), backend.applied, backend.model_version) == (first, 0, 0)
