"""What a process counted, as a log line and back."""

from __future__ import annotations

import pytest

from active_learner.services.tally import read_tally, tally_line
from protocol.messages import LogLine


@pytest.mark.parametrize("counters", [{}, {"gaps": 3}, {"refused.limit": 1, "bad_frames": 2, "re-sent": 70}])
def test_counters_come_back_from_the_line_that_tells_them(counters: dict[str, int]) -> None:
    line = tally_line(7, "labeler-1", counters)
    assert (line.number, line.level) == (7, "info")
    assert read_tally(line) == counters


def test_a_line_is_readable_and_leaves_out_what_never_happened() -> None:
    assert (
        tally_line(1, "evaluator", {"gaps": 2, "dropped": 0, "bad_frames": 1}).text
        == "evaluator counted: bad_frames 1, gaps 2"
    )
    assert tally_line(1, "evaluator", {"dropped": 0}).text == "evaluator counted: nothing"


@pytest.mark.parametrize("text", ["round 3 is over", "counted: 3", ""])
def test_other_lines_are_no_tally(text: str) -> None:
    assert read_tally(LogLine(1, "info", text)) is None


def test_what_cannot_be_read_is_left_out_and_a_line_has_an_end() -> None:
    assert read_tally(LogLine(1, "info", "x counted: a 1, b, c -2, d x, , 5, e ²")) == {"a": 1}
    many = tally_line(1, "x", {f"counter{number:04d}": 1 for number in range(1000)})
    assert len(many.text) <= 4096
    assert len(read_tally(many) or {}) > 100
