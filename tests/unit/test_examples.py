"""The examples of peers of one's own are short enough to be read at a glance, and leave nothing to the imagination."""

from __future__ import annotations

from pathlib import Path

import pytest

import active_learner.examples

FOLDER = Path(active_learner.examples.__file__).parent
PROMISED = 40


@pytest.mark.parametrize("name", ["torch_evaluator", "labeler", "source"])
def test_a_peer_of_ones_own_takes_under_40_lines(name: str) -> None:
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) < PROMISED
    assert max(map(len, lines)) <= 120
