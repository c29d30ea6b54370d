"""Krippendorff's alpha against the examples of Krippendorff (2011), and against its definition pair by pair."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core.agreement import Agreement, Difference, agreement, alpha, interval, nominal
from active_learner.core.records import LabelEvent

FOUR_OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
"""Section C of the paper: twelve units, four observers, values 1 to 5, a point where one did not say."""


def units(*observers: str) -> list[list[int]]:
    return [[ord(value) for value in values if value != "."] for values in zip(*observers, strict=True)]


@pytest.mark.parametrize(
    ("observers", "difference", "expected"),
    [
        (("0100000010", "1110010000"), nominal, 0.095),  # section A: two observers, two values
        (("aabbdcccedda", "babbbccceddd"), nominal, 0.692),  # section B: two observers, five values
        (FOUR_OBSERVERS, nominal, 0.743),  # section C: missing values
        (FOUR_OBSERVERS, interval, 0.849),  # section D: the same on a scale
    ],
)
def test_the_published_examples(observers: tuple[str, ...], difference: Difference, expected: float) -> None:
    found = alpha(units(*observers), difference)
    assert found is not None
    assert round(found, 3) == expected


def test_by_hand() -> None:
    """Three samples, 2 observers: 1 1, 0 0, 0 1. Of 6 values 3 are 0: expected 2*3*3/5, observed 2: 1 - 2/3.6."""
    assert alpha([[1, 1], [0, 0], [0, 1]]) == pytest.approx(1 - 2 / 3.6)


@pytest.mark.parametrize("said", [[], [[1]], [[1], [2]], [[1, 1], [1, 1, 1], [2]]])
def test_without_two_values_that_differ_there_is_nothing_to_measure(said: list[list[int]]) -> None:
    assert alpha(said) is None


def test_who_agrees_always_has_one_and_who_never_does_less_than_none() -> None:
    assert alpha([[1, 1], [2, 2, 2]]) == 1.0
    assert (alpha([[1, 2], [2, 1]]) or 0.0) < 0


def slowly(said: list[list[int]], difference: Difference) -> float | None:
    """Mean difference within samples over that of any two values, pair by pair."""
    pairable = [values for values in said if len(values) > 1]
    everything = [value for values in pairable for value in values]
    within = sum(sum(difference(*pair) for pair in permutations(values, 2)) / (len(values) - 1) for values in pairable)
    across = sum(difference(*pair) for pair in permutations(everything, 2))
    n = len(everything)
    return None if not across else 1 - (within / n) / (across / (n * (n - 1)))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=8), st.sampled_from([nominal, interval]))
def test_it_is_one_minus_observed_over_expected_difference(said: list[list[int]], difference: Difference) -> None:
    assert alpha(said, difference) == pytest.approx(slowly(said, difference))


def test_the_words_that_stand_are_compared() -> None:
    def said(number: int, key: str, who: str, action: str, value: int | None) -> tuple[int, LabelEvent]:
        return number, LabelEvent(str(number), f"q{key}", key, who, number, action, value, 1.0)

    history = [
        said(1, "a", "ann", "answer", 3),
        said(2, "a", "bob", "answer", 1),
        said(3, "a", "bob", "revise", 3),
        said(4, "b", "ann", "answer", 0),
        said(5, "b", "cyd", "answer", 0),
        said(6, "c", "ann", "answer", 2),
        said(7, "c", "dan", "cannot_tell", None),
        said(8, "d", "ann", "answer", 2),
        said(9, "d", "eve", "answer", 1),
        said(10, "d", "eve", "undo", None),
    ]
    assert agreement(history) == Agreement(2, 3, 1.0, 1.0)
    assert agreement(history[:1]) is None
