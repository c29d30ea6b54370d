"""What a labeler says of leases, and when."""

from __future__ import annotations

import pytest

from active_learner.core.holding import AHEAD, MOST_HELD, Holding
from protocol.messages import Lease

SECONDS = 30.0


class Labeler:
    """A holding whose labeler has `opened` and has `decided` without receipt; and a clock."""

    def __init__(self, ahead: int = AHEAD) -> None:
        self.holding = Holding("ann", ahead)
        self.opened: list[str] = []
        self.decided: list[str] = []
        self.at = 100.0

    def meets_the_trainer(self) -> list[Lease]:
        self.holding.trainer(True, self.at)
        return self.says()

    def says(self) -> list[Lease]:
        return self.holding.say(self.opened, self.decided, self.at)

    def later(self, seconds: float) -> list[Lease]:
        self.at += seconds
        return self.holding.say_due(self.opened, self.decided, self.at)

    def is_leased(self, *holds: str) -> None:
        self.holding.leased(holds, SECONDS, self.at)

    def waits(self, until: float) -> list[float]:
        """When it speaks by itself, looked at eight times a second: exact numbers."""
        times = []
        start = self.at
        while self.at < start + until:
            if self.later(0.125):
                times.append(self.at - start)
        return times


@pytest.fixture
def labeler() -> Labeler:
    return Labeler()


def lease(wants: int = AHEAD, holds: tuple[str, ...] = (), gives: tuple[str, ...] = ()) -> list[Lease]:
    return [Lease("ann", wants, holds, gives)]


class TestWhenItSpeaks:
    def test_not_before_there_is_a_trainer_and_at_once_then(self, labeler: Labeler) -> None:
        assert (labeler.says(), labeler.waits(20)) == ([], [])
        assert labeler.meets_the_trainer() == lease()

    def test_again_and_more_slowly_until_it_is_answered(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        assert labeler.waits(20) == [0.5, 1.5, 3.5, 7.5, 12.5, 17.5]

    def test_a_third_of_the_lease_after_an_answer(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.is_leased()
        assert labeler.waits(11) == [10.0, 10.5]

    def test_soon_after_a_question_came_and_then_not_again(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.is_leased()
        labeler.opened = ["q"]
        labeler.holding.arrived("q")
        assert labeler.later(0.1) == lease(holds=("q",))
        labeler.is_leased()
        assert labeler.waits(9) == []

    def test_to_a_new_trainer_at_once_and_to_none_not_at_all(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.is_leased()
        labeler.holding.trainer(False, labeler.at)
        assert labeler.waits(60) == []
        labeler.opened = ["q"]
        assert labeler.meets_the_trainer() == lease(holds=("q",))

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
    def test_a_senseless_lease_makes_no_flood(self, labeler: Labeler, seconds: float) -> None:
        labeler.meets_the_trainer()
        labeler.holding.leased((), seconds, labeler.at)
        assert labeler.waits(1) == [0.5, 1.0]


class TestWhatItSays:
    def test_what_is_open_and_what_has_no_receipt_yet_each_once(self, labeler: Labeler) -> None:
        labeler.opened, labeler.decided = ["q", "r"], ["s", "q"]
        (said,) = labeler.meets_the_trainer()
        assert said.holds == ("q", "r", "s")

    @pytest.mark.parametrize(("decided", "wants"), [(0, 3), (1, 3), (2, 4), (10, 12), (5000, MOST_HELD)])
    def test_a_trainer_that_is_behind_with_receipts_keeps_nobody_waiting(self, decided: int, wants: int) -> None:
        labeler = Labeler()
        labeler.decided = [f"q{number}" for number in range(decided)]
        (said,) = labeler.meets_the_trainer()
        assert said.wants == wants
        assert len(said.holds) == min(decided, MOST_HELD)

    def test_what_is_given_back_is_said_until_it_is_heard(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.holding.want(2, ["q"], labeler.at)
        assert labeler.says() == lease(2, gives=("q",))
        assert labeler.later(0.5) == lease(2, gives=("q",))
        labeler.is_leased()
        assert labeler.says() == lease(2)

    def test_what_comes_again_is_not_given_back(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.holding.want(2, ["q", "r"], labeler.at)
        labeler.holding.arrived("q")
        assert labeler.says() == lease(2, gives=("r",))

    def test_while_nobody_hears_only_so_many_are_remembered_as_fit_the_wire(self, labeler: Labeler) -> None:
        for first in range(0, 3 * MOST_HELD, MOST_HELD):
            labeler.holding.want(2, [f"q{number}" for number in range(first, first + MOST_HELD)], labeler.at)
        (said,) = labeler.meets_the_trainer()
        assert said.gives == tuple(f"q{number}" for number in range(2 * MOST_HELD, 3 * MOST_HELD))


class TestNobodyThere:
    def test_all_is_given_back_until_it_is_heard_and_then_nothing_is_said(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.is_leased()
        labeler.holding.want(0, [], labeler.at)
        assert labeler.says() == lease(0)
        assert labeler.later(0.5) == lease(0)
        labeler.is_leased()
        assert (labeler.says(), labeler.waits(60)) == ([], [])

    def test_the_next_trainer_is_told_once_more(self, labeler: Labeler) -> None:
        """What was said before may have come to it in another order."""
        assert labeler.meets_the_trainer() != []
        labeler.holding.want(0, [], labeler.at)
        labeler.is_leased()
        assert labeler.meets_the_trainer() == lease(0)
        labeler.is_leased()
        assert (labeler.says(), labeler.waits(60)) == ([], [])

    def test_what_was_leased_after_all_is_given_back_soon(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.holding.want(0, [], labeler.at)
        labeler.says()
        labeler.is_leased()
        labeler.is_leased("q")  # to a LEASE of before that came last
        assert labeler.later(0.25) == []
        assert labeler.later(0.25) == lease(0)

    def test_what_was_under_way_is_given_back_too(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.holding.want(0, [], labeler.at)
        labeler.says()
        labeler.is_leased("q")
        assert labeler.later(0.5) == lease(0)
        labeler.is_leased()
        labeler.holding.arrived("q")
        assert labeler.later(0.125) == lease(0)

    def test_it_is_said_to_a_trainer_that_could_not_hear_it(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.holding.trainer(False, labeler.at)
        labeler.holding.want(0, [], labeler.at)
        assert labeler.says() == []
        assert labeler.meets_the_trainer() == lease(0)

    def test_who_was_never_there_says_nothing(self) -> None:
        labeler = Labeler(ahead=0)
        assert (labeler.meets_the_trainer(), labeler.waits(60)) == ([], [])
        labeler.holding.want(0, [], labeler.at)
        assert labeler.says() == []

    def test_who_comes_says_so(self) -> None:
        labeler = Labeler(ahead=0)
        labeler.meets_the_trainer()
        labeler.holding.want(5, [], labeler.at)
        assert labeler.says() == lease(5)


class TestHowLong:
    def test_from_when_it_was_said_not_from_when_it_was_answered(self, labeler: Labeler) -> None:
        assert labeler.holding.until is None
        labeler.meets_the_trainer()
        labeler.at += 0.4
        labeler.is_leased()
        assert labeler.holding.until == 100.0 + SECONDS

    def test_of_several_the_first_counts_for_it_may_be_the_one_that_is_answered(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.later(0.5)
        labeler.is_leased()
        assert labeler.holding.until == 100.0 + SECONDS

    def test_what_the_trainer_says_of_itself_renews_nothing(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.is_leased()
        labeler.at += 9.0
        labeler.is_leased()
        assert labeler.holding.until == 100.0 + SECONDS

    def test_who_has_given_all_back_has_no_leases(self, labeler: Labeler) -> None:
        labeler.meets_the_trainer()
        labeler.is_leased()
        labeler.holding.want(0, [], labeler.at)
        labeler.says()
        labeler.is_leased()
        assert labeler.holding.until is None
