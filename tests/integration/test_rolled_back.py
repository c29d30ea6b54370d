"""A run folder put back from an older copy, while the evaluator's checkpoints stay: nothing goes on until a person says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.up_process import call
from tests.ports import free_address

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OPTIONS = ("--set", "trainer.epochs=2", "--set", "validation.limit=50", "--rounds")
CHECKPOINTS = "checkpoints"


@pytest.fixture(autouse=True)
def _own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVE_LEARNER__BROKER__ADDRESS", free_address())


def put_back(copy: Path, run: Path) -> None:
    """All of the copy, and nothing else but the checkpoints."""
    for path in run.iterdir():
        if path.name != CHECKPOINTS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(copy, run, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CHECKPOINTS))


def test_row_15_an_old_run_folder_beside_newer_checkpoints_is_refused_until_a_person_accepts_it(tmp_path: Path) -> None:
    run, copy = tmp_path / "runs" / "digits", tmp_path / "copy"
    assert call("up", "digits", *OPTIONS, "1", cwd=tmp_path).returncode == 0
    shutil.copytree(run, copy)
    assert call("up", "digits", *OPTIONS, "2", cwd=tmp_path).returncode == 0
    put_back(copy, run)
    newest = max((run / CHECKPOINTS).glob("*.safetensors"))
    refused = call("up", "digits", *OPTIONS, "2", cwd=tmp_path)
    assert refused.returncode == 5, refused.stderr
    assert "--accept-rollback" in refused.stderr
    assert max((run / CHECKPOINTS).glob("*.safetensors")) == newest
    accepted = call("up", "digits", "--accept-rollback", *OPTIONS, "2", cwd=tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["round"], line["model_version"]) for line in lines] == [(1, 2), (2, 6)]
    again = call("replay", "digits", cwd=tmp_path)
    assert again.returncode == 0, again.stdout
