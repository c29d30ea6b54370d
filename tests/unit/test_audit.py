"""`make audit` never passes because nothing was looked up."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def audit() -> ModuleType:
    path = Path(__file__).parents[2] / ".ci" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": "1", "vulns": [], **fields}


FAULT = {"id": "CVE-1", "fix_versions": ["2"]}


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("", 1, "NOT RUN: it broke"),
        ("no JSON", 1, "NOT RUN: it broke"),
        ("{}", 1, "NOT RUN: it broke"),
        ('{"dependencies": []}', 1, "NOT RUN for 2 of 2 pinned packages"),
        ([package("a")], 1, "NOT RUN for 1 of 2 pinned packages"),
        ([package("a"), {"name": "b", "skip_reason": "not found"}], 1, "NOT RUN for 1 of 2 packages (not found): b"),
        ([package("a"), package("b", vulns=[FAULT])], 1, "VULNERABLE: b 1: CVE-1, fixed in 2"),
        ([package("a"), package("b")], 0, "2 packages, nothing known against them"),
    ],
)
def test_it_passes_only_when_every_pinned_package_was_looked_up(
    audit: ModuleType,
    output: Any,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# what is pinned\na==1\nb==1\n")
    text = output if isinstance(output, str) else json.dumps({"dependencies": output})
    done = subprocess.CompletedProcess([], 1, text, "first line\nit broke")
    monkeypatch.setattr(audit.subprocess, "run", lambda *arguments, **options: done)
    assert audit.main(str(constraints)) == code
    assert said in capsys.readouterr().out


def test_an_empty_list_of_packages_is_not_run(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# nothing is pinned\n")
    done = subprocess.CompletedProcess([], 0, '{"dependencies": []}', "")
    monkeypatch.setattr(audit.subprocess, "run", lambda *arguments, **options: done)
    assert audit.main(str(constraints)) == 1
    assert "NOT RUN" in capsys.readouterr().out
