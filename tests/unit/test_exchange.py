"""Labels from files and into files: what is read, what is refused and how it is told, and the two commands."""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner import cli
from active_learner.core.records import AskedQuestion, LabelEvent, SampleSpec, content_key
from active_learner.errors import BadLabel
from active_learner.stores import exchange, open_store, parquet_file, row_readers
from active_learner.stores.base import Store
from active_learner.stores.exchange import Reading, import_labels, read_labels

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=6)
FLOATS = SampleSpec(shape=(2,), dtype="float32", classes=6)
IMAGES = SampleSpec(shape=(2, 2), dtype="uint8", classes=6)


def read(text: str | bytes, spec: SampleSpec = SPEC, name: str | None = None) -> Reading:
    return read_labels(io.BytesIO(text.encode() if isinstance(text, str) else text), spec, name)


def parquet(content: bytes, spec: SampleSpec = FLOATS) -> Reading:
    return parquet_file.read_labels(io.BytesIO(content), spec)


def pairs(reading: Reading) -> list[tuple[list[float], int]]:
    return [(row.features.ravel().tolist(), row.value) for row in reading.rows]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store("memory:labels", tmp_path)
    made.open("digits", SPEC)
    yield made
    made.close()


# --- reading


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"(0, 1)",3\n"(1, 0)",4\n', "tutorial"),
        ('"(0, 1)",3.0\n"(1, 0)",4.0', "tutorial"),
        ('"(0,1,)" , 3\r\n\r\n"( 1 , 0 )",+4e0\r\n', "tutorial"),
        ('(0, 1),3\n"(1.0, 0e5)","4"\n', "tutorial"),
        ("0,1,3\n1,0,4\n", "csv"),
        ("0.0, 1.0, 3.0\n\n1,0,4", "csv"),
        ('a,b,label\n0,1,3\n"1","0","4"\n', "csv"),
        ("Label,a,b\n3,0,1\n4,1,0\n", "csv"),
        ("a,y,round\n0,3,1\n1,4,0\n", None),
        ("a,b,c\n0,1,3\n1,0,4\n", "csv"),
        ('{"features": [0, 1], "label": 3}\n{"label": 4.0, "features": [1.0, 0]}\n', "jsonl"),
    ],
)
def test_each_format_is_told_from_its_first_line(text: str, name: str | None) -> None:
    if name is None:  # `round` behind the label is provenance, so that one feature is left
        assert read(text).skipped == 2
        return
    for form in (text, "\ufeff" + text, text.replace("\r\n", "\n").replace("\n", "\r\n")):
        reading = read(form)
        assert reading.format == name
        assert pairs(reading) == [([0, 1], 3), ([1, 0], 4)], reading.reasons
        assert reading.skipped == 0


def test_the_format_may_be_said(store: Store) -> None:
    assert read("0,1,3", name="jsonl").skipped == 1
    assert read('"(0, 1)",3', name="csv").reasons == ["line 1, column 1: '(0, 1)' is not a number"]


def test_rows_may_say_who_and_when() -> None:
    reading = read('{"features": [0, 1], "label": 3, "annotator": "ann", "at": 17}\n{"features": [0, 1], "label": 3}')
    assert [(row.annotator, row.at) for row in reading.rows] == [("ann", 17.0), (None, None)]


def test_images_come_flat_or_nested() -> None:
    reading = read('{"features": [[0, 1], [2, 3]], "label": 3}\n{"features": [0, 1, 2, 3], "label": 3}', IMAGES)
    assert [row.features.tolist() for row in reading.rows] == [[[0, 1], [2, 3]]] * 2
    assert read('{"features": [[0, 1, 2, 3]], "label": 3}', IMAGES).skipped == 1
    assert read('{"features": [[0, 1], 2, 3], "label": 3}', IMAGES).skipped == 1


HOW = '{"heard_s": 4.5, "note": "=cmd()\\u2028ü", "roll": true}'
HUGE = "9" * 5000
LONG = "9" * 400
"""Python reads it as a whole number; no float holds it."""
BAD_LABELS = ["", "6", "-1", "3.5", "nan", "inf", "1e400", HUGE, "True", "three", "1_0", "0x3", "٣", "3 3", "None"]
BAD_FEATURES = ["2.5", "256", "-1", "nan", "inf", "-inf", "1e400", HUGE, "True", "", "1_0", "a", "0x1", "1;1", "1+1"]


@pytest.mark.parametrize("label", BAD_LABELS)
def test_a_bad_label_is_skipped_with_its_line_in_every_format(label: str) -> None:
    for good, bad in (
        ('"(0, 1)",3\n', f'"(0, 1)",{label}\n'),
        ("0,1,3\n", f"0,1,{label}\n"),
        ('{"features": [0, 1], "label": 3}\n', f'{{"features": [0, 1], "label": {json.dumps(label)}}}\n'),
        ('{"features": [0, 1], "label": 3}\n', f'{{"features": [0, 1], "label": {label}}}\n'),
    ):
        reading = read(good + bad + good)
        assert pairs(reading) == [([0, 1], 3)] * 2
        assert len(reading.reasons) == reading.skipped == 1
        assert re.match(r"line 2(, column \d+)?: ", reading.reasons[0])
        assert len(reading.reasons[0]) < 200


@pytest.mark.parametrize("cell", BAD_FEATURES)
def test_a_bad_feature_is_skipped_with_its_line_in_every_format(cell: str) -> None:
    for good, bad in (
        ('"(0, 1)",3\n', f'"({cell}, 1)",3\n'),
        ("0,1,3\n", f"{cell},1,3\n"),
        ('{"features": [0, 1], "label": 3}\n', f'{{"features": [{json.dumps(cell)}, 1], "label": 3}}\n'),
        ('{"features": [0, 1], "label": 3}\n', f'{{"features": [{cell}, 1], "label": 3}}\n'),
    ):
        reading = read(good + bad + good)
        assert pairs(reading) == [([0, 1], 3)] * 2
        assert len(reading.reasons) == reading.skipped == 1
        assert re.match(r"line 2(, column \d+)?: ", reading.reasons[0])
        assert len(reading.reasons[0]) < 200


def test_whole_numbers_of_hundreds_of_digits_are_refused_like_any_other() -> None:
    rows = (f'{{"features": [0, 1], "label": {LONG}}}', f'{{"features": [0, {LONG}], "label": 3}}')
    reading = read("\n".join(rows), FLOATS, "jsonl")
    assert pairs(reading) == []
    assert "is not one of 0 .. 5" in reading.reasons[0]
    assert reading.reasons[1] == "line 2: a feature is too large"


@pytest.mark.parametrize("number", ["1e300", "-1e39"])
def test_what_float32_cannot_hold_is_refused(number: str) -> None:
    assert read(f'"({number}, 1)",3', FLOATS).reasons == ["line 1: not finite"]


@pytest.mark.parametrize(
    "row",
    [
        "",
        '"(0, 1, 1)",3',
        '"(0,)",3',
        '"()",3',
        '"(0, 1)"',
        '"(0, 1)",3,4',
        '"(0, 1)"3',
        '"(0, 1",3',
        '"((0, 1))",3',
        '"(0, (1, 1))",3',
        '"(0, 9**9**9)",3',
        "\"(0, __import__('os').abort())\",3",
        '"[0, 1]",3',
        "\0",
        '"(0, 1)",3\0',
        "(" * 10_000,
        '"' * 10_001,
        "[" * 100_000,
    ],
)
def test_hostile_rows_of_the_tutorials_kind_are_only_bad_rows(row: str) -> None:
    reading = read(f'"(0, 1)",3\n{row}\n"(1, 0)",4\n')
    assert pairs(reading) == [([0, 1], 3), ([1, 0], 4)]
    assert reading.skipped == (1 if row else 0)


@pytest.mark.parametrize(
    "row",
    [
        "[0, 1]",
        "3",
        "null",
        "{}",
        '{"features": [0, 1]}',
        '{"label": 3}',
        '{"features": null, "label": 3}',
        '{"features": {"0": 1}, "label": 3}',
        '{"features": "01", "label": 3}',
        '{"features": [], "label": 3}',
        '{"features": [[], []], "label": 3}',
        '{"features": [0, true], "label": 3}',
        '{"features": [0, null], "label": 3}',
        '{"features": [0, NaN], "label": 3}',
        '{"features": [0, Infinity], "label": 3}',
        '{"features": [0, 1e400], "label": 3}',
        '{"features": [0, 18446744073709551617], "label": 3}',
        '{"features": [0, 1], "label": true}',
        '{"features": [0, 1], "label": "3"}',
        '{"features": [0, 1], "label": null}',
        '{"features": [0, 1], "label": [3]}',
        '{"features": [0, 1], "label": 3, "annotator": ""}',
        '{"features": [0, 1], "label": 3, "annotator": 7}',
        '{"features": [0, 1], "label": 3, "annotator": "a\\nb"}',
        '{"features": [0, 1], "label": 3, "annotator": "\\ud800"}',
        f'{{"features": [0, 1], "label": 3, "annotator": "{"x" * 64}"}}',
        '{"features": [0, 1], "label": 3, "at": "noon"}',
        '{"features": [0, 1], "label": 3, "at": -1}',
        '{"features": [0, 1], "label": 3, "at": 1e300}',
        '{"features": [0, 1], "label": 3, "at": true}',
        '{"features": [0, 1], "label": 3',
        '{"features":' + "[" * 100_000,
        '{"features": [0, ' + "9" * 5000 + '], "label": 3}',
    ],
)
def test_hostile_json_is_only_a_bad_row(row: str) -> None:
    reading = read(f'{{"features": [0, 1], "label": 3}}\n{row}\n')
    assert pairs(reading) == [([0, 1], 3)]
    assert reading.skipped == 1
    assert re.match(r"line 2(, column \d+)?: ", reading.reasons[0])


@pytest.mark.parametrize(
    "row", ["0,1", "0,1,1,3", "0,1,3,", '"0,1,3', '0,"1"1,3', ",,", "0;1;3", "1" * 200_000 + ",1,3"]
)
def test_hostile_columns_are_only_bad_rows(row: str) -> None:
    for header in ("", "a,b,label\n"):
        reading = read(f"{header}0,1,3\n{row}\n1,0,4\n")
        assert pairs(reading) == [([0, 1], 3), ([1, 0], 4)]
        assert reading.skipped == 1


def test_bytes_that_are_no_text_are_a_bad_row() -> None:
    reading = read(b'"(0, 1)",3\n\xff\xfe\x00\n"(1, 0)",4\n')
    assert reading.reasons == ["line 2: is not UTF-8"]
    assert len(reading.rows) == 2


def test_an_endless_line_takes_no_memory_and_is_one_bad_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_readers, "MAX_LINE_BYTES", 64)
    reading = read(b'"(0, 1)",3\n' + b"1" * 1000 + b'\n"(1, 0)",4\n' + b"2" * 500)
    assert reading.reasons == ["line 2: is too long", "line 4: is too long"]
    assert pairs(reading) == [([0, 1], 3), ([1, 0], 4)]


def test_only_the_first_reasons_are_told_one_by_one(store: Store) -> None:
    reading = read('"(0, 1)",3\n' + "nonsense\n" * 1000)
    done = import_labels(store, reading, "ann", 1.0)
    assert (done.imported, done.known, done.skipped) == (1, 0, 1000)
    assert len(done.reasons) == exchange.REASONS + 1
    assert done.reasons[-1] == "and 980 more"


# --- into a store


def test_an_import_counts_new_and_known(store: Store) -> None:
    text = '"(0, 1)",3\n"(1, 0)",4\n"(0, 1)",3\n'
    assert import_labels(store, read(text), "ann", 1.0).imported == 2
    again = import_labels(store, read(text), "ann", 2.0)
    assert (again.imported, again.known, again.skipped) == (0, 3, 0)
    assert [(label.annotator, label.at) for label in store.labels()] == [("ann", 1.0)] * 2


def test_a_strict_import_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(BadLabel, match=r"nothing was imported; bad rows: 1\nline 2: label 9 is not one of 0 \.\. 5"):
        import_labels(
            store, read('{"features": [0, 1], "label": 3}\n{"features": [0, 1], "label": 9}'), "ann", 1.0, strict=True
        )
    assert store.labels() == []


@pytest.mark.parametrize("text", ["", "\n\n", "nonsense\n", "a,b,label\n"])
def test_a_file_without_a_row_is_told(store: Store, text: str) -> None:
    with pytest.raises(BadLabel, match="no row"):
        import_labels(store, read(text), "ann", 1.0)


# --- out of a store


@pytest.fixture
def rated(tmp_path: Path) -> Iterator[Store]:
    """Answers with provenance, imports, names that a spreadsheet would run."""
    made = open_store("memory:rated", tmp_path)
    made.open("digits", FLOATS)
    features = np.array([0.1, -0.0], np.float32)
    key = content_key(np.array([0.1, 0.0], np.float32))
    made.commit_questions([AskedQuestion("=q1", key, features, 4, "margin", 0.1, 1, 30, False, 9, 1.0)])
    made.commit_event(LabelEvent("e", "=q1", key, "=SUM(A1)", 0, "answer", 5, 1700000000.123456, HOW))
    rows = np.array([[1, 2], [3e-5, 4], [5, 6]], np.float32)
    made.add_labels(rows, [0, 1, 2], ["ann", "'quoted'", '-bob,"x"'], [1.5, 2.5, 3.5])
    yield made
    made.close()


def exported(store: Store, name: str, spec: SampleSpec = FLOATS) -> str:
    return "".join(exchange.WRITERS[name](store.labels(), spec))


def content(store: Store) -> list[tuple[object, ...]]:
    return [
        (label.key, label.value, label.annotator, label.at, json.loads(label.circumstances or "null"))
        for label in store.labels()
    ]


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_what_is_exported_comes_back_with_who_when_and_how(rated: Store, tmp_path: Path, name: str) -> None:
    if name == "parquet":
        reading = parquet(parquet_file.write_labels(rated.labels(), FLOATS))
    else:
        reading = read(exported(rated, name), FLOATS)
    assert (reading.format, reading.skipped) == (name, 0)
    other = open_store("memory:other", tmp_path)
    other.open("digits", FLOATS)
    assert import_labels(other, reading, "import", 9.0).imported == 4
    assert content(other) == content(rated)
    other.close()
    events = rated.events()
    assert import_labels(rated, reading, "import", 9.0).known == 4
    assert rated.events() == events


def test_the_tutorial_reads_what_is_exported_for_it(rated: Store) -> None:
    text = exported(rated, "tutorial")
    found = {ast.literal_eval(row[0]): int(row[1]) for row in csv.reader(io.StringIO(text))}
    assert list(found.values()) == [5, 0, 1, 2]
    assert pairs(read(text, FLOATS)) == [(list(key), value) for key, value in found.items()]


def test_a_spreadsheet_runs_nothing_of_an_export(rated: Store) -> None:
    table = list(csv.DictReader(io.StringIO(exported(rated, "csv"))))
    assert table[0]["annotator"] == "'=SUM(A1)"
    assert table[0]["question"] == "'=q1"
    assert [table[0][name] for name in ("label", "at", "round", "model_version", "score")] == [
        "5",
        "1700000000.123456",
        "4",
        "30",
        "0.1",
    ]
    assert [row["annotator"] for row in table[1:]] == ["ann", "''quoted'", '\'-bob,"x"']
    assert list(table[0])[:3] == ["f0", "f1", "label"]


def test_json_lines_are_json_even_when_a_score_is_no_number(tmp_path: Path) -> None:
    store = open_store("memory:scores", tmp_path)
    store.open("digits", IMAGES)
    features = np.arange(4, dtype=np.uint8).reshape(2, 2)
    key = content_key(features)
    store.commit_questions([AskedQuestion("q1", key, features, 4, "margin", math.nan, 1, 30, False, 9, 1.0)])
    store.commit_event(LabelEvent("e", "q1", key, "änn", 0, "answer", 5, 2.0))
    (row,) = [json.loads(line, parse_constant=pytest.fail) for line in exported(store, "jsonl", IMAGES).splitlines()]
    assert row == {
        "features": [[0, 1], [2, 3]],
        "label": 5,
        "annotator": "änn",
        "at": 2.0,
        "round": 4,
        "model_version": 30,
        "score": None,
        "question": "q1",
        "strategy": "margin",
        "votes": 1,
        "voters": 1,
        "circumstances": None,
        "key": key,
    }
    store.close()


# --- commands


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bits.yaml").write_text(
        "name: bits\nsource: {kind: evolution, bits: 2}\nsample: {classes: 6}\nrun_dir: run\n"
    )
    return "bits.yaml"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["labels", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("url", ["sqlite:///labels.db", "csv:labels.csv"])
def test_import_and_export_by_command(config: str, capsys: pytest.CaptureFixture[str], url: str) -> None:
    Path("rows.csv").write_text('"(0, 1)",3.0\n"(0, 7, 1)",3\n"(1, 0)",4\n')
    store = ("--set", f"store.url={url}")
    code, out, err = run(capsys, "import", config, "rows.csv", *store)
    assert (code, out) == (0, "rows.csv (tutorial): 2 imported, 0 already known, 1 skipped\n")
    assert err == "skipped line 2: has 3 features, the experiment's samples have 2\n"
    assert run(capsys, "import", config, "rows.csv", *store)[1].endswith("0 imported, 2 already known, 1 skipped\n")
    assert run(capsys, "export", config, "out.jsonl", *store)[0] == 0
    assert [json.loads(line)["label"] for line in Path("out.jsonl").read_text().splitlines()] == [3, 4]
    code, out, err = run(capsys, "export", config, "-", "--format", "tutorial", *store)
    assert (code, out, err) == (0, '"(0, 1)",3\n"(1, 0)",4\n', "2 labels written to - (tutorial)\n")


def test_a_strict_import_fails_and_imports_nothing(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_text('"(0, 1)",3\n"(0, 1)",77\n')
    code, _, err = run(capsys, "import", config, "rows.csv", "--strict")
    assert code == 1
    assert "rows.csv: nothing was imported" in err
    assert "line 2: label '77' is not one of 0 .. 5" in err
    assert run(capsys, "export", config, "-", "--format", "tutorial")[1] == ""


def test_import_while_the_trainer_runs_is_refused_and_export_is_not(
    config: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("rows.csv").write_text('"(0, 1)",3\n')
    trainer = open_store("sqlite:///labels.db", tmp_path / "run")
    trainer.open("bits", SPEC)
    code, _, err = run(capsys, "import", config, "rows.csv")
    assert code == 5
    assert "is being written to by process" in err
    assert run(capsys, "export", config, "out.csv")[0] == 0
    assert (
        Path("out.csv").read_text()
        == "f0,f1,label,annotator,at,round,model_version,score,question,strategy,votes,voters,circumstances,key\n"
    )
    trainer.close()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("import", "bits.yaml", "missing.csv"), 1, "missing.csv: cannot be read"),
        (("import", "bits.yaml", "."), 1, "cannot be read"),
        (("export", "bits.yaml", "out.csv"), 5, "there are no labels yet"),
        (("import", "bits.yaml", "rows.csv", "--set", "store.url=memory:x"), 3, "store.url"),
        (("import", "bits.yaml", "rows.csv", "--set", "store.url=postgresql://h/d"), 3, "store.url"),
        (("import", "bits.yaml", "rows.csv", "--format", "xml"), 2, "xml"),
        (("import", "bits.yaml", "rows.csv", "--annotator", ""), 2, "--annotator"),
    ],
)
def test_what_cannot_be_done_is_said(
    config: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    Path("rows.csv").write_text('"(0, 1)",3\n')
    found, _, err = run(capsys, *arguments)
    assert found == code
    assert text in err
    assert "Traceback" not in err


def test_an_export_that_cannot_be_written_leaves_the_old_file(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.csv").write_text('"(0, 1)",3\n')
    run(capsys, "import", config, "rows.csv")
    code, _, err = run(capsys, "export", config, "nowhere/out.csv")
    assert code == 1
    assert "cannot be written" in err


def test_labels_come_from_standard_input_too(config: str) -> None:
    done = CliRunner().invoke(cli.group, ["labels", "import", config, "-"], input='"(0, 1)",3\n')
    assert done.output == "- (tutorial): 1 imported, 0 already known, 0 skipped\n"


# --- rows that contradict each other, and files that are something else


def test_of_two_labels_for_one_sample_the_last_counts_and_again_is_nothing_new(store: Store) -> None:
    text = "0,1,3\n1,0,2\n0,1,4\n1,0,2\n"
    done = import_labels(store, read(text), "ann", 1.0)
    assert (done.imported, done.known, done.skipped) == (2, 1, 1)
    assert done.reasons == ("line 1: label 3, but line 3 gives the same sample 4: the last counts",)
    assert {one.features.tolist()[0]: one.value for one in store.labels()} == {0: 4, 1: 2}
    events = len(store.events())
    again = import_labels(store, read(text), "ann", 2.0)
    assert (again.imported, again.known, again.skipped) == (0, 3, 1)
    assert len(store.events()) == events


def test_two_annotators_may_differ(store: Store) -> None:
    rows = [{"features": [0, 1], "label": label, "annotator": name} for name, label in (("ann", 3), ("bob", 4))]
    text = "\n".join(map(json.dumps, rows))
    assert import_labels(store, read(text), "x", 1.0).skipped == 0
    again = import_labels(store, read(text), "x", 2.0)
    assert (again.imported, again.known) == (0, 2)


def test_a_genome_has_zeros_and_ones_only() -> None:
    for text in ('"(0, 1)",3\n"(0, 7)",3\n', "0,1,3\n0,7,3\n"):
        reading = read_labels(io.BytesIO(text.encode()), SPEC, bits=True)
        assert len(reading.rows) == 1
        assert reading.reasons == ["line 2: has the value 7; a genome has 0 and 1 only"]


def test_the_command_knows_that_an_evolution_has_genomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [[0] * 128, [2] + [0] * 127]
    (tmp_path / "l.csv").write_text("".join(f'"{tuple(row)}",3\n' for row in rows), encoding="utf-8")
    assert cli.run(["labels", "import", "melody", "l.csv"]) == 0
    captured = capsys.readouterr()
    assert "skipped line 2: has the value 2" in captured.err
    assert "1 imported, 0 already known, 1 skipped" in captured.out


def test_a_file_of_another_kind_is_told_as_such(store: Store) -> None:
    with pytest.raises(BadLabel, match="looks like no label file"):
        import_labels(store, read("Dear sir,\nno labels here.\n"), "ann", 1.0)


# --- provenance


def test_a_bad_row_is_told_by_line_and_column() -> None:
    header = "a,b,label,annotator,at,circumstances,key\n"
    key = content_key(np.array([0, 1], np.uint8))
    for cells, place in (
        ("0,x,3,ann,1,,", "line 2, column 2: 'x' is not a number"),
        ("0,1,9,ann,1,,", "line 2, column 3: label '9' is not one of 0 .. 5"),
        ("0,1,3," + "n" * 64 + ",1,,", "line 2, column 4: annotator"),
        ("0,1,3,ann,noon,,", "line 2, column 5: "),
        ("0,1,3,ann,1,[1],", "line 2, column 6: circumstances are no JSON object"),
        ("0,1,3,ann,1,,abc", "line 2, column 7: key 'abc' is not that of the features"),
    ):
        (reason,) = read(header + cells).reasons
        assert reason.startswith(place), reason
    assert read(f"{header}0,1,3,ann,1,{{}},{key}").reasons == []
    assert read('{"features": [0, 1], "label": 3}\n{"features": [0, 1], "label" 3}').reasons == [
        "line 2, column 30: Expecting ':' delimiter"
    ]


@pytest.mark.parametrize("how", ['{"a": [1]}', '{"a": null}', "[]", "3", json.dumps("x" * 2000), '{"a": 1e999}'])
def test_circumstances_that_are_no_small_object_make_a_bad_row(how: str) -> None:
    reading = read(f'{{"features": [0, 1], "label": 3, "circumstances": {how}}}')
    assert reading.rows == []
    assert "circumstances" in reading.reasons[0]


def test_a_row_that_changed_on_its_way_is_found_by_its_key(rated: Store) -> None:
    reading = read(exported(rated, "jsonl").replace("[1.0, 2.0]", "[1.0, 3.0]"), FLOATS)
    assert (len(reading.rows), reading.skipped) == (3, 1)
    assert "is not that of the features" in reading.reasons[0]


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_votes_and_strategy_are_told(tmp_path: Path, name: str) -> None:
    store = open_store("memory:votes", tmp_path)
    store.open("digits", SPEC)
    features = np.array([0, 1], np.uint8)
    key = content_key(features)
    store.commit_questions([AskedQuestion("q1", key, features, 4, "margin", 0.5, 1, 30, False, 9, 1.0)])
    for who, value in (("ann", 3), ("bob", 2), ("cyd", 3)):
        store.commit_event(LabelEvent(who, "q1", key, who, 0, "answer", value, 2.0))
    if name == "parquet":
        (row,) = pq.read_table(io.BytesIO(parquet_file.write_labels(store.labels(), SPEC))).to_pylist()
    elif name == "jsonl":
        row = json.loads(exported(store, "jsonl", SPEC))
    else:
        (row,) = csv.DictReader(io.StringIO(exported(store, "csv", SPEC)))
    told = {name: str(row[name]) for name in ("label", "annotator", "votes", "voters", "strategy", "key")}
    assert told == {"label": "3", "annotator": "cyd", "votes": "2", "voters": "3", "strategy": "margin", "key": key}
    store.close()


def test_all_events_are_exported_and_are_no_labels(rated: Store, store: Store) -> None:
    events = rated.events()
    rows = [json.loads(line) for line in exchange.event_objects(events)]
    assert [(row["id"], row["action"], row["value"]) for row in rows] == [
        (one.id, one.action, one.value) for one in events
    ]
    assert rows[0]["circumstances"] == json.loads(HOW)
    table = list(csv.DictReader(io.StringIO("".join(exchange.event_columns(events)))))
    assert (table[0]["annotator"], table[1]["annotator"]) == ("'=SUM(A1)", "ann")
    assert pq.read_table(io.BytesIO(parquet_file.write_events(events))).num_rows == len(events)
    for text in ("".join(exchange.event_objects(events)), "".join(exchange.event_columns(events))):
        with pytest.raises(BadLabel, match=r"is a label event.*import a file of labels"):
            import_labels(store, read(text), "ann", 1.0)
    with pytest.raises(BadLabel, match="is a label event"):
        parquet(parquet_file.write_events(events))


# --- Parquet


def packed(**columns: object) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


GOOD = packed(features=[[0, 1]], label=[3])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as Parquet"),
        (b"PAR1", "cannot be read as Parquet"),
        (GOOD[:-9], "cannot be read as Parquet"),
        (b"PAR1" + b"\xff" * 4000 + b"PAR1", "cannot be read as Parquet"),
        (packed(label=[3]), "no column features"),
        (packed(features=[[0, 1]]), "no column label"),
        (packed(features=[0], label=[3]), "column features is int64, not a list of numbers"),
        (packed(features=[["0", "1"]], label=[3]), "not a list of numbers"),
        (packed(features=[[0, 1]], label=["3"]), "column label is string, not whole number"),
        (packed(features=[[0, 1]], label=[3], annotator=[7]), "column annotator is int64, not text"),
        (packed(features=[[0, 1]], label=[3], at=["noon"]), "column at is string, not number"),
        (packed(features=[[0] * 100_000], label=[3]), "has 100000 values in 1 rows; the experiment's samples have 2"),
    ],
)
def test_a_hostile_parquet_file_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(BadLabel, match=words):
        parquet(content, SPEC)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_a_parquet_file_with_changed_bytes_is_read_or_refused(place: int, junk: bytes) -> None:
    try:
        reading = parquet(GOOD[:place] + junk + GOOD[place + len(junk) :], SPEC)
    except BadLabel:
        return
    assert len(reading.rows) + reading.skipped <= 1


def test_a_bad_row_of_a_parquet_file_is_told_by_its_number() -> None:
    reading = parquet(
        packed(features=[[0, 1], [0, 1], [0, None]], label=[3, 9, 3], annotator=["ann", None, "bob"]), SPEC
    )
    assert pairs(reading) == [([0, 1], 3)]
    assert [reason.partition(": ")[0] for reason in reading.reasons] == ["line 2", "line 3"]


def test_a_parquet_file_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "MAX_ROWS", 2)
    with pytest.raises(BadLabel, match="has 3 rows, allowed are 2"):
        parquet(packed(features=[[0, 1]] * 3, label=[3] * 3), SPEC)


def test_without_pyarrow_the_extra_is_named(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("rows.csv").write_text('"(0, 1)",3\n')
    run(capsys, "import", config, "rows.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run(capsys, "export", config, "out.parquet")
    assert code == 1
    assert "pip install 'active-learner[parquet]'" in err
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_an_export_imported_again_changes_nothing(config: str, capsys: pytest.CaptureFixture[str], name: str) -> None:
    Path("rows.csv").write_text('"(0, 1)",3\n"(1, 0)",4\n')
    run(capsys, "import", config, "rows.csv", "--annotator", "ann")
    assert run(capsys, "export", config, name)[0] == 0
    run(capsys, "export", config, f"events-{name}", "--events")
    before = Path(f"events-{name}").read_bytes()
    assert run(capsys, "import", config, name)[1].endswith("0 imported, 2 already known, 0 skipped\n")
    run(capsys, "export", config, f"events-{name}", "--events")
    assert Path(f"events-{name}").read_bytes() == before


def test_the_tutorials_file_has_no_place_for_events(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "export", config, "-", "--events", "--format", "tutorial")
    assert code == 2
    assert "--events" in err
