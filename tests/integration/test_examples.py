"""The examples of peers of one's own, each as a process in the real system."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from active_learner.datasets.reading import read_dataset
from active_learner.examples.torch_networks import digits
from tests.integration.by_hand import GATES, Gate
from tests.integration.gated_run import HERE
from tests.integration.up_process import Up, call, environment
from tests.ports import free_address
from tests.reference import digest, trained

pytestmark = [pytest.mark.integration, pytest.mark.timeout(500)]
SEED = 4
Start = Callable[[str], "subprocess.Popen[str]"]
SETS = (f"seed={SEED}", "trainer.initial_labels=60", "trainer.epochs=40", "trainer.loss=torch:CrossEntropyLoss")
STEPS = 40 * 3 + 40 * 4


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run at once must not meet at the default port."""
    monkeypatch.setenv("ACTIVE_LEARNER__BROKER__ADDRESS", free_address())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an example by its name; what is left at the end is killed."""
    running: list[subprocess.Popen[str]] = []
    plain = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}

    def started(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", f"active_learner.examples.{name}", "digits", *SETS]
        process = subprocess.Popen(command, cwd=tmp_path, env=plain, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def up(*sets: str) -> list[str]:
    return ["digits", "--rounds", "2", *(word for one in (*SETS, *sets) for word in ("--set", one))]


def last_result(folder: Path) -> dict[str, Any]:
    lines = (folder / "runs" / "digits" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    line: dict[str, Any] = json.loads(lines[-1])
    return line


def reference(folder: Path) -> str:
    """Plain PyTorch on the run's plans and labels: what our own evaluator is held to as well."""

    def loss(predictions: torch.Tensor, targets: torch.Tensor) -> None:
        nn.CrossEntropyLoss()(predictions, targets).backward()

    (stage,) = trained(folder / "runs" / "digits", SEED, lambda: [digits], lambda p: torch.optim.Adam(p, lr=1e-3), loss)
    return digest(stage)


def test_the_evaluator_trains_to_the_digest_of_ours(tmp_path: Path, start: Start) -> None:
    example = start("torch_evaluator")
    with Up(*up("evaluator.role=elsewhere"), cwd=tmp_path) as run:
        code, out, _ = run.ended()
    example.terminate()
    assert example.wait(timeout=30) == 0
    assert code == 0, "".join(run.lines)
    assert out.startswith("result: rounds=2 ")
    line = last_result(tmp_path)
    assert line["model_version"] == STEPS
    assert line["digest"] == reference(tmp_path)
    (tmp_path / "ours").mkdir()
    ours = call("up", *up(), cwd=tmp_path / "ours")
    assert ours.returncode == 0, ours.stderr
    assert last_result(tmp_path / "ours")["digest"] == line["digest"]


def test_the_evaluator_goes_on_from_its_checkpoint_when_it_was_killed(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the twentieth step of round 2."""
    monkeypatch.setenv(GATES, str(tmp_path))
    gate = Gate(tmp_path, f"loss-{40 * 3 + 20}")
    victim = start("torch_evaluator")
    with Up(*up("evaluator.role=elsewhere", f"trainer.loss={HERE}:loss"), cwd=tmp_path) as run:
        gate.reached()
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        again = start("torch_evaluator")
        assert again.stdout is not None
        told = re.fullmatch(r"ready: evaluator at step (\d+), model version 120\n", again.stdout.readline())
        assert told is not None
        assert int(told[1]) >= 120, "it has a checkpoint of the round's end, or a later one"
        gate.open()
        code, _, _ = run.ended()
    assert code == 0, "".join(run.lines)
    assert last_result(tmp_path)["digest"] == reference(tmp_path)


def test_rounds_end_right_with_the_source_and_the_labeler(tmp_path: Path, start: Start) -> None:
    start("source")
    start("labeler")
    own = ("source.kind=none", "labeler.kind=none", "sample.shape=[64]", "sample.dtype=float32", "sample.classes=10")
    with Up(*up(*own, "validation.path=digits"), cwd=tmp_path) as run:
        code, out, _ = run.ended()
    assert code == 0, "".join(run.lines)
    assert out.startswith("result: rounds=2 labels=65 ")
    line = last_result(tmp_path)
    assert (line["pool"], line["digest"]) == (1200 - 65, reference(tmp_path))
    shipped = read_dataset("digits")
    assert shipped.y_train is not None
    truth = {row.tobytes(): int(label) for row, label in zip(shipped.training_rows(), shipped.y_train, strict=True)}
    store = sqlite3.connect(tmp_path / "runs" / "digits" / "labels.db")
    labels = store.execute("SELECT features, value, annotator, action FROM events JOIN samples USING (key)").fetchall()
    assert len(labels) == len({features for features, *_ in labels}) == 65
    assert {(annotator, action) for _, _, annotator, action in labels} == {("heart", "answer")}
    assert all(truth[np.frombuffer(features, np.float32).tobytes()] == value for features, value, *_ in labels)
