"""The demo in short: both arms with the real processes, one report with both curves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from active_learner.results.metrics import read

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "active_learner", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=350, check=False)


def test_the_demo_runs_both_arms_from_the_same_start_and_reports_them(tmp_path: Path) -> None:
    done = program(tmp_path, "demo", "--labels", "35", "--seed", "4")
    assert done.returncode == 0, done.stderr + done.stdout
    own, control = (read(tmp_path / "runs" / f"demo-{arm}" / "metrics.jsonl") for arm in ("uncertainty", "random"))
    assert [one.labels for one in own] == [one.labels for one in control] == [20, 25, 30, 35]
    assert own[0].digest == control[0].digest
    assert own[-1].digest != control[-1].digest
    assert "report: runs/demo-uncertainty/report.html" in done.stdout

    page = tmp_path / "runs" / "demo-uncertainty" / "report.html"
    text = page.read_text()
    assert ">random</text>" in text
    assert text.count("data:image/png") == 35
    assert str(tmp_path) not in text

    again = program(tmp_path, "report", "demo-uncertainty", "--out", "other.html")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "other.html").read_bytes() == page.read_bytes()


def test_a_report_of_nothing_is_an_error_in_words(tmp_path: Path) -> None:
    done = program(tmp_path, "report", "nothing")
    assert done.returncode == 1
    assert "no run folder" in done.stderr
