"""`replay`: the weights of a run made again from its plans, whatever happened to it, and told when they differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from active_learner.config.loading import RESOLVED
from tests.integration.by_hand import Hand
from tests.integration.gated_run import HERE, ROUNDS, by_hand
from tests.integration.test_gated_promotion import GATED, started
from tests.integration.up_process import call
from tests.ports import free_address

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVE_LEARNER__BROKER__ADDRESS", free_address())


def up(folder: Path, config: str, rounds: int, *sets: str) -> None:
    options = [word for one in sets for word in ("--set", one)]
    ended = call("up", config, "--rounds", str(rounds), *options, cwd=folder)
    assert ended.returncode == 0, ended.stderr


def test_a_run_with_a_kill_and_a_round_that_was_held_back_is_equal_and_a_changed_one_is_not(
    by_hand: Callable[..., Hand], tmp_path: Path
) -> None:
    hand = by_hand(*GATED)
    shells = started(hand, "evaluator.after_apply:40")
    shells["serve"].wait_for("evaluator is away")
    hand.start("evaluator")
    assert shells["serve"].ended() == 0
    again = call("replay", "digits", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    lines = again.stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "round 1: 40 labels",
        "round 2: 50 labels",
        "round 3: 60 labels",
        "replay: 3 rounds",
    ]
    assert "held back (accuracy " in lines[1]
    assert all(line.endswith(" equal") for line in lines[:3])
    assert "65 steps, digest " in lines[3]

    resolved = hand.run_dir / RESOLVED
    resolved.write_text(resolved.read_text(encoding="utf-8").replace("learning_rate: 0.1\n", "learning_rate: 0.11\n"))
    changed = call("replay", str(hand.run_dir), cwd=tmp_path)
    assert changed.returncode == 1
    assert "round 1 is the first that differs" in changed.stdout
    assert "DIFFERENT from" in changed.stdout


def test_a_chain_is_equal_by_both_stages(tmp_path: Path) -> None:
    sets = [one for one in ROUNDS if not one.startswith(("evaluator.network", f"trainer.loss={HERE}"))]
    up(tmp_path, "digits-chain", 2, *sets, "evaluator.arguments={dropout: 0.3}")
    again = call("replay", "digits-chain", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "replay: 2 rounds, 60 steps, digest " in again.stdout
    assert "+" in again.stdout.splitlines()[-1]


def test_imported_labels_are_replayed_as_round_0(tmp_path: Path) -> None:
    genomes = [tuple((number >> bit) & 1 for bit in range(128)) for number in range(1, 31)]
    rows = [f'"{genome}",{number % 6}\n' for number, genome in enumerate(genomes)]
    (tmp_path / "ratings.csv").write_text("".join(rows))
    imported = call("labels", "import", "melody-simulated", "ratings.csv", cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    up(tmp_path, "melody-simulated", 1)
    again = call("replay", "runs/melody-simulated", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("round 0: 30 labels, 20 steps, ")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert call("replay", "nothing", cwd=tmp_path).returncode == 1
    folder = tmp_path / "runs" / "empty"
    folder.mkdir(parents=True)
    ended = call("replay", "empty", cwd=tmp_path)
    assert (ended.returncode, RESOLVED in ended.stderr) == (5, True)
    (folder / RESOLVED).write_text("name: x\ntrainer: {epochs: none}\n")
    assert call("replay", "empty", cwd=tmp_path).returncode == 3
    (folder / RESOLVED).write_text("name: x\nstore: {url: 'memory:x'}\n")
    ended = call("replay", "empty", cwd=tmp_path)
    assert (ended.returncode, "are not there any more" in ended.stderr) == (5, True)
