"""Which face a person gets: the full screen, or plain prompts; and what is imported for it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from active_learner.core.records import SampleSpec
from active_learner.errors import ConfigError
from active_learner.oracles import at_terminal
from active_learner.oracles.at_terminal import NOT_INSTALLED, is_terminal, make_terminal
from active_learner.oracles.full_screen import FullScreen
from active_learner.oracles.terminal import TerminalOracle

SPEC = SampleSpec((2,), "float32", 3)


class Stream(io.TextIOWrapper):
    def __init__(self, is_one: bool = True, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


class Missing:
    """An import hook: there is no textual."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "textual":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def sit_down(monkeypatch: pytest.MonkeyPatch, term: str = "xterm", **streams: Any) -> None:
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, streams.get(name, Stream()))
    monkeypatch.setenv("TERM", term)


def forget_textual(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "textual" or name.endswith("full_screen")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "active_learner.oracles.textual_app")
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])


def test_at_a_terminal_there_is_the_full_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_down(monkeypatch)
    assert isinstance(make_terminal(spec=SPEC), FullScreen)


@pytest.mark.parametrize(
    "streams",
    [
        {"stdin": Stream(False)},
        {"stdout": Stream(False)},
        {"stdout": Stream(encoding="latin-1")},
        {"term": "dumb"},
        {"stdin": None},
    ],
)
def test_elsewhere_there_are_plain_prompts(monkeypatch: pytest.MonkeyPatch, streams: dict[str, Any]) -> None:
    sit_down(monkeypatch, **streams)
    assert not is_terminal()
    assert isinstance(make_terminal(spec=SPEC), TerminalOracle)


def test_whoever_wants_plain_prompts_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_down(monkeypatch)
    assert isinstance(make_terminal(spec=SPEC, screen="plain"), TerminalOracle)


def test_without_the_extra_there_are_plain_prompts_and_its_name_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_textual(monkeypatch)
    sit_down(monkeypatch)
    assert isinstance(make_terminal(spec=SPEC), TerminalOracle)
    told = sys.stdout.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert told == f"{NOT_INSTALLED}\n"
    assert "pip install 'active-learner[tui]'" in told


def test_another_module_that_is_missing_is_no_reason_for_plain_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_down(monkeypatch)
    monkeypatch.setitem(sys.modules, "active_learner.oracles.full_screen", None)
    with pytest.raises(ModuleNotFoundError):
        make_terminal(spec=SPEC)


def test_wrong_keys_are_told_whatever_the_face(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"labeler\.keys\.skip"):
        at_terminal.make_terminal(spec=SPEC, keys={"skip": "0"}, out=io.StringIO())


@pytest.mark.parametrize("kind", ["simulated", "terminal"])
def test_nobody_else_waits_for_the_import_of_textual(kind: str) -> None:
    """Plain prompts in a pipe and simulated answers are made without it."""
    settings = "answers='melody'" if kind == "simulated" else ""
    script = (
        "import sys; from pathlib import Path\n"
        "from active_learner.commands import label\n"
        "from active_learner.core.records import SampleSpec\n"
        "from active_learner.oracles import make_oracle\n"
        f"make_oracle({kind!r}, spec=SampleSpec((128,), 'uint8', 6, 'melody'), base=Path(), seed=0, {settings})\n"
        "print([name for name in sys.modules if name.startswith('textual')])"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")
