"""A run goes on where it was: labels, weights, pool and round numbers; and what was labeled before trains round 0."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from active_learner.losses import load_loss
from tests.integration.up_process import call
from tests.ports import free_address
from tests.reference import digest, trained

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVE_LEARNER__BROKER__ADDRESS", free_address())


def up(folder: Path, config: str, *options: str) -> str:
    ended = call("up", config, *options, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def metrics(folder: Path, name: str) -> list[dict[str, Any]]:
    text = (folder / "runs" / name / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def events(folder: Path, name: str) -> list[tuple[Any, ...]]:
    """Every label event, in order."""
    with sqlite3.connect(folder / "runs" / name / "labels.db") as store:
        return store.execute("SELECT id, question, key, value FROM events ORDER BY sequence").fetchall()


def test_a_run_in_pieces_comes_to_the_weights_of_one_piece(tmp_path: Path) -> None:
    options = ("--set", "trainer.epochs=2", "--set", "validation.limit=50", "--rounds")
    for folder in ("pieces", "whole"):
        (tmp_path / folder).mkdir()
    up(tmp_path / "pieces", "digits", *options, "1")
    kept = events(tmp_path / "pieces", "digits")
    said = up(tmp_path / "pieces", "digits", *options, "3")
    assert events(tmp_path / "pieces", "digits")[: len(kept)] == kept
    assert "resumed at 20 labels" in said
    assert "ready: evaluator at step 2, model version 2" in said
    up(tmp_path / "whole", "digits", *options, "3")
    pieces, whole = metrics(tmp_path / "pieces", "digits"), metrics(tmp_path / "whole", "digits")
    names = ("round", "labels", "model_version", "digest", "accuracy")
    assert [[line[name] for name in names] for line in pieces] == [[line[name] for name in names] for line in whole]
    assert [line["round"] for line in pieces] == [1, 2, 3]

    again = call("up", "digits", *options, "3", cwd=tmp_path / "pieces")
    assert again.returncode == 0, again.stderr
    assert "nothing to do: 3 rounds done" in again.stdout
    assert metrics(tmp_path / "pieces", "digits") == pieces


TUTORIAL = (
    *("--set", "evaluator.network=active_learner.examples.torch_networks:melody"),
    *("--set", "evaluator.learning_rate=0.001"),
)
"""The network of the reference."""


def test_labels_imported_before_the_first_start_train_round_0_and_never_again(tmp_path: Path) -> None:
    """The tutorial's own file: a quoted tuple of bits and a rating, `3` and `3.0` alike."""
    ratings = [number % 6 for number in range(30)]
    genomes = [tuple((number >> bit) & 1 for bit in range(128)) for number in range(1, 31)]
    rows = [
        f'"{genome}",{rating}{".0" if rating % 2 else ""}\n' for genome, rating in zip(genomes, ratings, strict=True)
    ]
    (tmp_path / "ratings.csv").write_text("".join(rows))
    imported = call("labels", "import", "melody-simulated", "ratings.csv", cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert "30 imported, 0 already known, 0 skipped" in imported.stdout

    up(tmp_path, "melody-simulated", *TUTORIAL, "--rounds", "1")
    [line] = metrics(tmp_path, "melody-simulated")
    assert (line["round"], line["labels"], line["model_version"]) == (0, 30, 20)
    (network,) = trained(tmp_path / "runs" / "melody-simulated", 0, lambda: [tutorial_network], adam, ours, dtype="u1")
    assert digest(network) == line["digest"]

    options = (*TUTORIAL, "--set", "source.interval_s=0.0", "--set", "labeler.delay_s=0.0")
    up(tmp_path, "melody-simulated", *options, "--rounds", "2")
    assert [line["round"] for line in metrics(tmp_path, "melody-simulated")] == [0, 1]


def test_labels_rated_beforehand_train_round_0(tmp_path: Path) -> None:
    rated = call("label", "melody-simulated", "--prelabel", "20", cwd=tmp_path)
    assert rated.returncode == 0, rated.stderr
    up(tmp_path, "melody-simulated", "--rounds", "1")
    [line] = metrics(tmp_path, "melody-simulated")
    assert (line["round"], line["labels"]) == (0, 20)


def tutorial_network() -> Any:
    from active_learner.examples.torch_networks import melody

    return melody()


def adam(parameters: Any) -> Any:
    import torch

    return torch.optim.Adam(parameters, lr=1e-3)


def ours(predictions: Any, targets: Any) -> None:
    import torch

    _, gradient = load_loss("cross_entropy").gradient(predictions.detach().numpy(), targets.numpy())
    predictions.backward(torch.from_numpy(gradient))
