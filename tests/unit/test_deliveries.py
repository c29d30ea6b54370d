"""When a webhook message is tried, tried again, and given up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core.deliveries import Deliveries, Delivery, Patience

PATIENCE = Patience(first_s=1.0, longest_s=8.0, age_s=100.0)


def deliveries(limit: int = 10, jitter: float = 1.0) -> Deliveries:
    return Deliveries(lambda: jitter, PATIENCE, limit)


def first(queue: Deliveries, at: float) -> Delivery:
    found = queue.next(at)
    assert found is not None
    return found


def test_they_go_in_the_order_in_which_they_came() -> None:
    queue = deliveries()
    for name in ("a", "b"):
        assert queue.add(name, b"", 0.0)
    for name in ("a", "b"):
        assert first(queue, 0.0).id == name
        queue.delivered(first(queue, 0.0))
    assert (queue.next(0.0), queue.due_at(), len(queue)) == (None, None, 0)
    assert queue.counters == {"webhooks.delivered": 2}


def test_a_receiver_that_is_away_lets_all_wait_longer_and_longer() -> None:
    queue, at = deliveries(), 0.0
    queue.add("a", b"", at)
    for wait in (1.0, 2.0, 4.0, 8.0, 8.0):
        queue.failed(at)
        queue.add("b", b"", at)
        assert queue.next(at + wait - 0.01) is None
        assert queue.due_at() == at + wait
        at += wait
        assert first(queue, at).id == "a"
    queue.delivered(first(queue, at))
    assert first(queue, at).id == "b"
    queue.failed(at)
    assert queue.due_at() == at + 1.0


def test_it_rests_as_long_as_the_receiver_says_but_not_for_ever() -> None:
    for asked, wait in ((3.0, 3.0), (1e9, 8.0), (0.1, 1.0)):
        queue = deliveries()
        queue.add("a", b"", 0.0)
        queue.failed(0.0, asked)
        assert queue.due_at() == wait


def test_one_that_is_refused_waits_and_the_others_pass_it() -> None:
    queue = deliveries()
    queue.add("a", b"", 0.0)
    queue.add("b", b"", 0.0)
    queue.refused(first(queue, 0.0), 0.0)
    assert first(queue, 0.0).id == "b"
    queue.delivered(first(queue, 0.0))
    assert (queue.next(0.9), queue.due_at()) == (None, 1.0)
    queue.refused(first(queue, 1.0), 1.0)
    assert queue.due_at() == 3.0


def test_one_that_is_too_old_is_given_up_and_counted() -> None:
    queue = deliveries()
    queue.add("a", b"", 0.0)
    queue.add("b", b"", 50.0)
    assert first(queue, 100.0).id == "a"
    assert first(queue, 100.1).id == "b"
    assert queue.counters == {"webhooks.expired": 1}


def test_more_than_the_limit_are_dropped_and_counted() -> None:
    queue = deliveries(limit=2)
    assert [queue.add(name, b"", 0.0) for name in "abc"] == [True, True, False]
    assert (len(queue), queue.counters) == (2, {"webhooks.dropped": 1})


def test_waits_are_jittered() -> None:
    queue = deliveries(jitter=0.8)
    queue.add("a", b"", 0.0)
    queue.failed(0.0)
    assert queue.due_at() == 0.8


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(["add", "ok", "fail", "refuse", "later"]), max_size=60))
def test_every_message_is_delivered_given_up_dropped_or_waits(steps: list[str]) -> None:
    queue, at, added = deliveries(limit=5), 0.0, 0
    for step in steps:
        if step == "add":
            queue.add(str(added), b"", at)
            added += 1
        elif step == "later":
            at += 30.0
        elif (one := queue.next(at)) is not None:
            if step == "ok":
                queue.delivered(one)
            elif step == "fail":
                queue.failed(at)
            else:
                queue.refused(one, at)
        due = queue.due_at()
        assert due is None or due <= at + PATIENCE.longest_s
        ended = sum(queue.counters[f"webhooks.{how}"] for how in ("delivered", "expired", "dropped"))
        assert ended + len(queue) == added


def test_the_last_try_comes_within_hours() -> None:
    patience = Patience()
    assert [patience.wait(number) for number in (1, 2, 10, 11, 10_000)] == [1.0, 2.0, 512.0, 600.0, 600.0]
    assert patience.age_s == 6 * 3600
