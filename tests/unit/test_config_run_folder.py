"""A run folder keeps its configuration, refuses another run's, and belongs to one `up` at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from active_learner.config import loading, run_folder, running
from active_learner.config.schema import Config
from active_learner.errors import ConfigError, LeaseHeld, WrongStore


def config(folder: Path, *sets: str) -> Config:
    file = folder / "exp.yaml"
    if not file.exists():
        file.write_text("name: exp\n", encoding="utf-8")
    return loading.load(str(file), [f"run_dir={folder / 'run'}", *sets], {})


def test_the_first_start_keeps_the_configuration_and_the_second_resumes(tmp_path: Path) -> None:
    first = run_folder.prepare(config(tmp_path))
    assert (first.resumed, first.notes) == (False, (f"new run in {tmp_path / 'run'}",))
    second = run_folder.prepare(config(tmp_path))
    assert (second.resumed, second.notes) == (True, (f"resumes the run in {tmp_path / 'run'} (--new starts another)",))


def test_keys_that_may_change_are_told_and_kept(tmp_path: Path) -> None:
    run_folder.prepare(config(tmp_path))
    changed = config(tmp_path, "trainer.epochs=3", "broker.address=tcp://127.0.0.1:1")
    assert run_folder.prepare(changed).notes[1:] == ("changed since the last start: trainer.epochs: was 10, is 3",)
    assert run_folder.prepare(changed).notes[1:] == ()


def test_every_key_that_may_not_change_is_told_with_old_and_new(tmp_path: Path) -> None:
    run_folder.prepare(config(tmp_path))
    kept = tmp_path / "run" / "config.resolved.yaml"
    before = kept.read_text(encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        run_folder.prepare(config(tmp_path, "seed=3", "evaluator.arguments={hidden: 3}", "trainer.epochs=3"))
    assert caught.value.problems == (
        f"{kept}: evaluator.arguments.hidden: was not set, is 3; a run keeps it: --new starts another run",
        f"{kept}: seed: was 0, is 3; a run keeps it: --new starts another run",
    )
    assert kept.read_text(encoding="utf-8") == before


def test_an_unreadable_kept_configuration_is_told(tmp_path: Path) -> None:
    run_folder.prepare(config(tmp_path))
    (tmp_path / "run" / "config.resolved.yaml").write_text("- 1\n", encoding="utf-8")
    with pytest.raises(WrongStore, match="is not a configuration"):
        run_folder.prepare(config(tmp_path))


def test_an_old_run_is_moved_to_the_next_free_number(tmp_path: Path) -> None:
    for number in (1, 2):
        run_folder.prepare(config(tmp_path))
        assert run_folder.move_aside(tmp_path / "run") == tmp_path / f"run.{number}"
    assert not (tmp_path / "run").exists()


def test_one_up_at_a_time_has_a_run_folder(tmp_path: Path) -> None:
    claim = running.Running.claim(tmp_path, "tcp://127.0.0.1:1")
    assert running.running(tmp_path) == {"pid": os.getpid(), "address": "tcp://127.0.0.1:1"}
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"):
        running.Running.claim(tmp_path, "tcp://127.0.0.1:2")
    with pytest.raises(LeaseHeld):
        run_folder.move_aside(tmp_path)
    claim.release()
    assert running.running(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_waited_for_a_removed_file_takes_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, waits, later = running.Running.claim(tmp_path, "tcp://127.0.0.1:1"), threading.Event(), []
    monkeypatch.setattr(running.time, "sleep", lambda _: waits.set())
    monkeypatch.setattr(running, "_LOCK_PATIENCE_S", 20.0)
    thread = threading.Thread(target=lambda: later.append(running.Running.claim(tmp_path, "tcp://127.0.0.1:2")))
    thread.start()
    assert waits.wait(20)
    first.release()
    thread.join(20)
    monkeypatch.undo()
    with pytest.raises(LeaseHeld):
        running.Running.claim(tmp_path, "tcp://127.0.0.1:3")
    assert running.running(tmp_path) == {"pid": os.getpid(), "address": "tcp://127.0.0.1:2"}
    later[0].release()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_up_left_behind_counts_for_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, os; from pathlib import Path; from active_learner.config.running import Running\n"
        "Running.claim(Path(sys.argv[1]), 'tcp://127.0.0.1:1'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert json.loads((tmp_path / "up.json").read_text(encoding="utf-8"))["address"] == "tcp://127.0.0.1:1"
    assert running.running(tmp_path) is None
    running.Running.claim(tmp_path, "tcp://127.0.0.1:2").release()


def test_others_find_the_broker_where_the_running_up_put_it(tmp_path: Path) -> None:
    plain = config(tmp_path)
    run_folder.prepare(plain)
    assert loading.address_of(plain) == "tcp://127.0.0.1:5570"
    claim = running.Running.claim(tmp_path / "run", "tcp://127.0.0.1:1")
    assert loading.address_of(plain) == "tcp://127.0.0.1:1"
    assert loading.address_of(config(tmp_path, "broker.address=tcp://127.0.0.1:2")) == "tcp://127.0.0.1:2"
    claim.release()


def test_before_anything_happened_a_fixed_key_may_still_change(tmp_path: Path) -> None:
    run_folder.prepare(config(tmp_path))
    mended = config(tmp_path, "evaluator.network=nets:good")
    with pytest.raises(ConfigError):
        run_folder.look(mended, begun=lambda: True)
    assert run_folder.prepare(mended, begun=lambda: False).notes[1:] == (
        "changed since the last start: evaluator.network: was 'active_learner.examples.torch_networks:melody', "
        "is 'nets:good'",
    )
    assert run_folder.look(mended).notes[1:] == ()


def test_what_the_store_was_made_with_never_changes(tmp_path: Path) -> None:
    run_folder.prepare(config(tmp_path))
    with pytest.raises(ConfigError, match=r"sample\.classes"):
        run_folder.look(config(tmp_path, "sample.classes=7"), begun=lambda: False)


def test_to_look_changes_nothing(tmp_path: Path) -> None:
    run_folder.look(config(tmp_path))
    assert not (tmp_path / "run").exists()
    run_folder.prepare(config(tmp_path))
    kept = tmp_path / "run" / "config.resolved.yaml"
    before = kept.read_text(encoding="utf-8")
    run_folder.look(config(tmp_path, "trainer.epochs=3"))
    assert kept.read_text(encoding="utf-8") == before
