"""module:attribute names of a user are found, cannot hide our packages, and fail in words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from active_learner.errors import BadNetwork
from active_learner.imports import resolve


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_module_beside_the_configuration_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine_a.py").write_text("class Box:\n    size = 3\n", encoding="utf-8")
    assert resolve("mine_a:Box.size", tmp_path) == 3


def test_the_users_folder_comes_last(tmp_path: Path) -> None:
    (tmp_path / "protocol.py").write_text("ours = False\n", encoding="utf-8")
    assert resolve("protocol.messages:Ping", tmp_path).KIND == 10
    assert sys.path[-2:] == [str(tmp_path), str(Path.cwd())] or str(tmp_path) in sys.path[-2:]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("mine_b", "", "must be module:attribute, such as network:make"),
        ("mine_b:", "", "must be module:attribute"),
        ("absent_b:make", "", "no module 'absent_b' among the installed ones or in "),
        ("mine_c:mak", "def make(): ...\n", "has no 'mak'; it has: make"),
        ("mine_d:make", "import absent_c\n", "module 'mine_d' needs 'absent_c', which is not installed"),
        ("mine_e:make", "def make(:\n", "mine_e.py:1: "),
        ("mine_f:make", "1 / 0\n", "importing 'mine_f' failed: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_imported_is_told(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / f"{name.partition(':')[0]}.py").write_text(text, encoding="utf-8") if text else None
    with pytest.raises(BadNetwork) as caught:
        resolve(name, tmp_path)
    assert told in str(caught.value)
    assert repr(name) in str(caught.value)


def test_a_protocol_py_in_the_working_directory_does_not_win(tmp_path: Path) -> None:
    (tmp_path / "protocol.py").write_text("raise SystemExit('the wrong protocol')\n", encoding="utf-8")
    root = Path(__file__).parents[2]
    script = "import runpy, sys; sys.argv = ['active-learner', 'status', '--help']; runpy.run_module('active_learner')"
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(root)!r}); {script}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
