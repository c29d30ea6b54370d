"""With one annotator per sample nothing is different from the rule before there were votes: the last standing word."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core.records import LabelEvent
from active_learner.core.voting import SAYING, SILENT, Numbered, standing

actions = st.sampled_from([*SAYING, *SILENT])
words = st.tuples(st.integers(0, 3), st.integers(0, 2), actions, st.integers(0, 4))
"""Sample, question of it (0: nobody was asked), action, value."""


def events(said: Sequence[tuple[int, int, str, int]], who: Sequence[str]) -> list[Numbered]:
    made = []
    for number, ((sample, question, action, value), name) in enumerate(zip(said, who, strict=True), start=1):
        place = f"q{sample}{question}" if question else ""
        made.append((number, LabelEvent(str(number), place, f"k{sample}", name, number, action, value, 1.0)))
    return made


def last_word(said: Sequence[Numbered]) -> list[Numbered]:
    """The rule as it was."""
    kept: dict[str, list[Numbered]] = {}
    for number, event in said:
        if event.action in SAYING:
            kept.setdefault(event.key, []).append((number, event))
        elif event.action == "undo":
            source = (event.question, event.annotator)
            kept[event.key] = [one for one in kept.get(event.key, []) if (one[1].question, one[1].annotator) != source]
    return sorted((one[-1] for one in kept.values() if one), key=operator.itemgetter(0))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(words, max_size=30))
def test_one_annotator_a_sample_is_as_before(said: list[tuple[int, int, str, int]]) -> None:
    history = events(said, [f"annotator of {sample}" for sample, *_ in said])
    assert [(one.number, one.event) for one in standing(history)] == last_word(history)
    assert all((one.votes, one.voters) == (1, 1) for one in standing(history))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(words, st.sampled_from(["ann", "bob", "cyd"])), max_size=30))
def test_the_winner_has_most_votes_and_of_as_many_the_last_word(
    said: list[tuple[tuple[int, int, str, int], str]],
) -> None:
    history = events([word for word, _ in said], [name for _, name in said])
    for one in standing(history):
        votes = [
            last[-1]
            for name in ("ann", "bob", "cyd")
            if (last := last_word([it for it in history if (it[1].annotator, it[1].key) == (name, one.event.key)]))
        ]
        count = {number: [other.value for _, other in votes].count(event.value) for number, event in votes}
        assert one.number == max(number for number in count if count[number] == max(count.values()))
        assert (one.votes, one.voters) == (count[one.number], len(votes))
