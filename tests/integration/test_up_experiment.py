"""`up` with the real processes: it runs, resumes, refuses, stops, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.up_process import COMMAND, Up, call, descendants, environment, wait_until_gone
from tests.ports import free_address

pytestmark = pytest.mark.integration

QUICK = ("--set", "trainer.epochs=1", "--set", "validation.limit=50", "--set", "run_dir=run")


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run at once must not meet at the default port."""
    monkeypatch.setenv("ACTIVE_LEARNER__BROKER__ADDRESS", free_address())


@contextlib.contextmanager
def by_hand(*arguments: str, cwd: Path) -> Iterator[None]:
    """A command that was started by hand and has said that it is ready."""
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready: ")
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)


def rounds(folder: Path) -> list[int]:
    return [json.loads(line)["round"] for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_it_runs_ends_by_itself_resumes_refuses_a_changed_run_and_starts_another(tmp_path: Path) -> None:
    first = call("up", "digits", *QUICK, "--rounds", "1", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert f"up        | new run in {tmp_path}/run" in first.stderr
    assert first.stdout.splitlines()[-1].startswith("result: rounds=1 ")

    second = call("up", "digits", *QUICK, "--rounds", "2", "--log-format", "json", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    events = [json.loads(line) for line in second.stderr.splitlines()]
    assert events[0]["event"].startswith("resumes the run in ")
    assert second.stdout.splitlines()[-1].startswith("result: rounds=2 ")
    told = rounds(tmp_path / "run")
    assert told == [told[0], told[0] + 1]

    changed = call("up", "digits", *QUICK, "--set", "seed=99", "--set", "evaluator.learning_rate=0.5", cwd=tmp_path)
    assert changed.returncode == 3
    lines = changed.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["evaluator.learning_rate", "seed"]
    assert all("--new starts another run" in line for line in lines)

    again = call("up", "digits", *QUICK, "--set", "seed=99", "--new", "--rounds", "1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"the old run is kept in {tmp_path}/run.1" in again.stderr
    assert rounds(tmp_path / "run.1") == told
    assert not (tmp_path / "run" / "up.json").exists()


def test_a_run_in_memory_is_not_resumed_but_kept_aside(tmp_path: Path) -> None:
    options = (*QUICK, "--set", "store.url=memory:trial", "--rounds", "1")
    for number in (0, 1):
        result = call("up", "digits", *options, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert (f"the old one is kept in {tmp_path}/run.1" in result.stderr) is bool(number)
    assert rounds(tmp_path / "run") == rounds(tmp_path / "run.1")


def test_new_is_refused_while_a_trainer_that_was_started_by_hand_runs(tmp_path: Path) -> None:
    with by_hand("broker", "digits", cwd=tmp_path), by_hand("serve", "digits", *QUICK, cwd=tmp_path):
        result = call("up", "digits", *QUICK, "--new", cwd=tmp_path)
    assert result.returncode == 5
    assert "is being written to by process" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_while_it_runs_status_finds_it_a_second_one_is_refused_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    waiting = (*QUICK, "--set", "labeler.delay_s=3600")
    with Up("digits", *waiting, cwd=tmp_path) as up:
        up.wait_for("all are ready")
        children = descendants(up.pid)
        assert len(children) == 5

        status = call("status", "digits", *QUICK, "--json", cwd=tmp_path)
        assert status.returncode == 0, status.stderr
        report = json.loads(status.stdout)
        assert {peer["role"] for peer in report["peers"]} >= {"evaluator", "source", "labeler"}

        second = call("up", "digits", *waiting, cwd=tmp_path)
        assert second.returncode == 5
        assert f"process {up.pid}" in second.stderr

        up.signal(signal.SIGINT)
        code, out, took = up.ended()
        assert (code, out) == (0, "")
        assert took < 15.0  # three promised; the rest is for a busy machine
        wait_until_gone(children, 1.0)
    assert call("status", "digits", *QUICK, cwd=tmp_path).returncode == 4


def test_killed_by_sigkill_it_leaves_no_orphan_and_the_next_one_resumes(tmp_path: Path) -> None:
    with Up("digits", *QUICK, cwd=tmp_path) as up:
        up.wait_for("round 1")
        children = descendants(up.pid)
        up.signal(signal.SIGKILL)
        wait_until_gone(children, 15.0)  # the same
    done = len(rounds(tmp_path / "run"))
    resumed = call("up", "digits", *QUICK, "--rounds", str(done + 2), cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert rounds(tmp_path / "run") == list(range(1, done + 3))


@pytest.mark.timeout(300)
def test_whatever_dies_is_started_again_and_the_run_goes_on(tmp_path: Path) -> None:
    with Up("digits", *QUICK, cwd=tmp_path) as up:
        up.wait_for("all are ready")
        for name in ("broker", "evaluator", "source", "labeler", "trainer"):
            command = {"trainer": "serve", "labeler": "label"}.get(name, name)
            [victim] = [pid for pid in descendants(up.pid) if f"\0{command}\0" in _command_line(pid)]
            os.kill(victim, signal.SIGKILL)
            up.wait_for(f"{name} ended with signal 9; starting it again")
            for _ in range(3):  # one may have been nearly over
                up.wait_for("round ")
        up.signal(signal.SIGINT)
        assert up.ended()[0] == 0, "".join(up.lines)


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


def test_a_port_that_was_asked_for_and_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        result = call("up", "digits", *QUICK, "--set", f"broker.address={address}", cwd=tmp_path)
    assert result.returncode == 1
    assert "broker did not start" in result.stderr


def test_what_the_evaluator_cannot_import_ends_all_with_its_message_last(tmp_path: Path) -> None:
    result = call("up", "digits", *QUICK, "--set", "evaluator.network=nowhere:make", cwd=tmp_path)
    assert result.returncode == 3
    assert "nowhere" in result.stderr.splitlines()[-1]


def test_until_accuracy_without_held_out_rows_is_refused_at_once(tmp_path: Path) -> None:
    result = call("up", "melody", "--set", "validation.path=null", "--until-accuracy", "0.9", cwd=tmp_path)
    assert result.returncode == 3
    assert "held-out rows" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_two_experiments_run_at_once_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACTIVE_LEARNER__BROKER__ADDRESS")
    options = (*QUICK[:4], "--rounds", "2")
    with Up("digits", *options, cwd=tmp_path) as one, Up("digits-random", *options, cwd=tmp_path) as other:
        for up in (one, other):
            code, out, _ = up.ended()
            assert code == 0, "".join(up.lines)
            assert out.splitlines()[-1].startswith("result: rounds=2 ")
    assert rounds(tmp_path / "runs" / "digits") == rounds(tmp_path / "runs" / "digits-random")
