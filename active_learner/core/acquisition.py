"""One acquisition batch: the questions that were asked together, and which are resolved. Knows no annotator, pool or clock."""

from __future__ import annotations

import math
from collections.abc import Iterable

from active_learner.core.asking_events import SelectionMade
from active_learner.core.pool import PoolSample
from active_learner.core.records import AskedQuestion


class AcquisitionBatch:
    """Questions by id; over when each is answered, or passed by everybody who is here."""

    def __init__(self, questions: Iterable[AskedQuestion] = (), asked_at: float = 0.0) -> None:
        self.questions = {question.id: question for question in questions}
        self.asked_at = asked_at
        self._ids = {question.key: question.id for question in self.questions.values()}
        self._answered: set[str] = set()
        self._passed: set[str] = set()

    def __contains__(self, id: str) -> bool:
        return id in self.questions

    def asks(self, key: str) -> bool:
        """A question about the sample with this content key is open."""
        question_id = self._ids.get(key)
        return question_id is not None and question_id not in self._answered

    def answer(self, id: str) -> None:
        """It has all its answers, also when everybody who was here had passed it before."""
        self._answered.add(id)
        self._passed.discard(id)

    def take_back(self, id: str) -> AskedQuestion | None:
        """The question, when it had all its answers and so is open anew."""
        if id not in self._answered:
            return None
        self._answered.discard(id)
        return self.questions[id]

    def give_up(self, id: str) -> None:
        self._passed.add(id)

    def reopen(self, id: str) -> None:
        """After `give_up`."""
        self._passed.discard(id)

    def unanswered(self) -> tuple[AskedQuestion, ...]:
        """In the order of asking."""
        return tuple(question for question in self.questions.values() if question.id not in self._answered)

    @property
    def is_over(self) -> bool:
        return self.questions.keys() <= self._answered | self._passed


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
