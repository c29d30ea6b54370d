"""One network over two evaluator processes that meet in a room: the weights, the scores, and a stage that is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.integration.by_hand import GATES, Gate
from tests.integration.gated_run import HERE
from tests.integration.up_process import Up, call, descendants
from tests.ports import free_address
from tests.reference import digest, hashed, trained

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]
SEED = 11
QUICK = ("initial_labels=100", "epochs=60", "batch_size=20", "loss=torch:CrossEntropyLoss")
SGD = ("evaluator.optimizer=sgd", "evaluator.learning_rate=0.05")
DROPOUT = ("evaluator.arguments={dropout: 0.3}",)
Parts = Callable[[], list[Any]]


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run at once must not meet at the default port."""
    monkeypatch.setenv("ACTIVE_LEARNER__BROKER__ADDRESS", free_address())


def options(rounds: int, *sets: str) -> list[str]:
    every = (*(f"trainer.{one}" for one in QUICK), f"seed={SEED}", *sets)
    return ["digits-chain", "--rounds", str(rounds), *(word for one in every for word in ("--set", one))]


def front(dropout: float = 0.0) -> nn.Sequential:
    """What active_learner.examples.torch_networks says the stages are, written again."""
    return nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(64, 128), nn.ReLU(), *_dropped(dropout))


def back(dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(nn.Linear(128, 64), nn.ReLU(), *_dropped(dropout), nn.Linear(64, 10))


def _dropped(chance: float) -> list[nn.Module]:
    return [nn.Dropout(chance)] if chance else []


def joined() -> nn.Sequential:
    """One network of all layers, each half made after the seed of its stage."""
    halves = []
    for stage, half in enumerate((front, back)):
        torch.manual_seed(hashed(f"step/{SEED}/0/{stage}"))
        halves.append(half())
    return nn.Sequential(*halves)


def loss(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    nn.CrossEntropyLoss()(predictions, targets).backward()


def sgd(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.05)


def adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=0.001)


def results(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "runs" / "digits-chain" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def reference(folder: Path, parts: Parts, optimizer: Callable[[Any], Any]) -> str:
    stages = trained(folder / "runs" / "digits-chain", SEED, parts, optimizer, loss)
    return "+".join(digest(stage) for stage in (stages if len(stages) > 1 else stages[0]))


def test_without_dropout_the_halves_equal_the_joined_network_bit_for_bit(tmp_path: Path) -> None:
    ended = call("up", *options(1, *SGD), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (line,) = results(tmp_path)
    assert line["model_version"] == 300
    assert line["digest"] == reference(tmp_path, lambda: [joined], sgd)


def test_with_dropout_they_equal_the_reference_and_candidates_are_scored_through_both(tmp_path: Path) -> None:
    ended = call("up", *options(2, *DROPOUT), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    first, second = results(tmp_path)
    halves = [lambda: front(0.3), lambda: back(0.3)]
    assert second["digest"] == reference(tmp_path, lambda: halves, adam)
    assert first["model_version"] == 300
    store = sqlite3.connect(tmp_path / "runs" / "digits-chain" / "labels.db")
    stages = _after_round_1(tmp_path, halves, first["digest"])
    asked = store.execute(
        "SELECT features, probabilities FROM questions JOIN samples USING (key) WHERE model_version = 300"
    ).fetchall()
    assert len(asked) >= 5
    for features, probabilities in asked:
        wanted = stages(torch.from_numpy(np.frombuffer(features, np.float32).copy())[None]).softmax(1)[0]
        np.testing.assert_allclose(json.loads(probabilities), wanted.detach().numpy(), rtol=1e-4, atol=1e-6)


def _after_round_1(folder: Path, halves: list[Any], wanted: str) -> nn.Module:
    """Both stages from their checkpoints, in evaluation mode."""
    from safetensors import safe_open

    stages = []
    for role, half in zip(("front", "back"), halves, strict=True):
        stage = half()
        path = folder / "runs" / "digits-chain" / "checkpoints" / f"{role}-0000000300.safetensors"
        with safe_open(path, framework="pt") as file:
            stage.load_state_dict({name: file.get_tensor(f"network.{name}") for name in stage.state_dict()})
        stages.append(stage)
    assert "+".join(map(digest, stages)) == wanted
    return nn.Sequential(*stages).eval()


def test_either_stage_killed_in_the_middle_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the hundredth step of round 1, and in round 2: fifty steps at most were done twice by then."""
    monkeypatch.setenv(GATES, str(tmp_path))
    gates = {role: Gate(tmp_path, f"loss-{call}") for role, call in (("front", 100), ("back", 450))}
    with Up(*options(2, *DROPOUT, f"trainer.loss={HERE}:loss"), cwd=tmp_path) as up:
        up.wait_for("all are ready")
        for role, gate in gates.items():
            gate.reached()
            os.kill(process_of(up.pid, role), signal.SIGKILL)
            gate.open()
            up.wait_for(f"{role} ended with signal 9; starting it again")
        code, out, _ = up.ended()
    assert code == 0, "".join(up.lines)
    assert out.startswith("result: rounds=2 ")
    halves = [lambda: front(0.3), lambda: back(0.3)]
    assert results(tmp_path)[-1]["digest"] == reference(tmp_path, lambda: halves, adam)


def process_of(up: int, role: str) -> int:
    wanted = f'evaluator.role="{role}"'
    (found,) = [pid for pid in descendants(up) if wanted in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")]
    return found
