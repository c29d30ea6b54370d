"""Whose word counts when several annotators speak of a sample. Knows label events in their order; no storage."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from active_learner.core.records import LabelEvent

SAYING = ("answer", "revise")
"""Actions that give a value."""
PASSES = ("skip", "cannot_tell")
"""Actions of who has no label to give, and takes none back."""
SILENT = (*PASSES, "undo")

Numbered = tuple[int, LabelEvent]
"""An event with its sequence."""


class Elected(NamedTuple):
    """The event that makes the current label of a sample."""

    number: int
    event: LabelEvent
    votes: int
    """Annotators whose word is this label."""
    voters: int
    """Annotators who have a word."""


def words(events: Iterable[Numbered]) -> dict[str, dict[str, Numbered]]:
    """By sample and annotator: the last that each said of it and did not take back. `events` come by sequence.

    An undo takes back all that its annotator had said of the question before; a skip and a cannot_tell say nothing.
    """
    said: dict[str, list[Numbered]] = {}
    for number, event in events:
        if event.action in SAYING:
            said.setdefault(event.key, []).append((number, event))
        elif event.action == "undo":
            source = (event.question, event.annotator)
            said[event.key] = [one for one in said.get(event.key, []) if (one[1].question, one[1].annotator) != source]
    return {key: {one[1].annotator: one for one in kept} for key, kept in said.items() if kept}


def standing(events: Iterable[Numbered]) -> list[Elected]:
    """The current label of each sample, by sequence: one vote an annotator, most votes win, of as many who spoke last."""
    found = (_elected(votes.values()) for votes in words(events).values())
    return sorted(found, key=operator.itemgetter(0))


def _elected(votes: Iterable[Numbered]) -> Elected:
    cast = list(votes)
    counts = Counter(event.value for _, event in cast)
    number, event = max(cast, key=lambda one: (counts[one[1].value], one[0]))
    return Elected(number, event, counts[event.value], len(cast))
