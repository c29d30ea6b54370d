"""JSON lines: bad ones are told and counted, good ones go on, and reading never waits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner.config.schema import JsonlSource
from active_learner.core.records import SampleSpec
from active_learner.errors import ConfigError
from active_learner.sources import jsonl
from active_learner.sources.jsonl import JsonLines

SPEC = SampleSpec((2, 2), "uint8", 2)
LINE = b"[1, 2, 3, 4]\n"


class Pipe:
    """A FIFO with a source that reads it and an end to write into."""

    def __init__(self, path: Path, **keys: object) -> None:
        os.mkfifo(path)
        self.source = JsonLines(JsonlSource.model_validate({"path": str(path), **keys}), SPEC, 0)
        self.end = os.open(path, os.O_WRONLY)

    def say(self, text: bytes) -> None:
        os.write(self.end, text)

    def hang_up(self) -> None:
        os.close(self.end)


def source_of(path: Path, text: bytes, **keys: object) -> JsonLines:
    path.write_bytes(text)
    return JsonLines(JsonlSource.model_validate({"path": str(path), **keys}), SPEC, 0)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path / "lines")
    yield made
    made.source.close()


def test_arrays_flat_arrays_and_objects_are_samples_and_blank_lines_are_none(tmp_path: Path) -> None:
    text = b'[[1, 2], [3, 4]]\n\n[5, 6, 7, 8]\n{"id": 7, "features": [9, 9, 9, 9.0]}'
    source = source_of(tmp_path / "a", text)
    proposed = source.propose()
    assert proposed is not None
    assert (proposed.shape, proposed.dtype) == ((3, 2, 2), np.uint8)
    assert proposed.reshape(3, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]]
    assert source.propose() is None
    assert source.ended
    assert source.problems() == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[1, 2, 3", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"genome": [1]}', 'has no "features", only genome'),
        (b"17", "must be an array"),
        (b"[1, 2, 3]", "has shape (3,), must be (2, 2)"),
        (b"[[1, 2], [3]]", "ragged"),
        (b'["a", "b", "c", "d"]', "not numbers"),
        (b"[1, 2, 3, 0.5]", "not uint8"),
        (b"[1, 2, 3, 256]", "not uint8"),
        (b"[1, 2, 3, -1]", "not uint8"),
        (b"[1, 2, 3, NaN]", "not finite"),
        (b"[1, 2, 3, 1e999]", "not finite"),
        (b"[1, 2, 3, 99999999999999999999999]", "not"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_others_are_proposed(
    tmp_path: Path, line: bytes, words: str
) -> None:
    source = source_of(tmp_path / "a", LINE + line + b"\n" + LINE)
    proposed = source.propose()
    assert proposed is not None
    assert len(proposed) == 2
    (problem,) = source.problems()
    assert f"{tmp_path / 'a'}, line 2: " in problem
    assert words in problem
    assert source.bad_lines == 1
    assert source.problems() == []


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LINE_BYTES", 1000)
    monkeypatch.setattr(jsonl, "CHUNK_BYTES", 300)
    source = source_of(tmp_path / "a", b"1" * 5000 + b"\n" + LINE + b"2" * 5000)
    proposed = source.propose()
    assert proposed is not None
    assert len(proposed) == 1
    assert [one.split(",")[-1] for one in source.problems()] == [
        " line 1: is longer than 1000 bytes",
        " line 3: is longer than 1000 bytes",
    ]


def test_many_bad_lines_are_all_counted_and_some_told(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a", b"?\n" * 500)
    assert source.propose() is None
    assert source.ended
    assert source.bad_lines == 500
    assert len(source.problems()) == jsonl.PROBLEMS_KEPT


def test_batches_are_no_larger_than_configured_and_in_order(tmp_path: Path) -> None:
    text = b"".join(json.dumps([n, 0, 0, 0]).encode() + b"\n" for n in range(5))
    source = source_of(tmp_path / "a", text, batch=2)
    batches = [source.propose() for _ in range(4)]
    assert [None if one is None else one[:, 0, 0].tolist() for one in batches] == [[0, 1], [2, 3], [4], None]


def test_a_pipe_is_read_as_lines_come_and_never_waited_for(pipe: Pipe) -> None:
    assert pipe.source.propose() is None
    assert not pipe.source.ended
    pipe.say(b"[1, 2,")
    assert pipe.source.propose() is None
    pipe.say(b" 3, 4]\n[5")
    proposed = pipe.source.propose()
    assert proposed is not None
    assert proposed.ravel().tolist() == [1, 2, 3, 4]
    pipe.say(b", 6, 7, 8]")
    pipe.hang_up()
    last = pipe.source.propose()
    assert last is not None
    assert last.ravel().tolist() == [5, 6, 7, 8]
    assert pipe.source.propose() is None
    assert pipe.source.ended


def test_a_fifo_without_a_writer_yet_has_not_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    source = JsonLines(JsonlSource(path=str(tmp_path / "f")), SPEC, 0)
    assert source.propose() is None
    assert not source.ended
    source.close()


def test_a_followed_file_goes_on_when_lines_are_added_and_when_it_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a"
    source = source_of(path, LINE, follow=True)
    assert source.propose() is not None
    assert source.propose() is None
    assert not source.ended
    with path.open("ab") as file:
        file.write(LINE)
    assert source.propose() is not None
    path.write_bytes(b"[7, 7, 7, 7]\n")
    assert source.propose() is None  # it sees that the file became shorter
    proposed = source.propose()
    assert proposed is not None
    assert proposed.ravel().tolist() == [7, 7, 7, 7]


def test_a_file_can_be_started_over(tmp_path: Path) -> None:
    source = source_of(tmp_path / "a", LINE * 3)
    assert source.propose() is not None
    source.propose()
    assert source.ended
    source.restart()
    assert not source.ended
    proposed = source.propose()
    assert proposed is not None
    assert len(proposed) == 3


def test_a_file_beside_the_configuration_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINE)
    source = JsonLines(JsonlSource(path="a.jsonl"), SPEC, 0, tmp_path)
    assert source.propose() is not None
    source.close()


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"source\.path"):
        JsonLines(JsonlSource(path=str(tmp_path / "none")), SPEC, 0)
