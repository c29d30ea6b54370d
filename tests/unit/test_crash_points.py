"""Crash points: which name kills, at which hit, and that code and table agree."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from active_learner import crash_points

ROOT = Path(__file__).parents[2]
REACHED = re.compile(r'\breach\("([^"]+)"\)')
THREE_TIMES = """
import sys
from active_learner import crash_points
crash_points.POINTS["trainer.test"] = "only here"
crash_points._target = crash_points._Target(sys.argv[1])
for hit in range(3):
    print(hit, flush=True)
    crash_points.reach("trainer.test")
"""


def run_with(value: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", THREE_TIMES, value]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("value", "hits"), [("trainer.test", 1), ("trainer.test:1", 1), ("trainer.test:3", 3)])
def test_a_process_dies_at_the_hit_that_was_named(value: str, hits: int) -> None:
    ended = run_with(value)
    assert ended.returncode == -signal.SIGKILL
    assert len(ended.stdout.split()) == hits


def test_a_point_that_is_not_reached_so_often_kills_nobody() -> None:
    assert run_with("trainer.test:4").returncode == 0


@pytest.mark.parametrize("value", ["no.such", "trainer.test:x"])
def test_a_name_that_is_not_there_is_told_with_those_that_are(value: str) -> None:
    ended = run_with(value)
    assert ended.returncode == 1
    assert "the points are" in ended.stderr


def test_every_point_of_the_table_is_reached_in_one_place_and_every_place_is_in_the_table() -> None:
    found = Counter(
        name
        for path in sorted((ROOT / "active_learner").rglob("*.py"))
        for name in REACHED.findall(path.read_text(encoding="utf-8"))
    )
    assert dict(found) == dict.fromkeys(crash_points.POINTS, 1)
    assert all(name.split(".")[0] in ("any", "trainer", "evaluator", "labeler", "source", "broker") for name in found)
