"""Turns under random senders: bounded, in order, fair, and nothing gone that was not told."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from active_learner.core.turns import Turns

EACH, TOTAL = 4, 9
SENDERS = "abcde"
Op = str | None
"""A sender that adds a piece, or None: one is taken."""


@given(st.lists(st.one_of(st.sampled_from(SENDERS), st.sampled_from("aaa"), st.none()), max_size=200))
def test_no_sender_has_a_second_turn_while_another_waits_for_its_first(ops: list[Op]) -> None:
    turns = Turns[tuple[str, int]](EACH, TOTAL)
    waiting: list[tuple[str, int]] = []
    passed: dict[str, Counter[str]] = {}
    """Of each who waits: the turns of others since its last one."""
    for number, sender in enumerate(ops):
        if sender is not None:
            added = (sender, number)
            left = turns.add(sender, added)
            waiting.append(added)
            if left is not None:
                waiting.remove(left)
                assert left == added or left[0] != sender
        else:
            taken = turns.take()
            if taken is None:
                assert not waiting
                continue
            assert taken == next(one for one in waiting if one[0] == taken[0]), "the oldest of its sender"
            waiting.remove(taken)
            passed.pop(taken[0], None)
            for counts in passed.values():
                counts[taken[0]] += 1
                assert counts[taken[0]] <= 1
        here = Counter(sender for sender, _ in waiting)
        passed = {one: passed.get(one, Counter()) for one in here}
        assert len(turns) == len(waiting) <= TOTAL
        assert all(count <= EACH for count in here.values())
    assert turns.clear() == len(waiting)
    assert (len(turns), turns.take()) == (0, None)


@given(st.lists(st.sampled_from("abc"), max_size=100), st.integers(1, TOTAL // 4))
def test_who_has_no_more_than_his_share_is_never_left(floods: list[str], few: int) -> None:
    turns = Turns[str](EACH, TOTAL)
    lefts = [turns.add(sender, sender) for sender in floods]
    lefts += [turns.add("quiet", "quiet") for _ in range(few)]
    lefts += [turns.add(sender, sender) for sender in floods]
    assert "quiet" not in lefts
