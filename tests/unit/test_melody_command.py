"""`melody`: the best of a run as files."""

from __future__ import annotations

import wave
from pathlib import Path

import mido
import numpy as np
import pytest

from active_learner import cli
from active_learner.config import loading
from active_learner.core.records import Label, SampleSpec
from active_learner.stores import open_store

SPEC = SampleSpec((128,), "uint8", 6, "melody")
GENOMES = np.random.default_rng(0).integers(0, 2, (4, 128), dtype=np.uint8)


def run_of(tmp_path: Path, name: str = "melody", *sets: str) -> Path:
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True)
    config = loading.load(name, [f"run_dir={folder}", *sets], environment={})
    loading.write_resolved(config, folder / loading.RESOLVED)
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_best_are_written_highest_first_then_newest_while_the_run_is_going(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_of(tmp_path)
    store = open_store("sqlite:///labels.db", folder)
    store.open("melody", SPEC)
    store.add_labels(GENOMES, [2, 5, 0, 5], "ann", 1.0)
    assert cli.run(["melody", "melody", "--best", "3"]) == 0
    store.close()
    keys = {label.value * 10 + label.sequence % 10: label.key[:8] for label in store_labels(folder)}
    told = [line for line in capsys.readouterr().out.splitlines() if " rated " in line and ".mid" in line]
    assert [Path(line.split(".mid")[0]).name for line in told] == [
        f"rating-{number // 10}-{keys[number]}" for number in sorted(keys, reverse=True)[:3]
    ]
    assert all(line.endswith("by ann") for line in told)
    written = sorted(path.name for path in (folder / "melodies").iterdir())
    assert len(written) == 6
    first = folder / "melodies" / written[-1]
    with wave.open(str(first)) as sound:
        assert sound.getframerate() == 22_050
    assert mido.MidiFile(first.with_suffix(".mid")).length == pytest.approx(15.0)


def store_labels(folder: Path) -> list[Label]:
    store = open_store("sqlite:///labels.db", folder)
    store.open("melody", SPEC, read_only=True)
    found = list(store.labels())
    store.close()
    return found


def test_they_go_where_out_says_with_their_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_of(tmp_path)
    store = open_store("sqlite:///labels.db", folder)
    store.open("melody", SPEC)
    store.add_labels(np.zeros((1, 128), np.uint8), [3], "ann", 1.0)
    store.close()
    assert cli.run(["melody", str(folder), "--out", "else/where"]) == 0
    assert "| C4 -  -  -  |" in capsys.readouterr().out
    assert len(list(Path("else/where").glob("rating-3-*"))) == 2
    assert not (folder / "melodies").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits", "its samples have shape (64,); melodies are genomes of 128 bits"),
        ("melody", "no melody has a rating yet"),
    ],
)
def test_other_runs_are_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    run_of(tmp_path, name)
    assert cli.run(["melody", name]) == 1
    assert words in capsys.readouterr().err


def test_values_that_are_no_bits_are_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_of(tmp_path)
    store = open_store("sqlite:///labels.db", folder)
    store.open("melody", SPEC)
    store.add_labels(np.full((1, 128), 7, np.uint8), [3], "ann", 1.0)
    store.close()
    assert cli.run(["melody", "melody"]) == 1
    assert "not a run of melodies: a genome has values other than 0 and 1" in capsys.readouterr().err


def test_no_such_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["melody", "nothing"]) == 1
    assert "nothing: no run folder here" in capsys.readouterr().err
