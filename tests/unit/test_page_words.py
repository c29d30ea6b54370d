"""What a configuration says to the person at the page: columns, guide, and what is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner import cli
from active_learner.commands.page import manners_of
from active_learner.config.loading import load
from active_learner.config.sample import resolve
from active_learner.config.schema import WebLabeler

CONFIG = """
name: rows
sample: {{shape: [2], dtype: float32, classes: 2, class_names: [healthy, ill]}}
evaluator: {{network: "active_learner.examples.torch_networks:digits"}}
labeler:
  kind: web
  {labeler}
"""


def written(folder: Path, labeler: str) -> Path:
    target = folder / "config.yaml"
    target.write_text(CONFIG.format(labeler=labeler))
    return target


def test_columns_may_have_units_and_ranges_and_the_guide_names_of_classes(tmp_path: Path) -> None:
    file = written(
        tmp_path, "columns: [age, {name: pressure, unit: mmHg, low: 90, high: 140}]\n  guide: {ill: off, '0': fine}"
    )
    config = load(str(file))
    assert isinstance(config.labeler, WebLabeler)
    manners = manners_of(config, config.labeler, resolve(config), None)
    assert manners.columns == ({"name": "age"}, {"name": "pressure", "unit": "mmHg", "low": 90.0, "high": 140.0})
    assert manners.guide == {"1": "off", "0": "fine"}


@pytest.mark.parametrize(
    ("labeler", "words"),
    [
        ("guide: {sick: off}", "labeler.guide.sick: is no class; allowed: 0 to 1, healthy, ill"),
        ("guide: {'2': off}", "labeler.guide.2: is no class; allowed: 0 to 1, healthy, ill"),
        (
            "columns: [{name: age, low: 3, high: 3}]",
            "labeler.columns: age has low 3 and high 3; low must be below high",
        ),
        (
            "columns: [{nam: age}]",
            "labeler.columns.0.nam: unknown key; did you mean 'name'? allowed: high, low, name, unit",
        ),
        ("keys: {jump: j}", "labeler.keys.jump: is no command and no class; allowed: replay, play"),
        ("keys: {ill: F1}", "labeler.keys.ill: 'F1' is no key; allowed: a character, space"),
        ("keys: {ill: j, skip: J}", "labeler.keys.skip: 'J' is the key of ill too"),
        ("renderer: missing.js", "missing.js is no file that ends with .js"),
    ],
)
def test_what_the_page_would_refuse_is_told_by_check(
    tmp_path: Path, labeler: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", str(written(tmp_path, labeler))]) == 3
    assert words in capsys.readouterr().err


def test_answers_and_commands_have_the_keys_that_a_person_wants(tmp_path: Path) -> None:
    config = load(str(written(tmp_path, "keys: {healthy: h, '1': j, skip: space}")))
    assert isinstance(config.labeler, WebLabeler)
    assert manners_of(config, config.labeler, resolve(config), None).keys == {"0": "h", "1": "j", "skip": "space"}
