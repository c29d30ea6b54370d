"""metrics.jsonl: what is appended is read again, whatever a crash left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import RoundResult
from active_learner.errors import ActiveLearnerError
from active_learner.results.metrics import append, labels_to, read


def result(number: int, accuracy: float | None = 0.5, **extra: object) -> RoundResult:
    return RoundResult(number, 10 * number, "ab" * 32, 5 * number, accuracy, 0.7, 0.05, 0.3, 1.25, dict(extra))


def test_a_round_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, result(1, strategy="entropy", at=1.5e9, uncertainty=(3, 2), pool=5, steps=40, held_out=7, people=2))
    [found] = read(path)
    assert (found.round, found.labels, found.accuracy, found.model_version) == (1, 5, 0.5, 10)
    assert (found.strategy, found.at, found.uncertainty, found.pool, found.steps) == ("entropy", 1.5e9, (3, 2), 5, 40)
    assert found.held_out == 7
    assert found.more == {"people": 2}


def test_the_line_begins_with_the_promised_fields(tmp_path: Path) -> None:
    append(tmp_path / "metrics.jsonl", result(1))
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert list(line)[:5] == ["round", "labels", "accuracy", "loss", "calibration_error"]
    assert {"train_loss", "model_version", "digest", "seconds"} <= set(line)


def test_extra_cannot_change_a_measured_field(tmp_path: Path) -> None:
    append(tmp_path / "metrics.jsonl", result(1, labels=999))
    assert read(tmp_path / "metrics.jsonl")[0].labels == 5


def test_numpy_numbers_are_written_and_what_is_not_finite_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, result(1, accuracy=float("nan"), uncertainty=np.array([1, 2]), pool=np.int64(3)))
    [found] = read(path)
    assert found.accuracy is None
    assert (found.uncertainty, found.pool) == ((1, 2), 3)
    assert "NaN" not in path.read_text()


def test_a_torn_last_line_is_passed_over_and_cut_by_the_next_append(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, result(1))
    with path.open("a") as file:
        file.write('{"round": 2, "lab')
    assert [one.round for one in read(path)] == [1]
    append(path, result(2))
    assert [one.round for one in read(path)] == [1, 2]


def test_a_file_that_is_one_torn_line_is_empty_and_usable(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"rou')
    assert read(path) == []
    append(path, result(1))
    assert [one.round for one in read(path)] == [1]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"round": 1, "labels": 5}\nhello\n{"round": 3, "labels": 9}\n')
    with pytest.raises(ActiveLearnerError, match="line 2"):
        read(path)


def test_a_line_without_its_fields_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(ActiveLearnerError, match="expected an object with round and labels"):
        read(path)


def test_of_a_round_written_twice_the_last_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for one in (result(2), result(1), result(2, accuracy=0.9)):
        append(path, one)
    assert [(one.round, one.accuracy) for one in read(path)] == [(1, 0.5), (2, 0.9)]


def test_a_missing_file_has_no_rounds(tmp_path: Path) -> None:
    assert read(tmp_path / "metrics.jsonl") == []


def test_labels_to_an_accuracy_are_those_of_the_first_round_that_has_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for number, accuracy in ((1, 0.4), (2, None), (3, 0.9), (4, 0.8), (5, 0.95)):
        append(path, result(number, accuracy=accuracy))
    assert labels_to(read(path), 0.9) == 15
    assert labels_to(read(path), 0.99) is None


def test_how_far_people_agree_is_in_the_line_of_a_round_that_knows_it(tmp_path: Path) -> None:
    told = {"samples": 2, "annotators": 3, "alpha": 0.5, "alpha_interval": None}
    append(tmp_path / "metrics.jsonl", result(1))
    append(tmp_path / "metrics.jsonl", result(2, agreement=told))
    assert [one.agreement for one in read(tmp_path / "metrics.jsonl")] == [{}, told]
    assert [result(1).agreement, result(2, agreement=told).agreement] == [None, 0.5]
