"""When a run ends by itself, and the line that says what it came to."""

from __future__ import annotations

from active_learner.core.records import RoundResult
from active_learner.services.goals import Goals, result_line

FIRST = RoundResult(1, 25, "a" * 64, 40, 0.8, 0.5, 0.1, 0.2, 1.0)
WORSE = RoundResult(2, 60, "a" * 64, 50, 0.3, 2.5, 0.1, 0.2, 1.0, {"held_back": "accuracy 0.3 is worse"})


def test_a_round_that_was_held_back_counts_as_a_round_and_its_accuracy_for_nothing() -> None:
    """Its digest is that of the weights that went on: beside it, its own accuracy would be told of a model that is not there."""
    assert result_line([FIRST, WORSE], "2 rounds done") == (
        "result: rounds=2 labels=50 accuracy=0.8000 model_version=60 digest=aaaaaaaaaaaa (2 rounds done)"
    )
    assert Goals(accuracy=0.2).reached([FIRST, WORSE]) is None
    assert Goals(rounds=2).reached([FIRST, WORSE]) == "2 rounds done"
