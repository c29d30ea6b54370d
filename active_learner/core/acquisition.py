"""One acquisition batch: the questions that are open together, who answered and who skipped. Knows no pool, no clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from active_learner.core.asking_events import SelectionMade
from active_learner.core.pool import PoolSample
from active_learner.core.records import AskedQuestion


class AcquisitionBatch:
    """Questions by id; resolved when each is answered, or skipped by every labeler that is here.

    Who skips is a peer, not an annotator: two labelers may answer under one name. `skipped_before`: question and
    annotator of skips that an earlier trainer heard, whose peers are not known any more; each stands for one labeler.
    """

    def __init__(
        self,
        questions: Iterable[AskedQuestion] = (),
        asked_at: float = 0.0,
        skipped_before: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.questions = {question.id: question for question in questions}
        self.asked_at = asked_at
        self._ids = {question.key: question.id for question in self.questions.values()}
        self._answered: set[str] = set()
        self._skipped: dict[str, set[str]] = {}
        self._skipped_before = Counter(question for question, _ in skipped_before)

    def __contains__(self, id: str) -> bool:
        return id in self.questions

    @property
    def answered(self) -> int:
        return len(self._answered)

    def asks(self, key: str) -> bool:
        """A question about the sample with this content key is open."""
        question_id = self._ids.get(key)
        return question_id is not None and question_id not in self._answered

    def answer(self, id: str) -> None:
        self._answered.add(id)

    def take_back(self, id: str, labeler: str) -> None:
        self._answered.discard(id)
        self._skipped.get(id, set()).discard(labeler)

    def skip(self, id: str, labeler: str) -> None:
        self._skipped.setdefault(id, set()).add(labeler)

    def unanswered(self) -> tuple[AskedQuestion, ...]:
        """In the order of asking."""
        return tuple(question for question in self.questions.values() if question.id not in self._answered)

    def is_resolved(self, labelers: set[str]) -> bool:
        """`labelers` that are here; with none, one skip is enough."""
        return all(self._is_skipped(question.id, labelers) for question in self.unanswered())

    def _is_skipped(self, id: str, labelers: set[str]) -> bool:
        skipped, before = self._skipped.get(id, set()), self._skipped_before[id]
        if not skipped and not before:
            return False
        return len(labelers - skipped) <= before


def question_of(
    made: SelectionMade, row: int, sample: PoolSample, *, id: str, round: int, pool: int, stale: bool
) -> AskedQuestion:
    """The question about the sample that stands in place `row` of the selection, with the reason why it is asked."""
    score = float(made.selection.scores[row])
    return AskedQuestion(
        id=id,
        key=sample.key,
        features=sample.features,
        round=round,
        strategy=made.strategy,
        score=score if math.isfinite(score) else 0.0,
        rank=row + 1,
        model_version=sample.model_version,
        stale=stale,
        pool=pool,
        asked_at=made.wall,
        probabilities=() if sample.probabilities is None else tuple(float(p) for p in sample.probabilities),
    )
