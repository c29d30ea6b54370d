"""Bad input to whole commands: a clear error and the exit code that the design gives it. What a live run meets has its own
file (test_bad_input_live.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner import cli
from active_learner.config import loading, run_folder
from tests.integration.by_hand import Hand
from tests.integration.up_process import call

pytestmark = pytest.mark.integration

PEERS = ("serve", "evaluator", "source", "label")


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path)
    yield made
    made.clear_away()


@pytest.mark.parametrize("command", ["up", *PEERS, "broker", "status", "check"])
def test_every_command_tells_all_problems_of_its_configuration_at_once(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, "digits", "--set", "trainer.epoch=3", "--set", "trainer.batch_size=many"]) == 3
    told = capsys.readouterr().err
    assert "trainer.epoch: unknown key; did you mean 'epochs'?" in told
    assert "trainer.batch_size: must be" in told
    assert cli.run([command, "digit.yaml"]) == 3
    assert "digit.yaml: no such file" in capsys.readouterr().err


def test_without_a_broker_each_process_says_where_it_looked_and_what_to_start(hand: Hand) -> None:
    shells = [hand.start(command, "--set", "broker.connect_timeout_s=0.7") for command in PEERS]
    for shell in shells:
        shell.wait_for(f"waiting for the broker at {hand.address}")
        told = shell.wait_for("error: ")
        assert f"no broker at {hand.address} for 0.7 s: start one with `active-learner broker`" in told
        assert shell.ended() == 4
        assert "Traceback" not in shell.text


@pytest.mark.parametrize("command", ["check", "evaluator"])
def test_an_output_that_does_not_fit_the_classes_is_told_before_anything_starts(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run([command, "digits", "--set", "evaluator.arguments={classes: 7}"]) == 3
    told = capsys.readouterr().err
    assert "returns 7 numbers a sample; loss cross_entropy wants 10, one for each of the 10 classes" in told


@pytest.mark.parametrize("command", ["up", "serve", "source", "label"])
def test_an_empty_data_set_is_told_by_whoever_needs_it(command: str, tmp_path: Path) -> None:
    empty = {"X_train": np.empty((0, 64), np.float32), "y_train": np.empty(0, np.int64)}
    np.savez(tmp_path / "empty.npz", **empty)
    ended = call(command, "digits", "--set", "source.path=empty.npz", cwd=tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert "empty.npz: X_train has shape (0, 64), needs (rows, ...) with at least one row" in ended.stderr
    assert not (tmp_path / "runs" / "digits" / "labels.db").exists()


def test_a_goal_of_accuracy_without_held_out_rows_is_told_at_once(tmp_path: Path) -> None:
    ended = call("serve", "melody", "--set", "validation.path=null", "--until-accuracy", "0.9", cwd=tmp_path)
    assert ended.returncode == 3
    assert "--until-accuracy: there are no held-out rows; set validation.path" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_folder_of_another_configuration_is_told_with_the_keys(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    run_folder.prepare(loading.load("digits", [f"run_dir={folder}"]))
    before = (folder / loading.RESOLVED).read_bytes()
    changed = ("--set", f"run_dir={folder}", "--set", "seed=7", "--set", "evaluator.learning_rate=0.5")
    for command in ("serve", "up"):
        ended = call(command, "digits-small-batch", *changed, cwd=tmp_path)
        assert ended.returncode == 3
        keys = [line.split(": ")[1] for line in ended.stderr.splitlines()]
        assert keys == ["evaluator.learning_rate", "evaluator.optimizer", "name", "seed"]
        assert "was 1, is 7; a run keeps it: --new starts another run" in ended.stderr
    assert (folder / loading.RESOLVED).read_bytes() == before


def test_a_second_trainer_is_refused_and_changes_nothing(hand: Hand) -> None:
    hand.broker()
    hand.start("serve", ready=True)
    kept = hand.run_dir / loading.RESOLVED
    before = kept.read_bytes()
    second = hand.start("serve", "--set", "trainer.batch_size=1")
    assert second.ended() == 5
    assert "is being written to by process" in second.text
    assert kept.read_bytes() == before
    assert call("up", "digits", "--set", "trainer.batch_size=1", cwd=hand.folder).returncode == 5
    assert kept.read_bytes() == before


def test_a_second_trainer_of_another_folder_leaves_no_report_of_a_run_that_never_was(hand: Hand) -> None:
    hand.broker()
    hand.start("serve", ready=True)
    second = hand.start("serve", "--set", "run_dir=elsewhere")
    assert second.ended() == 5
    assert not (hand.folder / "elsewhere" / "report.html").exists()
    assert not (hand.folder / "elsewhere" / loading.RESOLVED).exists()


def test_a_network_that_was_mistyped_at_the_first_start_is_mended_in_place(tmp_path: Path) -> None:
    wrong = call("up", "digits", "--set", "evaluator.network=nowhere:make", cwd=tmp_path)
    assert wrong.returncode == 3
    assert "nowhere" in wrong.stderr
    mended = call("up", "digits", "--rounds", "1", cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert "changed since the last start: evaluator.network: was 'nowhere:make'" in mended.stderr
    frozen = call("up", "digits", "--set", "evaluator.network=nowhere:make", cwd=tmp_path)
    assert frozen.returncode == 3
    assert "a run keeps it: --new starts another run" in frozen.stderr


SWALLOWS = """
import time, torch
print("importing", flush=True)
try:
    time.sleep(60)
except BaseException:
    pass
make = torch.nn.Identity
"""


def test_control_c_while_a_service_starts_ends_it_whatever_is_being_imported(hand: Hand) -> None:
    (hand.folder / "slow.py").write_text(SWALLOWS, encoding="utf-8")
    shell = hand.start("evaluator", "--set", "evaluator.network=slow:make")
    shell.wait_for("importing")
    assert shell.interrupt()[0] == 130
    assert "Traceback" not in shell.text
