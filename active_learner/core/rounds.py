"""When a round is due in a run that asks all the time. Knows how much has changed since the last plan and the config's rule; not
labels, not training.
"""

from __future__ import annotations


class Rounds:
    """Due every `labels` changes (answers, revisions, retractions), or, when that is None, `seconds` after the last plan.

    `changes` since that plan. `under_way`: a round is wanted or trains. `due`: one is, if there are changes, whatever the rule says.
    """

    def __init__(
        self, labels: int | None, seconds: float, at: float, *, changes: int, under_way: bool, due: bool
    ) -> None:
        self._labels, self._seconds = labels, seconds
        self._planned_at = at
        self._is_overdue = due and changes > 0
        self.changes = changes
        self.under_way = under_way

    def changed(self) -> None:
        """A label came, or has another value, or went."""
        self.changes += 1

    def is_due(self, at: float, is_last: bool) -> bool:
        """`is_last`: nothing more will be asked, so that waiting for more changes is in vain."""
        if self.under_way or not self.changes:
            return False
        if is_last or self._is_overdue:
            return True
        if self._labels is not None:
            return self.changes >= self._labels
        return at >= self._planned_at + self._seconds

    def want(self) -> None:
        self.under_way = True
        self._is_overdue = False

    def planned(self, at: float) -> None:
        """The labels of the round are fixed: what changes from now on is of the next."""
        self.changes = 0
        self._planned_at = at

    def over(self, trained: bool) -> None:
        """It is done; not `trained`: there was no label."""
        self.under_way = False
        if not trained:
            self.changes = 0
