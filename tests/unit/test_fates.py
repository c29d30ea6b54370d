"""What a bad link does to messages: shares, order, times, and that a seed draws the same again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from active_learner.errors import ConfigError
from active_learner.faults.fates import OVERTAKING_S, Fates
from active_learner.faults.rules import LONGEST_DELAY_S, MOST_REORDER, FaultRules, parsed

MANY = 2000


def run(rules: FaultRules, name: str = "anna/out", spacing_s: float = 0.001) -> list[int]:
    """What comes out of so many messages, offered one after the other, in the order in which it comes."""
    fates: Fates[int] = Fates(rules, name)
    came = []
    for number in range(MANY):
        fates.offer(number, number * spacing_s)
        came += fates.due(number * spacing_s)
    while (at := fates.next_at()) is not None:
        came += fates.due(at)
    return came


def test_without_rules_everything_comes_at_once_in_order() -> None:
    fates: Fates[str] = Fates(FaultRules(), "anna/out")
    fates.offer("a", 1.0)
    fates.offer("b", 1.0)
    assert fates.due(1.0) == ["a", "b"]
    assert fates.due(9.0) == []
    assert fates.next_at() is None


def test_a_share_is_lost_and_a_share_comes_twice() -> None:
    lossy, doubling = run(FaultRules(drop=0.2)), run(FaultRules(duplicate=0.2))
    assert len(lossy) == len(set(lossy)) == pytest.approx(0.8 * MANY, rel=0.05)
    assert set(doubling) == set(range(MANY))
    assert len(doubling) == pytest.approx(1.2 * MANY, rel=0.05)


def test_none_is_overtaken_by_more_than_the_window() -> None:
    came = run(FaultRules(reorder=4), spacing_s=0.002)
    assert sorted(came) == list(range(MANY))
    assert came != sorted(came)
    overtakers = [sum(later > number for later in came[:place]) for place, number in enumerate(came)]
    assert 2 <= max(overtakers) <= 4


def test_delay_alone_keeps_the_order_and_its_bound() -> None:
    fates: Fates[int] = Fates(FaultRules(delay_s=0.5), "anna/out")
    for number in range(100):
        fates.offer(number, 1.0)
    assert fates.due(1.0) == []
    assert fates.due(1.5) == list(range(100))


def test_what_may_be_overtaken_is_not_held_for_long() -> None:
    fates: Fates[int] = Fates(FaultRules(reorder=16), "anna/out")
    fates.offer(1, 1.0)
    assert fates.due(1.0 + OVERTAKING_S) == [1]


def test_a_seed_draws_the_same_again_and_each_direction_for_itself() -> None:
    rules = FaultRules(seed=7, drop=0.2, duplicate=0.2, reorder=16)
    assert run(rules) == run(rules)
    assert run(rules) != run(rules, "anna/in")
    assert run(rules) != run(FaultRules(seed=8, drop=0.2, duplicate=0.2, reorder=16))


def test_the_text_of_the_environment_is_read_and_told() -> None:
    rules = parsed("seed=7, drop=0.2,duplicate=0.1,reorder=16,delay_s=0.05")
    assert rules == FaultRules(7, 0.2, 0.1, 16, 0.05)
    assert rules.is_any
    assert not parsed("").is_any
    assert not parsed("seed=3").is_any


@given(
    st.builds(
        FaultRules,
        seed=st.integers(0, 2**63),
        drop=st.floats(0, 1),
        duplicate=st.floats(0, 1),
        reorder=st.integers(0, MOST_REORDER),
        delay_s=st.floats(0, LONGEST_DELAY_S),
    )
)
def test_rules_are_told_as_they_are_read(rules: FaultRules) -> None:
    assert parsed(rules.told()) == rules


@pytest.mark.parametrize(
    "text",
    ["drop", "drop=", "drop=x", "drop=1.5", "drop=-1", "drop=nan", "lose=0.1", "drop=0.1,drop=0.1", "reorder=1.5"],
)
def test_a_text_that_is_not_understood_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match=r"drop=0\.\.1, duplicate"):
        parsed(text)
