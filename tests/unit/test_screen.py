"""What `up` and `status` show of lines and reports."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from active_learner.services import progress
from active_learner.services.screen import JsonScreen, LiveScreen, PlainScreen
from protocol.messages import PeerAge, StatusReport

REPORT = StatusReport(
    re="",
    number=1,
    run="ab",
    asking="hold",
    training="step",
    round=2,
    epoch=3,
    epochs=10,
    batch=1,
    batches=2,
    step=40,
    pool=150,
    pool_size=200,
    open_questions=0,
    held=0,
    labels=25,
    model_version=20,
    accuracy=0.912,
    loss=0.3,
    agreement=None,
    text="",
    counters=(("late", 0), ("resent", 2)),
    peers=(PeerAge("evaluator", "evaluator", 0.25),),
)
NEXT = replace(REPORT, model_version=40, round=3)


def test_a_line_has_the_name_of_its_process_before_it() -> None:
    stream = io.StringIO()
    PlainScreen(stream).line("broker", "one\ntwo")
    assert stream.getvalue() == "broker    | one\nbroker    | two\n"


def test_json_logs_are_json_whatever_a_process_says_and_tell_each_round_once() -> None:
    stream = io.StringIO()
    screen = JsonScreen(stream)
    screen.line("source", '{"event": "a", "n": 1}')
    screen.line("source", "plain")
    screen.line("source", "[1]")
    for report in (REPORT, REPORT, NEXT, NEXT, REPORT):
        screen.report(report)
    first, second, third, fourth = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first == {"process": "source", "event": "a", "n": 1}
    assert (second["event"], third["event"]) == ("plain", "[1]")
    assert (fourth["event"], fourth["round"], fourth["counters"]) == ("round", 3, {"late": 0, "resent": 2})


class Terminal(io.StringIO):
    """rich shows a live line only there."""

    def isatty(self) -> bool:
        return True


def test_the_live_screen_shows_lines_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    screen = LiveScreen(stream)
    screen.line("trainer", "hello")
    screen.report(REPORT)
    screen.report(NEXT)
    screen.close()
    text = stream.getvalue()
    assert " | hello" in text
    assert "round 3 | epoch 3/10" in text


def test_one_line_says_where_it_stands() -> None:
    assert progress.line(replace(REPORT, text="waits for labels")) == (
        "round 2 | epoch 3/10, batch 1/2 | step 40 | accuracy 91.2 % | labels 25 | pool 150/200 | hold, step | "
        "waits for labels"
    )


def test_the_table_has_every_count_that_is_not_zero_and_every_peer() -> None:
    rows = dict(progress.rows(REPORT))
    assert rows["peer evaluator"] == "evaluator, heard 0.2 s ago"
    assert rows["resent"] == "2"
    assert "late" not in rows
    assert rows["accuracy"] == "91.2 %"
    assert dict(progress.rows(replace(REPORT, accuracy=None)))["accuracy"] == "-"


def test_how_far_people_agree_is_told_when_several_labelled_the_same() -> None:
    assert "agreement" not in dict(progress.rows(REPORT))
    assert dict(progress.rows(replace(REPORT, agreement=0.7434)))["agreement"] == "alpha 0.74"
