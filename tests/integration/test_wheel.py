"""The built wheel, alone in a fresh environment outside the checkout, runs a shipped experiment by name."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("wheel")]

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, timeout_s: float = 200) -> subprocess.CompletedProcess[str]:
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    result = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has the wheel, and everything else from the environment of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    # A path in a .pth is not searched for .pth files itself, so an editable install there does not reach the checkout.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_it_is_the_wheel_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    script = "import active_learner, protocol; print(active_learner.__file__, protocol.__file__)"
    for file in run(installed / "python", "-c", script, cwd=tmp_path).stdout.split():
        assert Path(file).is_relative_to(installed.parent)


def test_the_shipped_experiments_are_known_by_name(installed: Path, tmp_path: Path) -> None:
    for config in sorted((ROOT / "configs").glob("*.yaml")):
        shown = run(installed / "active-learner", "config", "show", config.stem, cwd=tmp_path).stdout
        assert shown.startswith("name: ")


def test_one_round_of_digits_runs(installed: Path, tmp_path: Path) -> None:
    result = run(installed / "active-learner", "up", "digits", "--rounds", "1", cwd=tmp_path)
    assert result.stdout.splitlines()[-1].startswith("result: rounds=1 ")
    assert (tmp_path / "runs" / "digits" / "metrics.jsonl").is_file()


def test_a_store_of_the_first_schema_is_upgraded_by_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Its migrations are found where the package is installed."""
    folder = tmp_path / "runs" / "digits"
    folder.mkdir(parents=True)
    (tmp_path / "own.yaml").write_text(
        "name: digits\nsample: {shape: [3], dtype: float32, classes: 4}\n", encoding="utf-8"
    )
    with closing(sqlite3.connect(folder / "labels.db")) as database:
        database.executescript((ROOT / "tests" / "data" / "store_schema_1.sql").read_text(encoding="utf-8"))
    told = run(installed / "active-learner", "store", "upgrade", "own.yaml", cwd=tmp_path).stdout
    assert "labels.db.schema-1" in told
    assert "6 events" in run(installed / "active-learner", "store", "verify", "own.yaml", cwd=tmp_path).stdout
