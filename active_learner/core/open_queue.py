"""The open questions of a run that asks all the time, and what the newest model says of their samples. Knows no annotator, no
clock.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from active_learner.core.pool import Pool, PoolSample
from active_learner.core.records import AskedQuestion


class OpenQueue:
    """In the order of asking; one question a sample."""

    def __init__(self, classes: int) -> None:
        self.samples = Pool(sys.maxsize, classes)
        """Of these questions, scored again with those of the pool."""
        self._questions: dict[str, AskedQuestion] = {}
        self._ids: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._questions)

    def __contains__(self, id: str) -> bool:
        return id in self._questions

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._questions)

    def asks(self, key: str) -> bool:
        return key in self._ids

    def questions(self) -> tuple[AskedQuestion, ...]:
        return tuple(self._questions.values())

    def add(self, questions: Iterable[AskedQuestion]) -> tuple[str, ...]:
        """Ids of those that are not taken: their sample is asked already."""
        return tuple(question.id for question in questions if not self._add(question))

    def _add(self, question: AskedQuestion) -> bool:
        if not self.samples.add(question.key, question.features):
            return False
        self._questions[question.id] = question
        self._ids[question.key] = question.id
        if question.probabilities:
            row = np.array(question.probabilities, np.float32)
            self.samples.score(question.key, row, question.model_version)
        return True

    def remove(self, id: str) -> PoolSample | None:
        """Its sample, with the newest scores; None: it is not open."""
        question = self._questions.pop(id, None)
        if question is None:
            return None
        del self._ids[question.key]
        return self.samples.remove([question.key])[0]
