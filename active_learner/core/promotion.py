"""Whether a round's model may replace the one that scores. Knows figures of held-out rows; not who measured them."""

from __future__ import annotations

from dataclasses import dataclass

from active_learner.core.records import RoundResult
from active_learner.core.training_events import ValidationDone


@dataclass(frozen=True, slots=True)
class Gate:
    """Accuracy decides where both have one, else the loss. What nothing is known of is measured against nothing."""

    margin: float
    """Accuracy may be lower, and loss higher, by so much."""

    def objection(self, found: ValidationDone, best: RoundResult | None) -> str:
        """Why the model is held back; "": it is not. `best`: the last round that was not."""
        if best is None or (best.accuracy is None and best.loss is None):
            return ""
        if found.accuracy is not None and best.accuracy is not None:
            return self._worse("accuracy", best.accuracy - found.accuracy, found.accuracy, best.accuracy, best.round)
        if found.loss is not None and best.loss is not None:
            return self._worse("loss", found.loss - best.loss, found.loss, best.loss, best.round)
        return f"it could not be validated, round {best.round} was"

    def _worse(self, name: str, by: float, found: float, best: float, round_number: int) -> str:
        if by <= self.margin:
            return ""
        return f"{name} {found:.4f} is worse than the {best:.4f} of round {round_number} by more than {self.margin:g}"
