"""The command line: what is loaded, what is said, which code it exits with."""

from __future__ import annotations

import ast
import json
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from active_learner import cli, errors

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "sqlalchemy")


def loaded_after(code: str) -> set[str]:
    """Modules in a fresh interpreter after this code."""
    script = f"import sys, json\ntry:\n    {code}\nexcept SystemExit: pass\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_help_loads_nothing_heavy_and_no_command() -> None:
    modules = loaded_after("from active_learner.cli import main; main(['--help'])")
    assert not modules & {*HEAVY, "pydantic", "rich", "zmq"}
    assert not any(name.startswith("active_learner.commands.") for name in modules)


def test_a_labeler_without_a_page_loads_no_web_server_and_no_screen() -> None:
    parts = ("commands.label", "services.labeler", "oracles.simulated", "oracles.terminal")
    modules = loaded_after("import " + ", ".join(f"active_learner.{part}" for part in parts))
    assert not modules & {"starlette", "uvicorn", "textual", "torch", "sqlalchemy"}


def test_help_names_every_command_and_every_exit_code() -> None:
    text = CliRunner().invoke(cli.group, ["--help"]).output
    assert all(f"\n  {name} " in text for name in cli.COMMANDS)
    codes = {
        error.exit_code for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert all(f"\n    {code}  " in text for code in {0, 2, *codes})


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_in_the_table_is_there(name: str) -> None:
    spec = find_spec(f"active_learner.commands.{name}")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert "command" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_version() -> None:
    assert CliRunner().invoke(cli.group, ["--version"]).output.startswith("active-learner, version 0.")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["stauts"], 2, "No such command 'stauts'. Did you mean 'status'?"),
        (["up"], 2, "Missing argument 'CONFIG'"),
        (["up", "digits", "--rounds", "0"], 2, "0 is not in the range"),
        (["up", "digits", "--log-format", "xml"], 2, "'xml' is not one of 'plain', 'json'"),
        (["chaos", "digits", "--drop", "nan"], 2, "nan is not a number that can be used"),
        (["keys", "rotate", "anna", "--overlap", "nan"], 2, "nan is not a number that can be used"),
        (["keys", "rotate", "anna", "--overlap", "1e12"], 2, "1000000000000.0 is not in the range"),
        (["keys", "new", "anna", "--role", "labler"], 2, "'labler' is no role: there are"),
        (["keys", "new", "anna", "--role", "labler"], 2, "did you mean labeler?"),
        (["config", "show", "digts"], 3, "error: digts: no such file or shipped experiment; did you mean 'digits'?"),
        (["config", "show", "digits", "--set", "seed=x", "--set", "nam=3"], 3, "did you mean 'name'?"),
    ],
)
def test_mistakes_are_told_in_words_with_their_code(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == code
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def raising(error: BaseException) -> click.Command:
    def command() -> None:
        raise error

    return click.Command("up", callback=command)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.Unreachable("nobody there"), 4, "error: nobody there\n"),
        (errors.StoreLocked("locked"), 5, "error: locked\n"),
        (errors.ConfigError(["a: 1", "b: 2"]), 3, "a: 1\nb: 2\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_errors_become_one_paragraph_and_an_exit_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: raising(error))
    assert cli.run(["up"]) == code
    assert capsys.readouterr().err.strip().endswith(text.strip())


def test_show_prints_a_configuration_that_can_be_loaded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["config", "show", "digits", "--set", "trainer.epochs=3"]) == 0
    text = capsys.readouterr().out
    assert "  epochs: 3\n" in text
    (tmp_path / "again.yaml").write_text(text, encoding="utf-8")
    assert cli.run(["config", "show", str(tmp_path / "again.yaml")]) == 0
    assert capsys.readouterr().out == text


def test_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["config", "schema"]) == 0
    assert "trainer" in json.loads(capsys.readouterr().out)["properties"]


def test_runs_lists_name_state_rounds_labels_accuracy_and_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "config.resolved.yaml").write_text("name: digits\n", encoding="utf-8")
    lines = '{"round": 0, "labels": 20, "accuracy": 0.5}\n{"round": 1, "labels": 25, "accuracy": 0.75}\n{"rou'
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    assert cli.run(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["digits", "stopped", "2", "25", "0.750", str(folder)]
    assert cli.run(["runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == 25


def test_init_writes_a_valid_experiment_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my first one!"
    assert cli.run(["init", str(folder)]) == 0
    written = ["README.md", "config.yaml", "held_out.npz", "network.py", "source.py"]
    assert sorted(file.name for file in folder.iterdir()) == written
    assert cli.run(["config", "show", str(folder / "config.yaml")]) == 0
    held, rule = np.load(folder / "held_out.npz"), runpy.run_path(str(folder / "source.py"))["true_class"]
    assert [rule(point) for point in held["X_test"]] == held["y_test"].tolist()
    assert capsys.readouterr().out.splitlines()[-60:] != []
    (folder / "README.md").unlink()
    assert cli.run(["init", str(folder)]) == 2
    assert "config.yaml, network.py, source.py, held_out.npz already" in capsys.readouterr().err
    assert not (folder / "README.md").exists()
