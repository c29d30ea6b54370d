"""A gate judges every round: without rows to judge by, or with rounds that are not validated, nothing starts."""

from __future__ import annotations

import pytest

from active_learner.commands.goals import check_goals
from active_learner.config import loading
from active_learner.errors import ConfigError

NO_ROWS = ("source={kind: none}", "sample.shape=[64]", "sample.dtype=float32", "sample.classes=10")


def test_a_gate_without_held_out_rows_is_refused() -> None:
    config = loading.load("digits", ["trainer.promotion=gated", *NO_ROWS])
    with pytest.raises(ConfigError, match=r"trainer.promotion: gated: there are no held-out rows; set validation.path"):
        check_goals(config, None)
    with pytest.raises(ConfigError, match=r"(?s)--until-accuracy: there are .*trainer.promotion: gated: there are"):
        check_goals(config, 0.9)
    check_goals(loading.load("digits", ["trainer.promotion=gated"]), 0.9)
    check_goals(loading.load("digits", NO_ROWS), None)


def test_a_gate_wants_every_round_validated() -> None:
    with pytest.raises(ConfigError, match=r"validation.every: must be 1 with trainer.promotion: gated"):
        loading.load("digits", ["trainer.promotion=gated", "validation.every=2"])
