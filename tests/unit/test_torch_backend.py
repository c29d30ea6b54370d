"""The torch engine: the plain loop's bits, optimizers and schedules through a checkpoint, and what it refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from active_learner.backends.base import EngineState
from active_learner.backends.checkpoint import read_checkpoint, write_checkpoint
from active_learner.backends.settings import NetworkSettings
from active_learner.backends.torch_module import TorchBackend
from active_learner.backends.torch_state import digest, pack, unpack
from active_learner.core.seeds import step_seed
from active_learner.errors import BadNetwork
from active_learner.examples.torch_networks import digits, melody, melody_rating
from active_learner.losses import load_loss


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


def small(**changes: Any) -> TorchBackend:
    return TorchBackend(NetworkSettings(**{"network": digits, "arguments": {"hidden": 8}, **changes}))


def batch(step: int, rows: int = 5) -> np.ndarray:
    return np.random.default_rng(step).integers(0, 17, (rows, 64)).astype(np.uint8)


def gradient(step: int, rows: int = 5) -> np.ndarray:
    return np.random.default_rng(1000 + step).normal(0, 1, (rows, 10)).astype(np.float32)


def train(backend: TorchBackend, first: int, last: int) -> None:
    for step in range(first, last + 1):
        backend.forward(step, 0, batch(step))
        backend.apply(step, gradient(step), False)


@pytest.mark.parametrize(("optimizer", "dropout"), [("adam", 0.4), ("sgd", 0.0)])
def test_fifty_steps_are_bit_for_bit_a_plain_torch_loop(optimizer: str, dropout: float) -> None:
    loss = load_loss("torch:CrossEntropyLoss")
    backend = small(arguments={"dropout": dropout}, optimizer=optimizer, learning_rate=0.01, seed=9)
    torch.manual_seed(step_seed(9, 0, 0))
    network = digits(dropout=dropout)
    plain = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer](network.parameters(), lr=0.01)
    random = np.random.default_rng(0)
    for step in range(1, 51):
        rows, targets = batch(step, 20), random.integers(0, 10, 20)
        backend.apply(step, loss.gradient(backend.forward(step, 9, rows), targets)[1], False)
        torch.manual_seed(step_seed(9, step, 0))
        plain.zero_grad()
        nn.CrossEntropyLoss()(network(torch.from_numpy(rows).float()), torch.from_numpy(targets)).backward()
        plain.step()
    for (name, ours), theirs in zip(backend.network.state_dict().items(), network.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_the_digest_is_what_the_specification_says() -> None:
    backend = small()
    total = hashlib.sha256()
    for name, tensor in sorted(backend.network.state_dict().items()):
        shape = ",".join(map(str, tensor.shape))
        total.update(name.encode() + b"\0<f4\0" + shape.encode() + b"\0" + tensor.numpy().tobytes())
    assert backend.digest() == total.hexdigest()
    example = {"w": np.array([1.0, -0.5], np.float32)}
    assert digest(example) == "e293e11b3f29b8a1a1fc51cded9f51cdff63343d0531861dd8f3ad4fe65cbda5"


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "optimizer_arguments": {"momentum": 0.9, "nesterov": True}},
        {"optimizer": "adamw", "optimizer_arguments": {"amsgrad": True, "weight_decay": 0.1}},
        {"optimizer": torch.optim.RMSprop},
        {"schedule": "StepLR", "schedule_arguments": {"step_size": 7, "gamma": 0.3}},
        {"schedule": "MultiStepLR", "schedule_arguments": {"milestones": [4, 17, 20]}},
        {"schedule": "CosineAnnealingWarmRestarts", "schedule_arguments": {"T_0": 6}},
        {"schedule": "OneCycleLR", "schedule_arguments": {"max_lr": 0.1, "total_steps": 40}},
        {"schedule": "LinearLR"},
    ],
    ids=str,
)
def test_optimizer_and_schedule_go_on_bit_for_bit_after_a_load(changes: dict[str, Any], tmp_path: Path) -> None:
    whole, halved = small(**changes), small(**changes)
    train(whole, 1, 30)
    train(halved, 1, 15)
    halved.save(tmp_path / "half.safetensors", "run", 0)
    resumed = small(**{**changes, "seed": 3})
    resumed.load(tmp_path / "half.safetensors", "run")
    train(resumed, 16, 30)
    assert resumed.digest() == whole.digest()


def test_without_the_optimizer_state_the_bits_would_differ() -> None:
    whole, forgetful = small(), small()
    train(whole, 1, 30)
    train(forgetful, 1, 15)
    weights = {name: value.clone() for name, value in forgetful.network.state_dict().items()}
    forgetful.reset(0)
    forgetful.network.load_state_dict(weights)
    train(forgetful, 16, 30)
    assert forgetful.digest() != whole.digest()


def test_any_safetensors_reader_opens_a_checkpoint(tmp_path: Path) -> None:
    backend = small()
    train(backend, 1, 2)
    backend.save(tmp_path / "one.safetensors", "run", 1)
    arrays = load_file(tmp_path / "one.safetensors")
    for name, value in backend.network.state_dict().items():
        np.testing.assert_array_equal(arrays[f"network.{name}"], value.numpy())
    facts = read_checkpoint(tmp_path / "one.safetensors")[1]
    assert {"run": "run", "step": 2, "round": 1, "seed": 0, "stage": 0}.items() <= facts.items()


def test_a_flipped_bit_in_any_byte_of_a_checkpoint_is_found(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    write_checkpoint(path, {"a": np.arange(5, dtype=np.float32)}, {"run": "r", "step": 3})
    contents = path.read_bytes()
    for place in range(len(contents)):
        flipped = bytearray(contents)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"one\.safetensors"):
            read_checkpoint(path)


@pytest.mark.parametrize("length", [0, 4, 8, 60, -1])
def test_a_torn_checkpoint_is_refused_by_name(tmp_path: Path, length: int) -> None:
    path = tmp_path / "one.safetensors"
    write_checkpoint(path, {"a": np.arange(5, dtype=np.float32)}, {})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"one\.safetensors"):
        read_checkpoint(path)


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.safetensors"
    write_checkpoint(path, {"a": np.zeros(2)}, {"step": 1})

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(path, {"a": np.ones(2)}, {"step": 2})
    assert read_checkpoint(path)[1]["step"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.safetensors"]


def test_state_is_packed_without_losing_tuples_numeric_keys_or_floats() -> None:
    value = {"state": {0: {"step": torch.tensor(3.0)}}, "betas": (0.9, 0.1 + 0.2), "flag": None, "list": [1, "x", True]}
    arrays: dict[str, np.ndarray] = {}
    again = unpack(pack(value, "optimizer", arrays), arrays)
    assert again["betas"] == value["betas"]
    assert again["list"] == [1, "x", True]
    assert again["state"][0]["step"].item() == 3.0
    with pytest.raises(ValueError, match=r"optimizer\.f is a function"):
        pack({"f": pack}, "optimizer", arrays)


class Normed(nn.Module):
    """Running means: a buffer that a forward changes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(64), nn.Linear(64, 10)
        self.register_buffer("scale", torch.tensor(0.5))
        self.frozen = nn.BatchNorm1d(10)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.frozen(self.out(self.norm(rows) * self.scale))
        return found


def test_a_forward_that_is_not_applied_leaves_no_trace_in_the_buffers() -> None:
    clean, busy = small(network=Normed, arguments={}), small(network=Normed, arguments={})
    train(clean, 1, 3)
    for step in range(1, 4):
        before = busy.digest()
        busy.forward(step, 0, batch(77))
        assert busy.digest() == before
        busy.forward(step, 0, batch(step))
        with pytest.raises(ValueError, match="not finite"):
            busy.apply(step, gradient(step) * np.nan, False)
        busy.evaluate(batch(5))
        assert busy.digest() == before
        busy.apply(step, gradient(step), False)
    assert busy.digest() == clean.digest()


def test_a_network_with_buffers_comes_back_bit_for_bit_with_its_shapes(tmp_path: Path) -> None:
    whole, halved = small(network=Normed, arguments={}), small(network=Normed, arguments={})
    train(whole, 1, 20)
    train(halved, 1, 10)
    halved.save(tmp_path / "half.safetensors", "run", 0)
    resumed = small(network=Normed, arguments={}, seed=3)
    resumed.load(tmp_path / "half.safetensors", "run")
    assert resumed.digest() == halved.digest()
    for (name, ours), theirs in zip(
        resumed.network.state_dict().items(), halved.network.state_dict().values(), strict=True
    ):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), name
        assert torch.equal(ours, theirs), name
    train(resumed, 11, 20)
    assert resumed.digest() == whole.digest()
    arrays = read_checkpoint(tmp_path / "half.safetensors")[0]
    scalars = {name: array.shape for name, array in arrays.items() if name.endswith(("step", "batches_tracked"))}
    assert set(scalars.values()) == {()}
    assert {"network.norm.num_batches_tracked", "optimizer.state.0.step"} <= set(scalars)


def test_evaluation_gives_every_module_its_own_mode_back() -> None:
    backend = small(network=Normed, arguments={})
    backend.network.frozen.eval()
    backend.evaluate(batch(1))
    assert not backend.network.frozen.training
    assert backend.network.norm.training


class Spiky(nn.Module):
    """Finite predictions whose gradient is infinite: the root of zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(self.weight).repeat(len(rows), 1)


def test_a_gradient_that_explodes_inside_the_network_leaves_weights_and_graph() -> None:
    backend = small(network=Spiky, arguments={})
    before = backend.digest()
    backend.forward(1, 0, batch(1))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"step 1: the gradients of 1 of 1 parameters are not finite"):
            backend.apply(1, gradient(1), False)
    assert (backend.digest(), backend.applied) == (before, 0)


def test_huge_finite_gradients_whose_sum_is_infinite_are_applied() -> None:
    backend = small(network=lambda: nn.Linear(64, 10), arguments={}, optimizer="sgd", learning_rate=1e-38)
    backend.forward(1, 0, np.ones((5, 64), np.float32))
    backend.apply(1, np.full((5, 10), 3e37, np.float32), False)
    assert backend.applied == 1


def test_predictions_that_are_not_finite_are_refused() -> None:
    backend = small()
    with torch.no_grad():
        backend.network[-1].bias[0] = torch.nan
    with pytest.raises(ValueError, match="not finite in 5 of 5 rows"):
        backend.forward(1, 0, batch(1))
    with pytest.raises(ValueError, match=r"6.bias is not finite"):
        backend.promote()


def test_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    backend = small(output="probabilities")
    with pytest.raises(ValueError, match="rows sum to"):
        backend.score(batch(1), False)


def test_a_fitness_function_of_the_users_own_is_checked() -> None:
    good = small(fitness=lambda p: p[:, 3]).score(batch(1), False)
    np.testing.assert_array_equal(good.fitness, good.probabilities[:, 3])
    with pytest.raises(ValueError, match=r"returned \(5, 10\), expected \(5,\)"):
        small(fitness=lambda p: p).score(batch(1), False)
    with pytest.raises(ValueError, match=r"evaluator\.fitness failed: KeyError: 3"):
        small(fitness=lambda _: {}[3]).score(batch(1), False)
    best = small(fitness="confidence").score(batch(1), False)
    np.testing.assert_array_equal(best.fitness, best.probabilities.max(axis=1))


def test_a_network_that_is_shared_or_tied_is_saved_whole(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        network = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10))
        network[1].weight = network[0].weight
        return network

    backend = small(network=tied, arguments={})
    train(backend, 1, 2)
    backend.save(tmp_path / "tied.safetensors", "run", 0)
    other = small(network=tied, arguments={}, seed=1)
    other.load(tmp_path / "tied.safetensors", "run")
    train(backend, 3, 4)
    train(other, 3, 4)
    assert other.digest() == backend.digest()


def raises() -> nn.Module:
    raise KeyError("size")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": raises, "arguments": {}, "label": "mine:make"}, "mine:make.* failed: KeyError"),
        ({"network": dict, "arguments": {}}, "returned dict, not a torch.nn.Module"),
        ({"arguments": {"depth": 3}}, r"network\(depth=3\) failed: TypeError"),
        ({"network": nn.ReLU, "arguments": {}}, "no parameters to train"),
        ({"optimizer": "adamm"}, "allowed are adam, adamw, sgd"),
        ({"optimizer_arguments": {"momentumm": 1}}, "momentumm"),
        ({"schedule": "StepLRR"}, "allowed are .*StepLR"),
        ({"schedule": "StepLR"}, "step_size"),
        ({"schedule": {}}, "allowed are .*StepLR"),
        ({"fitness": "foo"}, "evaluator.fitness 'foo': allowed are expected, confidence and module:factory"),
        ({"device": "cuda:77"}, "cannot be used here"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be_made_is_told_by_its_key(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadNetwork, match=told):
        small(**changes)


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (lambda rows: rows[:, 0], r"returned \(5,\), expected \(5, width\)"),
        (lambda rows: (rows,), "returned tuple"),
        (lambda rows: rows[:2], r"returned \(2, 64\)"),
    ],
)
def test_an_output_that_is_no_table_of_predictions_is_refused(forward: Any, told: str) -> None:
    class Odd(nn.Linear):
        def forward(self, rows: torch.Tensor) -> Any:
            return forward(rows)

    backend = small(network=lambda: Odd(64, 2), arguments={})
    with pytest.raises(ValueError, match=told):
        backend.forward(1, 0, batch(1))


def test_a_checkpoint_with_another_optimizer_is_refused(tmp_path: Path) -> None:
    small(optimizer="sgd").save(tmp_path / "one.safetensors", "run", 0)
    with pytest.raises(ValueError, match="optimizer SGD, this evaluator has Adam"):
        small().load(tmp_path / "one.safetensors", "run")


def test_a_checkpoint_of_another_framework_is_refused(tmp_path: Path) -> None:
    """Of a network of the user's own, in the folder of the same run: an evaluator that finds it must not end of it."""
    backend = small()
    state = backend.capture(promoted=True)
    facts = {name: state.facts[name] for name in ("step", "model_version", "seed", "stage")}
    EngineState(state.arrays, facts).write(tmp_path / "one.safetensors", "run", 1, 0)
    with pytest.raises(ValueError, match="optimizer of another framework, this evaluator has Adam"):
        backend.load(tmp_path / "one.safetensors", "run")


def test_the_example_networks_have_the_sizes_that_their_names_promise() -> None:
    assert [tuple(p.shape) for p in melody().parameters()][::2] == [(256, 128), (64, 256), (16, 64), (6, 16)]
    assert [tuple(p.shape) for p in digits().parameters()][::2] == [(128, 64), (64, 128), (10, 64)]
    assert sum(isinstance(m, nn.Dropout) for m in digits(dropout=0.2)) == 2
    assert digits()(torch.zeros(3, 8, 8)).shape == (3, 10)


def test_the_rating_network_begins_undecided_and_likes_near_ratings_more_than_far_ones() -> None:
    genomes = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (7, 128)).astype(np.float32))
    network = melody_rating()
    before = network(genomes)
    assert before.shape == (7, 6)
    assert torch.equal(before[:, 2], before[:, 3])
    torch.nn.init.normal_(network.score.weight, generator=torch.Generator().manual_seed(1))
    logits = network(genomes)
    steps = logits.diff(dim=1)
    assert torch.all(steps.diff(dim=1) < 0)  # one peak, falling to both sides


def test_a_pause_has_no_height_for_the_rating_network() -> None:
    network = melody_rating()
    torch.nn.init.ones_(network.score.weight)
    high = torch.zeros(1, 128)
    high[0, [0, 1, 2, 3]] = 1.0  # the pause with all its other bits
    low = torch.zeros(1, 128)
    low[0, 3] = 1.0
    assert torch.equal(network(high), network(low))
