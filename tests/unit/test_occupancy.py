"""Whether somebody is there: pages that are open, scripts that ask."""

from __future__ import annotations

from active_learner.core.occupancy import GONE_S, PAGE_S, Occupancy

LEASE_S = 30.0


def test_nobody_is_there_before_anything_is_asked_for() -> None:
    place = Occupancy()
    assert not place.is_there(0.0, LEASE_S)
    place.look(0.0, 1)
    assert not place.is_there(0.0, LEASE_S)


def test_a_script_is_there_for_a_lease_after_each_use() -> None:
    place = Occupancy()
    place.use(100.0)
    assert (place.is_there(129.9, LEASE_S), place.is_there(130.0, LEASE_S)) == (True, False)
    place.use(120.0)
    assert place.is_there(149.9, LEASE_S)


def test_a_page_is_there_as_long_as_it_is_open_and_asks_now_and_then() -> None:
    place = Occupancy()
    place.use(100.0)
    place.look(100.0, 1)
    assert place.is_there(100.0 + PAGE_S - 0.1, LEASE_S)
    place.use(200.0)
    assert place.is_there(200.0 + PAGE_S - 0.1, LEASE_S)
    assert not place.is_there(200.0 + PAGE_S, LEASE_S)


def test_who_closes_the_last_page_is_gone_soon_unless_it_comes_back() -> None:
    place = Occupancy()
    place.use(100.0)
    place.look(100.0, 2)
    place.look(101.0, 1)
    assert place.is_there(120.0, LEASE_S)
    place.look(102.0, 0)
    assert (place.is_there(102.0 + GONE_S - 0.1, LEASE_S), place.is_there(102.0 + GONE_S, LEASE_S)) == (True, False)
    place.look(104.0, 1)
    assert place.is_there(110.0, LEASE_S)


def test_who_uses_it_after_its_page_closed_is_there_as_a_script_is() -> None:
    place = Occupancy()
    place.use(100.0)
    place.look(100.0, 1)
    place.look(101.0, 0)
    place.use(103.0)
    assert (place.is_there(132.9, LEASE_S), place.is_there(133.0, LEASE_S)) == (True, False)


def test_a_page_that_closes_does_not_make_a_short_stay_longer() -> None:
    place = Occupancy()
    place.use(100.0)
    place.look(100.0, 1)
    place.look(101.0, 0)
    assert not place.is_there(102.0, 2.0)
