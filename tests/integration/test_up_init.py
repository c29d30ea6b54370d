"""What `init` writes passes `check` and runs as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.up_process import call

pytestmark = pytest.mark.integration


def test_a_fresh_experiment_passes_check_and_runs_rounds_with_an_accuracy(tmp_path: Path) -> None:
    assert call("init", "mine", cwd=tmp_path).returncode == 0
    folder = tmp_path / "mine"
    checked = call("check", "config.yaml", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    result = call("up", "config.yaml", "--rounds", "2", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith("result: rounds=2 labels=10 accuracy=0.")
    listed = call("runs", cwd=folder)
    assert listed.stdout.splitlines()[1].split()[:4] == ["mine", "stopped", "2", "10"], listed.stdout


def test_it_runs_from_another_folder_too(tmp_path: Path) -> None:
    assert call("init", "mine", cwd=tmp_path).returncode == 0
    result = call("check", "mine/config.yaml", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
