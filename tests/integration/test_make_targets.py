"""The Makefile: bare make lists the targets, each sets itself up, and an old Python is refused in words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TARGETS = (
    *("install", "run", "demo", "run-broker", "test", "test-browser", "check", "integration", "bench"),
    *("screenshots", "soak", "audit", "clean"),
)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_bare_make_lists_every_target() -> None:
    result = make()
    assert result.returncode == 0
    assert set(re.findall(r"^  make (\S+)", result.stdout, re.MULTILINE)) == {"help", *TARGETS}


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "clean"])
def test_every_target_makes_its_own_environment_first(target: str, tmp_path: Path) -> None:
    result = make("-n", target, f"VENV={tmp_path / 'venv'}")
    assert result.returncode == 0, result.stderr
    told = result.stdout.index("Installing into")
    torch, package = result.stdout.index("constraints.txt  torch"), result.stdout.index("-e '.[dev]'")
    assert told < torch < package


def test_the_extra_index_is_asked_for_torch_only(tmp_path: Path) -> None:
    result = make("-n", "install", f"VENV={tmp_path / 'venv'}", "TORCH_INDEX=https://index.invalid")
    lines = [line for line in result.stdout.splitlines() if "index.invalid" in line]
    assert len(lines) == 1
    assert lines[0].endswith("--extra-index-url https://index.invalid torch")


def test_an_old_python_is_refused_in_words_before_anything_is_made(tmp_path: Path) -> None:
    old = tmp_path / "python"
    fake = "import sys; sys.version_info = (3, 10, 2); sys.version = '3.10.2 (old)'; exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{fake}" "$2"\n', encoding="utf-8")
    old.chmod(0o755)
    result = make("install", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed, this is 3.10.2" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake test\n" in script
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def ci_run(folder: Path, there: set[str], user: int) -> tuple[int, list[str]]:
    """The exit code of .ci/run, and the commands that it called, on a machine that has only the commands `there`."""
    commands = folder / "bin"
    commands.mkdir()
    calls = folder / "calls"
    says = f'#!/bin/sh\necho "$(basename "$0") $* $ACTIVE_LEARNER_BROWSER" >> {calls}\n'
    for name in there:
        (commands / name).write_text(says + ('shift\nexec "$@"\n' if name == "sudo" else ""), encoding="utf-8")
    (commands / "id").write_text(f"#!/bin/sh\necho {user}\n", encoding="utf-8")
    for command in commands.iterdir():
        command.chmod(0o755)
    for name in ("basename", "dirname", "sh"):
        (commands / name).symlink_to(str(shutil.which(name)))
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
    done = subprocess.run([folder / ".ci" / "run"], env={"PATH": str(commands)}, capture_output=True, check=False)
    return done.returncode, [" ".join(line.split()[:-1]) for line in calls.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("user", "before"), [(0, []), (1000, ["sudo -n apt-get"])])
def test_ci_installs_what_is_missing_and_nothing_else(user: int, before: list[str], tmp_path: Path) -> None:
    code, called = ci_run(tmp_path, {"make", "apt-get", "sudo"}, user)
    assert code == 0
    assert [call for call in called if call.startswith("apt-get")] == [
        "apt-get update -q",
        "apt-get install -q -y --no-install-recommends python3-venv chromium",
    ]
    assert {call[: len("sudo -n apt-get")] for call in called if call.startswith("sudo")} == {*before}
    assert called[-1] == "make test"


def test_ci_installs_nothing_where_all_is_there(tmp_path: Path) -> None:
    code, called = ci_run(tmp_path, {"make", "python3", "chromium"}, 0)
    assert (code, called[-1]) == (0, "make test")


def test_ci_names_the_browser_so_that_a_missing_one_fails(tmp_path: Path) -> None:
    ci_run(tmp_path, {"make", "python3", "chromium"}, 0)
    assert (tmp_path / "calls").read_text(encoding="utf-8").splitlines()[-1] == "make test chromium"
