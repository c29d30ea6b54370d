"""Who gets which open question: leases, claims, passes, undone words, disagreement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from active_learner.core import asking_events as a
from active_learner.core import leasing
from active_learner.core.leasing import CLAIM_S, Leasing
from active_learner.core.leasing_events import (
    ALL_TAKEN,
    CLAIMING,
    NO_SEAT,
    NOTHING_OPEN,
    LeaseAsked,
    PeerLeft,
    QuestionsClosed,
    QuestionsOpened,
    SayLeased,
    SayQuestion,
    TakeBackWanted,
)
from active_learner.core.records import AskedQuestion, LabelEvent
from active_learner.core.seats import MOST_HELD
from active_learner.core.words import Enough
from protocol.codec import encode
from protocol.messages import Leased

LEASE_S = 60.0


def question(number: int) -> AskedQuestion:
    return AskedQuestion(f"q{number}", f"k{number}", np.zeros(1), 1, "margin", 0.5, number, 0, False, 9, 1000.0)


Q = [question(number) for number in range(1, 6)]


def word(asked: AskedQuestion, who: str, action: str = "answer", value: int | None = 1) -> LabelEvent:
    said = value if action in ("answer", "revise") else None
    return LabelEvent(f"{asked.id}{who}{action}", asked.id, asked.key, who, 0, action, said, 5.0)


class Room:
    """The machine, and a clock that the test moves."""

    def __init__(self, enough: Enough = Enough(), **options: Any) -> None:  # noqa: B008
        self.machine = Leasing(enough, LEASE_S, **options)
        self.at = 0.0

    def tell(self, event: Any) -> list[Any]:
        return list(self.machine.handle(event))

    def opens(self, *questions: AskedQuestion) -> list[Any]:
        return self.tell(QuestionsOpened(questions, self.at))

    def lease(
        self, who: str, wants: int = 3, holds: tuple[str, ...] = (), gives: tuple[str, ...] = (), session: int = 1
    ) -> list[Any]:
        return self.tell(LeaseAsked(who, f"peer-{who}", session, wants, holds, gives, self.at))

    def holds(self, who: str) -> tuple[str, ...]:
        return tuple(item.question.id for item in self.machine._items.held_by(who))

    def says(self, asked: AskedQuestion, who: str, action: str = "answer", value: int = 1) -> list[Any]:
        return self.tell(a.AnswerStored(word(asked, who, action, value), "stored", True, None, self.at))

    def passes_time(self, seconds: float) -> list[Any]:
        self.at += seconds
        return self.tell(a.Tick(self.at))


def told(commands: list[Any], *kinds: type[Any]) -> list[Any]:
    return [command for command in commands if isinstance(command, kinds)]


def asked(commands: list[Any]) -> list[tuple[str, str]]:
    return [(one.annotator, one.question.id) for one in told(commands, SayQuestion)]


def test_questions_go_out_in_the_order_of_their_opening_as_many_as_are_wanted() -> None:
    room = Room()
    room.opens(*Q)
    said = room.lease("ann", 2)
    assert asked(said) == [("ann", "q1"), ("ann", "q2")]
    assert said[-1] == SayLeased("ann", "peer-ann", ("q1", "q2"), 3, "")
    assert (room.machine.open, room.machine.held, room.machine.waiting) == (5, 2, 3)


def test_what_is_opened_goes_in_turn_to_those_who_wait() -> None:
    room = Room()
    assert room.lease("ann")[-1] == SayLeased("ann", "peer-ann", (), 0, NOTHING_OPEN)
    room.lease("bob")
    assert asked(room.opens(*Q[:3])) == [("ann", "q1"), ("bob", "q2"), ("ann", "q3")]
    assert room.opens(Q[0]) == []


def test_nobody_gets_what_another_holds_and_an_answer_makes_room() -> None:
    room = Room()
    room.opens(*Q[:2])
    room.lease("ann", 1)
    said = room.lease("bob", 5)
    assert (asked(said), said[-1].why) == ([("bob", "q2")], ALL_TAKEN)
    assert room.says(Q[0], "ann") == [a.CloseQuestions(("q1",), "answered"), a.QuestionResolved("q1", 0.0)]
    assert asked(room.opens(Q[2])) == [("ann", "q3")]


def test_an_answer_without_a_lease_counts_and_closes_it_for_who_has_it() -> None:
    room = Room()
    room.opens(Q[0])
    room.lease("ann")
    assert told(room.says(Q[0], "stranger"), a.CloseQuestions) == [a.CloseQuestions(("q1",), "answered")]
    assert room.says(Q[0], "ann", "revise") == [a.CloseQuestions(("q1",), "answered")]
    late = word(question(9), "ann")
    assert room.tell(a.AnswerStored(late, "conflict", False, None, 0.0)) == []


def test_a_lease_that_is_not_renewed_ends_and_goes_to_another() -> None:
    room = Room()
    room.opens(Q[0])
    room.lease("ann")
    room.at = 40.0
    room.lease("ann", holds=("q1",))
    room.lease("bob")
    room.passes_time(40.0)
    assert (room.holds("ann"), room.holds("bob")) == (("q1",), ())
    room.lease("bob")
    assert asked(room.passes_time(20.0)) == [("bob", "q1")]
    assert room.lease("ann", holds=("q1",))[-1].holds == ()


def test_what_is_never_seen_is_said_again_and_given_up_alone() -> None:
    room = Room()
    room.opens(*Q[:2])
    room.lease("ann")
    times = []
    for tenth in range(1, 80):
        if asked(room.tell(a.Tick(tenth / 10))):
            times.append(tenth)
    assert times == [5, 15, 35, 75]
    room.at = 30.0
    room.lease("ann", 2, holds=("q1",))
    room.lease("bob", 1)
    room.at = 59.0
    room.lease("ann", 1, holds=("q1",))
    assert asked(room.passes_time(1.5)) == [("bob", "q2")]


def test_what_is_not_named_any_more_is_said_again_until_it_is() -> None:
    """A LEASED of before came late and took it from the screen, or an answer to it was refused."""
    room = Room()
    room.opens(*Q[:2])
    room.lease("ann")
    room.lease("ann", holds=("q1", "q2"))
    assert asked(room.passes_time(2.0)) == []
    assert asked(room.lease("ann", holds=("q1",))) == []
    assert asked(room.passes_time(0.4)) == []
    assert asked(room.passes_time(0.1)) == [("ann", "q2")]
    room.lease("ann", holds=("q1",))
    assert asked(room.passes_time(0.9)) == [], "as seldom as before"
    assert asked(room.passes_time(0.1)) == [("ann", "q2")]
    room.lease("ann", holds=("q1", "q2"))
    assert asked(room.passes_time(9.0)) == []


def test_what_is_given_back_goes_to_another_at_once() -> None:
    room = Room()
    room.opens(*Q[:2])
    room.lease("ann")
    room.lease("bob", 1)
    assert asked(room.lease("ann", 1, holds=("q1",), gives=("q2",))) == [("bob", "q2")]
    room.lease("bob", 2, holds=("q2",))
    said = room.lease("ann", 0)
    assert asked(said) == [("bob", "q1")]
    assert said[-1] == SayLeased("ann", "peer-ann", (), 0, "")


def test_another_process_of_the_annotator_is_told_all_again() -> None:
    room = Room()
    room.opens(*Q[:2])
    room.lease("ann")
    room.lease("ann", holds=("q1", "q2"))
    assert asked(room.passes_time(9.0)) == []
    assert asked(room.lease("ann", session=2)) == [("ann", "q1"), ("ann", "q2")]


def test_after_a_restart_questions_go_to_who_has_them_still() -> None:
    room = Room(open_questions=Q[:3])
    room.at = 30.0  # nobody could be heard until then
    assert room.lease("bob")[-1] == SayLeased("bob", "peer-bob", (), 3, CLAIMING)
    assert room.tell(a.Tick(room.at)) == []
    assert room.tell(TakeBackWanted(("q1",), 30.0)) == [a.TakenBack((), 30.0)]
    assert room.lease("ann", holds=("q2", "gone"))[-1].holds == ("q2",)
    assert asked(room.passes_time(CLAIM_S / 2)) == []
    assert sorted(asked(room.passes_time(CLAIM_S))) == [("bob", "q1"), ("bob", "q3")]


def test_what_an_earlier_trainer_was_told_counts() -> None:
    room = Room(Enough(2), open_questions=Q[:2], said=[word(Q[0], "ann"), word(Q[1], "ann", "skip")])
    room.passes_time(0.0)
    room.lease("ann")
    room.passes_time(CLAIM_S)
    assert room.holds("ann") == ()
    assert told(room.lease("bob"), SayLeased)[0].holds == ("q1", "q2")


@pytest.mark.parametrize("action", ["skip", "cannot_tell"])
def test_what_everybody_passed_is_told_and_opened_again_for_who_comes(action: str) -> None:
    room = Room()
    room.opens(Q[0])
    room.lease("ann")
    room.lease("bob")
    assert asked(room.says(Q[0], "ann", action)) == [("bob", "q1")]
    assert room.says(Q[0], "bob", action) == [a.QuestionPassed("q1", 0.0)]
    said = room.lease("eve")
    assert (asked(said), told(said, a.QuestionReopened)) == ([("eve", "q1")], [a.QuestionReopened("q1", 0.0)])
    assert told(room.lease("eve", 0), a.QuestionPassed) == [a.QuestionPassed("q1", 0.0)]


def test_only_who_cannot_tell_is_not_asked_of_the_sample_again() -> None:
    room = Room()
    room.lease("ann")
    for action, there in (("skip", ("n1",)), ("cannot_tell", ())):
        room.opens(Q[0])
        room.says(Q[0], "ann", action)
        room.tell(QuestionsClosed(("q1",), "skipped", 0.0))
        again = AskedQuestion("n1", "k1", np.zeros(1), 2, "margin", 0.5, 1, 0, False, 9, 1000.0)
        room.opens(again)
        assert room.holds("ann") == there
        room.tell(QuestionsClosed(("n1",), "skipped", 0.0))


def test_who_left_is_not_waited_for_but_keeps_its_lease() -> None:
    room = Room()
    room.opens(Q[0])
    room.lease("ann")
    room.lease("bob")
    room.says(Q[0], "ann", "skip")
    assert room.tell(PeerLeft("peer-bob", 0.0)) == []
    assert room.holds("bob") == ("q1",)
    assert room.passes_time(LEASE_S / 2) == []
    room.lease("ann")
    assert room.passes_time(LEASE_S / 2) == [a.QuestionPassed("q1", LEASE_S)]


def test_what_was_taken_back_is_its_annotators_first() -> None:
    room = Room()
    room.opens(Q[0])
    room.lease("ann", 1)
    room.says(Q[0], "ann")
    room.says(Q[0], "ann", "undo")
    room.lease("bob", 5)
    assert asked(room.opens(Q[0], Q[1])) == [("ann", "q1"), ("bob", "q2")]


def test_a_pass_that_is_taken_back_is_held_again() -> None:
    room = Room()
    room.opens(Q[0])
    room.lease("ann")
    room.says(Q[0], "ann", "skip")
    assert told(room.says(Q[0], "ann", "undo"), a.QuestionReopened) == [a.QuestionReopened("q1", 0.0)]
    assert room.holds("ann") == ("q1",)


def test_two_answers_are_of_two_annotators() -> None:
    room = Room(Enough(2))
    room.opens(Q[0])
    for who in ("ann", "bob", "eve"):
        room.lease(who)
    assert (room.holds("ann"), room.holds("bob"), room.holds("eve")) == (("q1",), ("q1",), ())
    assert room.says(Q[0], "ann") == []
    assert room.lease("ann")[-1].holds == ()
    assert told(room.says(Q[0], "bob", value=2), a.QuestionResolved) == [a.QuestionResolved("q1", 0.0)]


def test_who_disagree_are_judged_by_one_more_if_there_is_one() -> None:
    room = Room(Enough(2, adjudicate=True))
    room.opens(*Q[:2])
    room.lease("ann")
    room.lease("bob")
    room.says(Q[0], "ann", value=1)
    assert told(room.says(Q[0], "bob", value=2), a.QuestionPassed) == [a.QuestionPassed("q1", 0.0)]
    room.says(Q[1], "ann", value=1)
    assert told(room.says(Q[1], "bob", value=1), a.QuestionResolved) == [a.QuestionResolved("q2", 0.0)]
    assert asked(room.lease("eve")) == [("eve", "q1")]
    assert told(room.says(Q[0], "eve", value=3), a.QuestionResolved) == [a.QuestionResolved("q1", 0.0)]


def test_only_what_nobody_holds_or_answered_is_taken_back() -> None:
    room = Room(Enough(2))
    room.opens(*Q[:3])
    room.lease("ann", 1)
    room.says(Q[1], "stranger")
    closed, taken = room.tell(TakeBackWanted(("q1", "q2", "q3", "q4"), 0.0))
    assert (closed, taken) == (a.CloseQuestions(("q3",), "re-ranked"), a.TakenBack(("q3",), 0.0))


def test_made_up_annotators_get_nothing_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "MOST_SEATS", 1)
    room = Room()
    room.opens(*Q)
    room.lease("ann")
    assert room.lease("bob") == [SayLeased("bob", "peer-bob", (), 2, NO_SEAT)]


def test_one_key_does_not_take_the_seats_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "SEATS_EACH", 2)
    room = Room()

    def why(who: str, peer: str) -> str:
        return str(room.tell(LeaseAsked(who, peer, 1, 3, (), (), 0.0))[-1].why)

    assert [why(who, peer) for who, peer in (("a", "mal"), ("b", "mal.1"), ("c", "mal.2"))] == [
        NOTHING_OPEN,
        NOTHING_OPEN,
        NO_SEAT,
    ]
    assert why("ann", "ann") == NOTHING_OPEN
    assert why("ann", "mal.3") == NO_SEAT
    assert why("a", "mal.3") == NOTHING_OPEN


def test_who_claims_more_and_more_is_told_no_more_than_fits_a_message() -> None:
    many = [question(number) for number in range(1, 2 * MOST_HELD + 1)]
    ids = [one.id for one in many]
    room = Room(open_questions=many)
    room.lease("ann", holds=tuple(ids[:MOST_HELD]))
    (said,) = told(room.lease("ann", holds=tuple(ids[MOST_HELD:])), SayLeased)
    assert said.holds == tuple(ids[:MOST_HELD])
    encode(Leased("ann", said.holds, LEASE_S, said.waiting, said.why), room="@ann", session=1, sequence=1)


def test_who_wants_less_than_nothing_wants_nothing() -> None:
    room = Room()
    room.opens(Q[0])
    assert room.lease("ann", -7) == [SayLeased("ann", "peer-ann", (), 1, "")]


@pytest.mark.parametrize("answered", [0, 1])
@pytest.mark.parametrize("is_closed", [False, True])
def test_of_twins_that_a_trainer_left_each_is_resolved_by_the_answer(answered: int, is_closed: bool) -> None:
    """It died while it chose anew: two questions about one sample are open. The younger one is closed at the first tick."""
    twins = (Q[0], replace(Q[1], key=Q[0].key))
    room = Room(open_questions=twins)
    room.lease("ann", holds=(twins[answered].id,))
    room.lease("bob")
    if is_closed:
        room.tell(QuestionsClosed((twins[1].id,), "re-ranked", 0.0))
    told_so = told(room.says(twins[answered], "ann"), a.QuestionResolved)
    assert {one.id for one in told_so} == {"q1"} | (set() if is_closed else {"q2"})
    assert room.machine.open == 0


def test_what_is_opened_when_its_sample_has_its_answers_already_is_resolved_at_once() -> None:
    room = Room()
    room.lease("ann")
    room.says(question(7), "bob")
    again = AskedQuestion("n7", "k7", np.zeros(1), 2, "margin", 0.5, 1, 0, False, 9, 1000.0)
    assert room.opens(again) == [a.CloseQuestions(("n7",), "answered"), a.QuestionResolved("n7", 0.0)]
    assert room.machine.open == 0


def test_how_many_of_the_open_ones_somebody_has_had_is_known() -> None:
    room = Room(Enough(2))
    room.opens(*Q)
    room.lease("ann", 5)
    room.lease("bob", 5)
    assert room.machine.had == 0
    room.says(Q[0], "ann")
    room.says(Q[1], "ann", "skip")
    room.says(Q[2], "bob")
    assert room.machine.had == 2
    room.says(Q[0], "bob")
    assert room.machine.had == 1
    room.says(Q[3], "nobody here")
    assert room.machine.had == 1
    room.lease("ann", 0)
    assert room.machine.had == 1
    room.lease("bob", 0)
    assert room.machine.had == 0
