"""A run folder is moved aside only when nobody writes there; a run in memory cannot be gone on with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from active_learner.bench import arms
from active_learner.commands import run_folders
from active_learner.config import loading, run_folder, running
from active_learner.config.schema import Config
from active_learner.core.records import SampleSpec
from active_learner.errors import ActiveLearnerError, LeaseHeld, StoreLocked
from active_learner.stores import open_store

SPEC = SampleSpec((2,), "uint8", 2, "table", ())


def begun(folder: Path, url: str) -> Config:
    """A run that has trained, in FOLDER/run."""
    (folder / "exp.yaml").write_text("name: exp\n", encoding="utf-8")
    config = loading.load(str(folder / "exp.yaml"), [f"run_dir={folder / 'run'}", f"store.url={url}"], {})
    run_folder.prepare(config)
    (folder / "run" / "checkpoints").mkdir()
    return config


@pytest.mark.parametrize("url", ["sqlite:///labels.db", "csv:labels.csv"])
def test_the_folder_of_a_trainer_that_was_started_by_hand_stays(tmp_path: Path, url: str) -> None:
    begun(tmp_path, url)
    store = open_store(url, tmp_path / "run")
    store.open("exp", SPEC)
    with pytest.raises(StoreLocked, match="is being written to by process "):
        run_folders.keep_aside(tmp_path / "run", "sqlite:///other.db")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["run"]
    store.close()
    assert run_folders.keep_aside(tmp_path / "run") == tmp_path / "run.1"


def test_a_folder_without_a_kept_configuration_is_judged_by_the_store_of_the_new_one(tmp_path: Path) -> None:
    store = open_store("sqlite:///labels.db", tmp_path / "run")
    store.open("exp", SPEC)
    with pytest.raises(StoreLocked):
        run_folders.keep_aside(tmp_path / "run", "sqlite:///labels.db")
    store.close()


def test_while_a_trainer_has_its_labels_in_memory_its_folder_stays(tmp_path: Path) -> None:
    config = begun(tmp_path, "memory:trial")
    with run_folders.memory_held(config), pytest.raises(StoreLocked):
        run_folders.keep_aside(tmp_path / "run")
    assert run_folders.keep_aside(tmp_path / "run") == tmp_path / "run.1"


def test_a_run_in_memory_is_not_gone_on_with(tmp_path: Path) -> None:
    config = begun(tmp_path, "memory:trial")
    assert run_folders.must_start_anew(config)
    aside = run_folders.keep_aside(tmp_path / "run")
    assert "memory:trial ended with the process that had it" in run_folders.why_anew(config, aside)
    assert not run_folders.must_start_anew(config)


def test_the_trainer_of_an_up_goes_on_in_the_folder_that_the_up_has_made(tmp_path: Path) -> None:
    config = begun(tmp_path, "memory:trial")
    claim = running.Running.claim(tmp_path / "run", "tcp://127.0.0.1:1")
    assert not run_folders.must_start_anew(config)
    claim.release()


@pytest.mark.parametrize("url", ["sqlite:///labels.db", "csv:labels.csv"])
def test_a_run_in_a_file_is_gone_on_with(tmp_path: Path, url: str) -> None:
    assert not run_folders.must_start_anew(begun(tmp_path, url))


def test_an_old_demo_is_kept_aside(tmp_path: Path) -> None:
    begun(tmp_path, "sqlite:///labels.db")
    arms._keep_aside(tmp_path / "run")
    assert (tmp_path / "run.1" / "checkpoints").is_dir()
    assert not (tmp_path / "run").exists()


def test_a_demo_moves_neither_a_live_run_nor_what_is_no_run_folder(tmp_path: Path) -> None:
    begun(tmp_path, "sqlite:///labels.db")
    claim = running.Running.claim(tmp_path / "run", "tcp://127.0.0.1:1")
    with pytest.raises(LeaseHeld):
        arms._keep_aside(tmp_path / "run")
    claim.release()
    with pytest.raises(ActiveLearnerError, match="is no run folder"):
        arms._keep_aside(tmp_path)


@pytest.mark.parametrize("url", ["sqlite:///labels.db", "csv:labels.csv"])
def test_a_run_has_begun_when_it_has_a_label_a_question_a_plan_or_weights(tmp_path: Path, url: str) -> None:
    (tmp_path / "exp.yaml").write_text("name: exp\nsample: {shape: [2], dtype: uint8, classes: 2}\n", encoding="utf-8")
    config = loading.load(str(tmp_path / "exp.yaml"), [f"run_dir={tmp_path / 'run'}", f"store.url={url}"], {})
    assert not run_folders.has_begun(config)
    store = open_store(url, tmp_path / "run")
    store.open("exp", SPEC)
    store.next_term()
    assert not run_folders.has_begun(config)
    store.add_labels(np.zeros((1, 2), np.uint8), [1], "ann", 0.0)
    store.close()
    assert run_folders.has_begun(config)


def test_weights_alone_are_a_run_that_has_begun(tmp_path: Path) -> None:
    config = begun(tmp_path, "sqlite:///labels.db")
    (tmp_path / "run" / "checkpoints" / "evaluator-0000000001.safetensors").write_bytes(b"")
    assert run_folders.has_begun(config)


def test_what_an_up_must_not_take_over_is_told(tmp_path: Path) -> None:
    begun(tmp_path, "sqlite:///labels.db")
    store = open_store("sqlite:///labels.db", tmp_path / "run")
    store.open("exp", SPEC)
    with pytest.raises(StoreLocked, match="is being written to by process "):
        run_folders.refuse_taken(tmp_path / "run", "sqlite:///labels.db")
    store.close()
    run_folders.refuse_taken(tmp_path / "run", "sqlite:///labels.db")
