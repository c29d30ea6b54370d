"""What annotators said of samples: standing votes, and who passed. Knows label events one by one; not who is asked.

As core/voting.py, which looks at all events together: an undo takes back all that its annotator had said to the question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from active_learner.core.records import AskedQuestion, LabelEvent
from active_learner.core.voting import SAYING


@dataclass(frozen=True, slots=True)
class Enough:
    """How many answers an item needs."""

    labels_per_item: int = 1
    adjudicate: bool = False
    """When these disagree, one more person is asked."""

    def needed(self, votes: Collection[int]) -> int:
        disagree = self.adjudicate and len(votes) >= self.labels_per_item and len(set(votes)) > 1
        return self.labels_per_item + disagree


ONE_ANSWER = Enough()


class Words:
    """By sample, annotator and question; the words of an annotator in the order of the last ones."""

    def __init__(self, events: Iterable[LabelEvent] = ()) -> None:
        self._said: dict[str, dict[tuple[str, str], int | str]] = {}
        for event in events:
            self.take(event)

    def take(self, event: LabelEvent) -> None:
        """It is in the store. A skip says nothing of what stands."""
        said = self._said.setdefault(event.key, {})
        place = (event.annotator, event.question)
        if event.action == "undo":
            said.pop(place, None)
        elif event.action in SAYING and event.value is not None:
            said.pop(place, None)
            said[place] = event.value
        elif not isinstance(said.get(place), int):
            said[place] = event.action

    def votes(self, key: str) -> dict[str, int]:
        """Annotator -> the last of its words that stands."""
        said = self._said.get(key, {})
        return {annotator: value for (annotator, _), value in said.items() if isinstance(value, int)}

    def has_had(self, annotator: str, key: str, question: str) -> bool:
        """It has a word on the sample, cannot tell, or skipped this question: it is not asked."""
        said = self._said.get(key, {})
        return any(who == annotator and (word != "skip" or asked == question) for (who, asked), word in said.items())

    def most_had(self, asked: Iterable[AskedQuestion], here: Collection[str]) -> int:
        """Of these questions, as many as the one of `here` has had who has had most."""
        had = Counter(
            name
            for question in asked
            for name in {who for who, _ in self._said.get(question.key, ())}
            if name in here and self.has_had(name, question.key, question.id)
        )
        return max(had.values(), default=0)

    def is_touched(self, key: str, question: str) -> bool:
        """Somebody answered, cannot tell, or skipped this question."""
        return any(word != "skip" or asked == question for (_, asked), word in self._said.get(key, {}).items())

    def is_passed(self, key: str, question: str) -> bool:
        """Somebody skipped this question, or cannot tell."""
        said = self._said.get(key, {})
        return any(word == "cannot_tell" or (word == "skip" and asked == question) for (_, asked), word in said.items())
