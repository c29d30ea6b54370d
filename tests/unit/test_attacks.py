"""Which attacks a seed draws."""

from __future__ import annotations

from collections import Counter

import pytest

from active_learner.crash_points import POINTS
from active_learner.faults.attacks import AT_START, KILL, STOP, STOPPED_S, Attack, drawn

PROGRAMS = ("broker", "trainer", "labeler")
OWN = {"broker": ["broker.a", "broker.b"], "trainer": ["trainer.a", "trainer.b", "trainer.c"]}


def test_a_seed_draws_the_same_attacks_again_and_another_seed_others() -> None:
    assert drawn(7, 40, PROGRAMS, OWN) == drawn(7, 40, PROGRAMS, OWN)
    assert drawn(7, 40, PROGRAMS, OWN) != drawn(8, 40, PROGRAMS, OWN)
    assert len(drawn(7, 40, PROGRAMS, OWN)) == 40


def test_a_turn_begins_at_a_time_and_goes_on_at_points_of_the_same_process() -> None:
    attacks = drawn(3, 60, PROGRAMS, OWN)
    before = Attack("nobody", KILL)
    for attack in attacks:
        if attack.at_point:
            assert attack.program == before.program
            assert attack.how in OWN[attack.program]
        before = attack
    turns = [attack.program for attack in attacks if not attack.at_point]
    assert [set(turns[place : place + 3]) for place in (0, 3, 6)] == [set(PROGRAMS)] * 3


def test_every_point_comes_before_one_comes_again() -> None:
    hows = [attack.how for attack in drawn(3, 80, PROGRAMS, OWN) if attack.program == "trainer" and attack.at_point]
    for place in range(0, len(hows) - 3, 3):
        assert sorted(hows[place : place + 3]) == OWN["trainer"]


def test_a_share_only_stops_the_process() -> None:
    attacks = drawn(3, 200, PROGRAMS, {}, stop_probability=0.5)
    hows = Counter(attack.how for attack in attacks)
    assert hows[STOP] == pytest.approx(100, abs=25)
    assert all(STOPPED_S[0] <= one.stopped_s <= STOPPED_S[1] for one in attacks if one.how == STOP)


def test_a_moment_of_the_start_is_hit_the_first_time() -> None:
    attacks = drawn(3, 100, ("broker",), {"broker": ["broker.bound", "broker.a"]})
    assert {one.hit for one in attacks if one.how == "broker.bound"} == {1}
    assert len({one.hit for one in attacks if one.how == "broker.a"}) > 1


def test_the_moments_of_a_start_are_those_of_real_points() -> None:
    assert {point.partition(".")[2] for point in POINTS} >= AT_START


def test_an_attack_is_told_in_words() -> None:
    assert Attack("broker", KILL).told() == "broker is killed"
    assert Attack("broker", STOP, stopped_s=2.0).told() == "broker is stopped for 2.0 s"
    assert Attack("broker", "broker.a", hit=3).told() == "broker dies at broker.a:3"
