"""What a run says that it waits for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from active_learner.core import training_events as t
from active_learner.core.training import TrainingMachine
from active_learner.services.status_board import StatusBoard


@pytest.mark.parametrize(
    ("roles", "told"), [(("evaluator",), "waits for the evaluator"), (("front", "back"), "waits for front and back")]
)
def test_behind_an_accepted_rollback_a_round_that_waits_for_an_evaluator_says_so(
    roles: tuple[str, ...], told: str
) -> None:
    """Nothing is planned before it was there, so training is idle; the asking machine holds and does not know why."""
    training = TrainingMachine(term=2, roles=roles, width=None, fused=True, resend_s=1.0, accept_rollback=True)
    asking: Any = SimpleNamespace(phase="holding")
    board = StatusBoard("run", asking, None, training)  # type: ignore[arg-type]
    assert board.words(0.0) == "holding"
    training.handle(t.RoundWanted(0.0))
    assert board.words(0.0) == told
    training.handle(t.StageJoined(roles[0], 0.0))
    assert board.words(0.0) == told
    training.handle(t.PositionHeard(roles[0], 2, 0, 0, (), True, 0, "", 0.0))
    assert board.words(0.0) == ("waits for back" if len(roles) == 2 else "taking step 1")
