"""The generated reference and schema name every key; README's table is the generated one."""

from __future__ import annotations

import re
from pathlib import Path

from active_learner.config.problems import dotted_keys
from active_learner.config.reference import table
from active_learner.config.schema import Config

README = Path(__file__).parents[2] / "README.md"


def test_every_key_has_a_row() -> None:
    rows = re.findall(r"^\| `([^`]+)`", table(Config), re.MULTILINE)
    told = {re.sub(r"\(\w+\)", "", row) for row in rows}
    sections = {key.rpartition(".")[0] for key in dotted_keys(Config)}
    assert told == set(dotted_keys(Config)) - sections


def test_a_row_says_what_is_allowed_and_the_default() -> None:
    text = table(Config)
    assert "| `trainer.pool_after_round` | keep, clear | `keep` |" in text
    assert "| `labeler(simulated).noise` | number >= 0, <= 1 | `0.0` | chance of a wrong answer |" in text
    assert "| `name` | text | **required** |" in text


def test_the_readme_has_this_table() -> None:
    between = re.search(r"<!-- reference -->\n(.*?)<!-- /reference -->", README.read_text(encoding="utf-8"), re.DOTALL)
    assert between is not None, "README.md needs the markers <!-- reference --> and <!-- /reference -->"
    assert between[1].strip() == table(Config).strip(), "run: active-learner config reference"
