"""The answering machine as a ledger: events in, the whole list of commands out."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature

import numpy as np
import pytest

from active_learner.core.answering import MAX_UNSENT, NOT_LEASED, Answering
from active_learner.core.answering_events import (
    Ask,
    Drained,
    Forget,
    Full,
    Keep,
    Kept,
    LeasedArrived,
    Left,
    NothingThere,
    NotKept,
    QuestionArrived,
    QuestionGone,
    ReceiptArrived,
    Replied,
    Rest,
    SayLease,
    Send,
    Tell,
    Tick,
    TrainerGone,
    TrainerSeen,
    Unkept,
    Wanted,
    Withdraw,
)
from active_learner.core.decisions import FEATURE_BYTES, HISTORY, REMEMBERED
from active_learner.core.holding import AHEAD
from active_learner.core.machine import Machine
from active_learner.core.open_questions import MAX_OPEN
from active_learner.core.resends import LONGEST_S
from protocol.limits import CIRCUMSTANCES_BYTES
from protocol.messages import Action, Answer, AnswerReceipt, Lease, Leased, Question


def question(id: str, rank: int = 1, round: int = 1) -> Question:
    return Question(
        id=id, key=id, features=np.zeros(2), media="table", classes=6, round=round, strategy="margin",
        score=0.5, rank=rank, model_version=3, stale=False, pool=200,
    )  # fmt: skip


def large(id: str, rank: int) -> Question:
    """Of which less than ten have the size that is kept."""
    return replace(question(id, rank), features=np.zeros(FEATURE_BYTES // 8, np.uint8))


def receipt(answer: Answer, status: str = "stored") -> AnswerReceipt:
    return AnswerReceipt(answer.id, answer.question, status, "")


class Desk:
    """A machine with a clock that the test moves and ids that count."""

    def __init__(self, **options: object) -> None:
        self.machine = Answering("ann", resend_s=1.0, **options)  # type: ignore[arg-type]
        self.at, self.ids, self.turn = 0.0, 0, 0

    def tell(self, event: object) -> list[object]:
        commands = self.machine.handle(event)  # type: ignore[arg-type]
        for command in commands:
            if isinstance(command, Ask | Rest):
                self.turn = command.turn
        return list(commands)

    def told(self, event: object) -> list[object]:
        """As `tell`, where leases do not matter."""
        return [command for command in self.tell(event) if not isinstance(command, SayLease)]

    def asked(self, *questions: Question) -> list[object]:
        return [command for one in questions for command in self.tell(QuestionArrived(one))]

    def reply(
        self, id: str, action: Action = Action.ANSWER, value: int | None = 3, turn: int | None = None
    ) -> list[object]:
        self.ids += 1
        turn = self.turn if turn is None else turn
        return self.tell(Replied(id, action, value, f"a{self.ids}", 1e9, self.at, turn))

    def answered(self, id: str, value: int = 3) -> Answer:
        sent = next(c for c in self.reply(id, value=value) if isinstance(c, Send))
        return sent.answer

    def kept(self, commands: list[object]) -> Answer:
        """The disk takes what was to be kept; what is sent then."""
        (keep,) = [command for command in commands if isinstance(command, Keep)]
        (sent,) = self.tell(Kept(keep.answer.id, self.at))
        assert isinstance(sent, Send)
        return sent.answer

    def received(self, answer: Answer, status: str = "stored") -> list[object]:
        return self.tell(ReceiptArrived(receipt(answer, status), self.at))


@pytest.fixture
def desk() -> Desk:
    return Desk()


Q, R, S = question("q"), question("r", rank=2), question("s", rank=3)


def answer(id: str, question: str, revision: int, action: Action, value: int | None) -> Answer:
    return Answer(id, question, "ann", revision, action, value, 1e9)


class TestAsking:
    def test_the_first_question_is_asked_at_once(self, desk: Desk) -> None:
        assert desk.asked(Q) == [Ask(Q, 0, 1)]

    def test_one_question_at_a_time_by_rank(self, desk: Desk) -> None:
        assert desk.asked(S, R, Q) == [Ask(S, 0, 1)]
        assert desk.reply("s") == [Send(answer("a1", "s", 0, Action.ANSWER, 3)), Ask(Q, 1, 2)]
        assert desk.reply("q")[1:] == [Ask(R, 0, 3)]
        assert desk.reply("r")[1:] == [Rest(4)]

    def test_how_an_answer_came_about_is_said_with_it_unless_it_is_too_long(self, desk: Desk) -> None:
        desk.asked(Q, R)
        for name, told, said in (("q", '{"plays":2}', '{"plays":2}'), ("r", "x" * (CIRCUMSTANCES_BYTES + 1), "")):
            sent = desk.tell(Replied(name, Action.CANNOT_TELL, None, f"c{name}", 1e9, 0.0, 0, told))[0]
            assert sent == Send(Answer(f"c{name}", name, "ann", 0, Action.CANNOT_TELL, None, 1e9, said))

    def test_earlier_rounds_come_first_then_arrival(self, desk: Desk) -> None:
        late, early, same = question("late", 1, round=2), question("early", 9, round=1), question("same", 9, round=1)
        desk.asked(Q, late, early, same)
        order = []
        for _ in range(3):
            (asked,) = [c for c in desk.reply(order[-1] if order else "q") if isinstance(c, Ask)]
            order.append(asked.question.id)
        assert order == ["early", "same", "late"]

    def test_a_repeated_question_is_harmless(self, desk: Desk) -> None:
        desk.asked(Q)
        assert desk.asked(Q) == []
        sent = desk.answered("q")
        assert desk.asked(Q) == []
        desk.received(sent)
        assert desk.asked(Q) == []

    def test_a_question_with_a_better_rank_does_not_replace_the_one_on_the_screen(self, desk: Desk) -> None:
        desk.asked(R, Q)
        assert desk.reply("nothing", Action.UNDO) == [NothingThere("nothing"), Ask(R, 1, 2)]

    def test_more_open_questions_than_allowed_are_left_to_be_sent_again(self, desk: Desk) -> None:
        desk.asked(*(question(f"q{i}") for i in range(MAX_OPEN)))
        assert desk.asked(Q) == []
        assert desk.machine.waiting == MAX_OPEN
        desk.answered("q0")
        desk.asked(Q)
        assert desk.machine.waiting == MAX_OPEN


class TestClosing:
    def test_the_question_on_the_screen_is_withdrawn(self, desk: Desk) -> None:
        desk.asked(Q, R)
        assert desk.tell(QuestionGone("q", "answered")) == [Withdraw("q", "answered"), Ask(R, 0, 2)]
        assert desk.tell(QuestionGone("r", "timed_out")) == [Withdraw("r", "timed_out"), Rest(3)]

    def test_a_waiting_question_is_never_asked(self, desk: Desk) -> None:
        desk.asked(Q, R)
        assert desk.tell(QuestionGone("r", "answered")) == []
        assert desk.reply("q")[1:] == [Rest(2)]

    def test_a_question_never_heard_of_is_ignored(self, desk: Desk) -> None:
        assert desk.tell(QuestionGone("x", "answered")) == []

    def test_a_reply_that_crossed_the_withdrawal_is_still_sent(self, desk: Desk) -> None:
        desk.asked(Q, R)
        desk.tell(QuestionGone("q", "timed_out"))
        assert desk.reply("q", turn=1) == [Send(answer("a1", "q", 0, Action.ANSWER, 3))]

    def test_a_closed_question_that_is_asked_again_is_asked_again(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.tell(QuestionGone("q", "timed_out"))
        assert desk.asked(Q) == [Ask(Q, 0, 3)]

    def test_a_skipped_question_comes_back_only_after_it_was_closed(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.reply("q", Action.SKIP, None)
        assert desk.asked(Q) == []
        desk.tell(QuestionGone("q", "skipped"))
        assert desk.asked(Q) == [Ask(Q, 0, 3)]

    def test_a_skip_of_an_undone_question_that_was_closed_meanwhile_lets_it_come_back(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.reply("q")
        desk.tell(QuestionGone("q", "answered"))
        desk.reply("q", Action.UNDO, None)
        desk.reply("q", Action.SKIP, None)
        assert desk.asked(Q) == [Ask(Q, 0, desk.turn)]

    def test_a_decided_question_that_was_asked_again_and_closed_comes_back_when_its_undone_decision_is_skipped(
        self, desk: Desk
    ) -> None:
        desk.asked(Q)
        desk.received(desk.answered("q"), "conflict")
        assert desk.asked(Q) == [Ask(Q, 0, desk.turn)]
        desk.tell(QuestionGone("q", "answered"))
        desk.reply("q", Action.UNDO, None)
        desk.reply("q", Action.SKIP, None)
        assert desk.asked(Q) == [Ask(Q, 0, desk.turn)]


class TestUndoAndRevise:
    def test_undo_is_an_event_and_the_question_is_asked_again_before_the_present_one(self, desk: Desk) -> None:
        desk.asked(Q, R)
        desk.received(desk.answered("q"))
        assert desk.reply("q", Action.UNDO, None) == [Send(answer("a2", "q", 1, Action.UNDO, None)), Ask(Q, 1, 3)]

    def test_the_new_answer_has_the_next_revision_and_then_the_present_question_comes(self, desk: Desk) -> None:
        desk.asked(Q, R)
        desk.received(desk.answered("q"))
        desk.received(desk.reply("q", Action.UNDO, None)[0].answer)  # type: ignore[attr-defined]
        assert desk.reply("q", value=5) == [Send(answer("a3", "q", 2, Action.ANSWER, 5)), Ask(R, 0, 4)]

    def test_undo_waits_for_the_receipt_of_what_it_takes_back(self, desk: Desk) -> None:
        desk.asked(Q)
        first = desk.answered("q")
        assert desk.reply("q", Action.UNDO, None) == [Ask(Q, 0, 3)]
        undo = answer("a2", "q", 1, Action.UNDO, None)
        assert desk.received(first) == [Tell(receipt(first)), Send(undo)]

    def test_closing_does_not_take_an_undone_question_away(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.reply("q")
        desk.reply("q", Action.UNDO, None)
        assert desk.tell(QuestionGone("q", "answered")) == []
        assert desk.machine.waiting == 1

    def test_a_skip_can_be_undone(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.reply("q", Action.SKIP, None)
        assert desk.reply("q", Action.UNDO, None)[-1] == Ask(Q, 0, 3)

    def test_the_same_thing_cannot_be_undone_twice(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.reply("q")
        desk.reply("q", Action.UNDO, None)
        assert desk.reply("q", Action.UNDO, None) == [NothingThere("q"), Ask(Q, 0, 4)]

    def test_revise_is_an_event_and_asks_nothing_again(self, desk: Desk) -> None:
        desk.asked(Q, R)
        desk.received(desk.answered("q"))
        sent = Send(answer("a2", "q", 1, Action.REVISE, 4))
        assert desk.reply("q", Action.REVISE, 4, turn=0) == [sent]

    def test_of_large_samples_the_last_ten_are_asked_again_at_once_and_earlier_ones_when_the_trainer_says_so(
        self, desk: Desk
    ) -> None:
        many = [large(f"q{i}", i) for i in range(HISTORY + 2)]
        desk.asked(*many)
        for one in many:
            desk.reply(one.id)
        history = desk.machine.history()
        assert [d.answer.question for d in history] == [one.id for one in many]
        assert [d.question is None for d in history] == [True, True] + HISTORY * [False]
        rest = Rest(desk.turn + 1)
        assert desk.reply("q0", Action.UNDO, None) == [rest], "its undo waits for the receipt of the answer"
        assert desk.asked(many[0])[-1] == Ask(many[0], 0, desk.turn)
        assert desk.reply("q11", Action.UNDO, None)[-1] == Ask(many[11], 1, desk.turn)

    def test_an_earlier_decision_is_revised_without_its_features(self, desk: Desk) -> None:
        many = [large(f"q{i}", i) for i in range(HISTORY + 1)]
        desk.asked(*many)
        for one in many:
            desk.received(desk.answered(one.id))
        assert desk.reply("q0", Action.REVISE, 5)[0] == Send(answer("a12", "q0", 1, Action.REVISE, 5))
        assert desk.asked(many[0]) == []

    def test_of_small_samples_all_features_are_kept(self, desk: Desk) -> None:
        many = [question(f"q{i}", i) for i in range(100)]
        desk.asked(*many)
        for one in many:
            desk.reply(one.id)
        assert desk.reply("q0", Action.UNDO, None)[-1] == Ask(many[0], 0, desk.turn)

    def test_decisions_are_forgotten_in_the_end_unless_they_are_unsent(self, desk: Desk) -> None:
        desk.asked(question("kept"))
        desk.reply("kept")
        for i in range(REMEMBERED + 5):
            desk.asked(question(f"q{i}"))
            desk.received(desk.answered(f"q{i}"))
        assert desk.asked(question("kept")) == []
        assert desk.asked(question("q0")) != []

    def test_a_second_reply_to_a_decided_question_is_ignored(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.reply("q")
        assert desk.reply("q", value=1, turn=0) == []


class TestOutbox:
    def test_sent_again_with_doubling_waits_until_the_receipt(self, desk: Desk) -> None:
        desk.asked(Q)
        sent = desk.answered("q")
        times = [at for at in range(1, 60) if desk.tell(Tick(float(at)))]
        assert times == [1, 3, 7, 15, 25, 35, 45, 55]
        assert np.diff(times).max() == LONGEST_S
        assert desk.received(sent) == [Tell(receipt(sent))]
        assert desk.tell(Tick(1000.0)) == []
        assert desk.machine.unsent == []

    def test_the_trainer_gets_everything_at_once_when_it_is_back(self, desk: Desk) -> None:
        desk.asked(Q, R)
        sent = [desk.answered("q"), desk.answered("r")]
        assert desk.told(TrainerSeen(5.0)) == [Send(one) for one in sent]
        assert desk.told(Tick(5.9)) == []
        assert len(desk.told(Tick(6.0))) == 2

    @pytest.mark.parametrize("status", ["stored", "duplicate", "late", "unknown_question", "something_new"])
    def test_a_final_receipt_is_told_once(self, desk: Desk, status: str) -> None:
        desk.asked(Q)
        sent = desk.answered("q")
        assert desk.received(sent, status) == [Tell(receipt(sent, status))]
        assert desk.received(sent, status) == []
        assert desk.asked(Q) == []

    @pytest.mark.parametrize("status", ["bad_value", "conflict"])
    def test_a_refused_answer_is_asked_again_when_the_trainer_still_asks(self, desk: Desk, status: str) -> None:
        desk.asked(Q)
        desk.received(desk.answered("q"), status)
        assert desk.asked(Q) == [Ask(Q, 0, 3)]
        assert desk.answered("q").revision == 1

    def test_a_full_disk_is_told_once_and_the_answer_is_sent_again(self, desk: Desk) -> None:
        desk.asked(Q)
        sent = desk.answered("q")
        assert desk.received(sent, "storage_full") == [Tell(receipt(sent, "storage_full"))]
        assert desk.received(sent, "storage_full") == []
        assert desk.tell(Tick(1.0)) == [Send(sent)]
        assert desk.received(sent) == [Tell(receipt(sent))]

    def test_a_receipt_of_somebody_elses_answer_is_ignored(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.answered("q")
        assert desk.tell(ReceiptArrived(AnswerReceipt("other", "q", "stored", ""), 0.0)) == []
        assert len(desk.machine.unsent) == 1

    def test_the_waits_are_jittered_so_that_labelers_do_not_send_in_step(self) -> None:
        factors = iter([0.8, 1.2, 1.0])
        desk = Desk(jitter=lambda: next(factors))
        desk.asked(Q)
        desk.answered("q")
        times = [tenth for tenth in range(1, 40) if desk.tell(Tick(tenth / 10))]
        assert times == [8, 32]


class TestKeeping:
    """With a disk: nothing is sent before it is there, and what it refuses is sent all the same."""

    def desk(self, **options: object) -> Desk:
        desk = Desk(keeps=True, **options)
        desk.asked(Q, R)
        return desk

    def test_an_answer_is_kept_before_it_is_sent_and_the_person_goes_on_meanwhile(self) -> None:
        desk = self.desk()
        said = answer("a1", "q", 0, Action.ANSWER, 3)
        assert desk.reply("q") == [Keep(said), Ask(R, 0, 2)]
        assert desk.tell(Tick(99.0)) == []
        assert desk.told(TrainerSeen(99.0)) == []
        assert desk.tell(Kept("a1", 99.0)) == [Send(said)]

    def test_a_final_receipt_lets_it_be_forgotten(self) -> None:
        desk = self.desk()
        desk.reply("q")
        (sent,) = desk.tell(Kept("a1", 0.0))
        assert isinstance(sent, Send)
        told = receipt(sent.answer)
        assert desk.received(sent.answer) == [Tell(told), Forget("a1", "stored")]

    def test_an_undo_is_kept_at_once_and_sent_after_the_receipt_of_what_it_takes_back(self) -> None:
        desk = self.desk()
        desk.reply("q")
        desk.tell(Kept("a1", 0.0))
        undo = answer("a2", "q", 1, Action.UNDO, None)
        assert desk.reply("q", Action.UNDO, None)[0] == Keep(undo)
        assert desk.tell(Kept("a2", 0.0)) == []
        assert desk.received(answer("a1", "q", 0, Action.ANSWER, 3))[-1] == Send(undo)

    def test_the_next_of_a_question_waits_for_its_own_keeping_too(self) -> None:
        desk = self.desk()
        desk.reply("q")
        desk.tell(Kept("a1", 0.0))
        desk.reply("q", Action.UNDO, None)
        assert desk.received(answer("a1", "q", 0, Action.ANSWER, 3))[1:] == [Forget("a1", "stored")]
        assert desk.tell(Kept("a2", 0.0)) == [Send(answer("a2", "q", 1, Action.UNDO, None))]

    def test_a_full_disk_is_told_once_tried_again_and_does_not_stop_the_answer(self) -> None:
        desk = self.desk()
        desk.reply("q")
        said = answer("a1", "q", 0, Action.ANSWER, 3)
        assert desk.tell(NotKept("a1", "no space", 0.0)) == [Unkept(said, "no space"), Send(said)]
        assert desk.tell(Tick(0.9)) == []
        assert desk.tell(Tick(1.0)) == [Send(said), Keep(said)]
        assert desk.tell(Tick(9.0)) == [], "one Keep at a time"
        assert desk.tell(NotKept("a1", "no space", 9.0)) == []
        assert desk.tell(Tick(9.0)) == [Send(said), Keep(said)]
        assert desk.tell(Kept("a1", 9.1)) == []
        assert desk.tell(Tick(99.0)) == [Send(said)]

    def test_what_waits_behind_another_is_tried_on_the_disk_again_but_not_sent(self) -> None:
        desk = self.desk()
        desk.reply("q")
        desk.tell(Kept("a1", 0.0))
        desk.reply("q", Action.UNDO, None)
        undo = answer("a2", "q", 1, Action.UNDO, None)
        assert desk.tell(NotKept("a2", "no space", 0.5)) == [Unkept(undo, "no space")]
        assert desk.tell(Tick(1.0)) == [Send(answer("a1", "q", 0, Action.ANSWER, 3)), Keep(undo)]

    def test_a_keeping_that_ends_after_the_receipt_changes_nothing(self) -> None:
        desk = self.desk()
        desk.reply("q")
        desk.tell(NotKept("a1", "no space", 0.0))
        desk.tell(Tick(1.0))
        desk.received(answer("a1", "q", 0, Action.ANSWER, 3))
        assert desk.tell(Kept("a1", 2.0)) == []
        assert desk.tell(NotKept("a1", "no space", 2.0)) == []


class TestRecalling:
    """What an earlier process has kept."""

    def recalled(self, *kept: tuple[Answer, str], **options: object) -> Desk:
        return Desk(keeps=True, kept=kept, **options)

    def test_what_had_no_receipt_is_sent_again_with_its_id_and_revision_and_not_asked_again(self) -> None:
        said = answer("old", "q", 2, Action.ANSWER, 3)
        desk = self.recalled((said, ""))
        assert desk.told(TrainerSeen(0.0)) == [Send(said)]
        assert desk.asked(Q) == []
        assert desk.received(said) == [Tell(receipt(said)), Forget("old", "stored")]

    def test_without_a_trainer_to_be_seen_it_is_sent_on_the_first_tick(self) -> None:
        said = answer("old", "q", 0, Action.ANSWER, 3)
        assert self.recalled((said, "")).tell(Tick(5.0)) == [Send(said)]

    def test_several_words_on_a_question_go_one_after_the_other_whatever_their_order_on_the_disk(self) -> None:
        first, undo = answer("a", "q", 0, Action.ANSWER, 3), answer("b", "q", 1, Action.UNDO, None)
        desk = self.recalled((undo, ""), (first, ""))
        assert desk.told(TrainerSeen(0.0)) == [Send(first)]
        assert desk.received(first)[-1] == Send(undo)

    def test_a_question_whose_answer_was_taken_back_is_asked_again_with_the_next_revision(self) -> None:
        desk = self.recalled(
            (answer("a", "q", 0, Action.ANSWER, 3), "stored"), (answer("b", "q", 1, Action.UNDO, None), "")
        )
        assert desk.asked(Q) == [Ask(Q, 0, 1)]
        assert desk.reply("q")[0] == Keep(answer("a1", "q", 2, Action.ANSWER, 3))

    @pytest.mark.parametrize("action", [Action.SKIP, Action.ANSWER])
    def test_a_settled_question_is_asked_again_when_the_trainer_still_asks(self, action: Action) -> None:
        desk = self.recalled((answer("a", "q", 4, action, None), "stored"))
        assert desk.asked(Q) == [Ask(Q, 0, 1)]
        assert desk.reply("q")[0] == Keep(answer("a1", "q", 5, Action.ANSWER, 3))

    def test_a_skip_that_is_settled_only_now_comes_back_as_its_closing_may_have_been_missed(self) -> None:
        skip = answer("a", "q", 0, Action.SKIP, None)
        desk = self.recalled((skip, ""))
        assert desk.asked(Q) == []
        desk.tell(TrainerSeen(0.0))
        desk.received(skip)
        assert desk.asked(Q) == [Ask(Q, 0, 1)]
        desk.received(desk.kept(desk.reply("q", Action.SKIP, None)))
        assert desk.asked(Q) == [], "it was seen open, so only a closing can bring it back"

    def test_what_an_earlier_process_decided_can_be_revised_and_undone(self) -> None:
        desk = self.recalled(
            (answer("a", "q", 0, Action.ANSWER, 3), "stored"), (answer("b", "r", 0, Action.SKIP, None), "")
        )
        assert [one.answer.question for one in desk.machine.history()] == ["q", "r"]
        self.kept_and_sent(desk, "q", Action.REVISE, 5, revision=1)
        self.kept_and_sent(desk, "q", Action.UNDO, None, revision=2)
        assert desk.reply("q", Action.UNDO, None)[0] == NothingThere("q")
        assert desk.asked(Q)[-1] == Ask(Q, 0, desk.turn)

    def kept_and_sent(self, desk: Desk, id: str, action: Action, value: int | None, revision: int) -> None:
        sent = desk.kept(desk.reply(id, action, value))
        assert (sent.question, sent.action, sent.value, sent.revision) == (id, action, value, revision)
        desk.received(sent)


class TestFull:
    """With a limit of 4."""

    def desk(self) -> Desk:
        desk = Desk(max_unsent=4)
        desk.asked(*(question(f"q{i}", rank=i) for i in range(9)))
        return desk

    def test_too_many_answers_without_receipt_stop_the_asking_and_that_is_told(self) -> None:
        desk = self.desk()
        for i in range(3):
            desk.reply(f"q{i}")
        assert desk.reply("q3")[1:] == [Full(4), Rest(5)]
        assert desk.asked(question("late")) == []
        assert desk.machine.waiting == 6

    def test_half_of_the_receipts_let_it_go_on(self) -> None:
        desk = self.desk()
        sent = [desk.answered(f"q{i}") for i in range(4)]
        assert desk.received(sent[0]) == [Tell(receipt(sent[0]))]
        told, asked = desk.received(sent[1])
        assert told == Tell(receipt(sent[1]))
        assert isinstance(asked, Ask)
        assert (asked.question.id, asked.waiting) == ("q4", 4)

    def test_an_answer_that_ended_no_turn_stops_the_asking_too(self) -> None:
        desk = self.desk()
        for i in (5, 6, 7):
            desk.reply(f"q{i}", turn=0)
        assert desk.reply("q8", turn=0)[1:] == [Full(4), Rest(2)]

    def test_an_undo_is_taken_up_to_the_history_and_then_refused_aloud(self) -> None:
        desk = self.desk()
        for i in range(4):
            desk.reply(f"q{i}")
        assert desk.reply("q3", Action.UNDO, None)[-1] == Rest(6)
        assert desk.machine.phase == "full"
        for _ in range(HISTORY - 1):
            assert not any(isinstance(c, Full) for c in desk.reply("q2", Action.REVISE, 1))
        assert desk.reply("q2", Action.REVISE, 1) == [Full(4 + HISTORY), Rest(desk.turn)]
        assert len(desk.machine.unsent) == 4 + HISTORY

    def test_what_an_earlier_process_left_counts(self) -> None:
        left = tuple((answer(f"a{i}", f"q{i}", 0, Action.ANSWER, 1), "") for i in range(MAX_UNSENT))
        desk = Desk(kept=left)
        assert desk.machine.phase == "full"
        assert desk.asked(question("new")) == []

    def test_leaving_while_full(self) -> None:
        desk = self.desk()
        for i in range(4):
            desk.reply(f"q{i}")
        assert desk.tell(Left(desk.at)) == []


def mine(id: str, rank: int = 1, annotator: str = "ann") -> Question:
    return replace(question(id, rank), annotator=annotator)


def says(wants: int, holds: tuple[str, ...], gives: tuple[str, ...]) -> SayLease:
    return SayLease(Lease("ann", wants, holds, gives))


def leased(*holds: str, annotator: str = "ann", at: float = 0.0) -> LeasedArrived:
    return LeasedArrived(Leased(annotator, holds, 30.0, 0, ""), at)


class TestLeases:
    def test_a_trainer_that_comes_is_told_what_is_open_and_what_has_no_receipt(self, desk: Desk) -> None:
        desk.asked(Q, R, S)
        sent = desk.answered("q")
        assert desk.tell(TrainerSeen(1.0)) == [Send(sent), says(AHEAD, ("r", "s", "q"), ())]

    def test_a_decision_is_followed_by_a_lease(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        desk.asked(mine("q"))
        assert desk.reply("q")[1:] == [says(AHEAD, ("q",), ()), Rest(2)]

    def test_so_is_a_question_soon(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        desk.tell(leased())
        assert desk.tell(Tick(0.1)) == []
        desk.asked(mine("q"))
        assert desk.tell(Tick(0.2)) == [says(AHEAD, ("q",), ())]

    def test_so_is_one_that_is_here_and_said_again(self, desk: Desk) -> None:
        """The trainer heard a LEASE of before last: it goes on asking until it knows better."""
        desk.tell(TrainerSeen(0.0))
        desk.asked(mine("r", 2), mine("q"))
        desk.tell(Tick(0.1))
        desk.tell(leased("r", "q", at=0.1))
        assert desk.tell(Tick(0.2)) == []
        assert desk.asked(mine("r", 2)) == []
        assert desk.tell(Tick(0.3)) == [says(AHEAD, ("r", "q"), ())]

    def test_what_was_taken_back_keeps_its_place_when_it_is_said_again(self, desk: Desk) -> None:
        desk.asked(mine("q"))
        desk.received(desk.answered("q"))
        desk.asked(mine("r", 2))
        desk.reply("q", Action.UNDO)
        desk.asked(mine("q"))
        assert desk.tell(leased("r")) == []
        assert [one.id for one in desk.machine.questions()] == ["q", "r"]

    def test_what_is_lost_by_a_leased_is_told_soon(self, desk: Desk) -> None:
        """It may be one of before, that comes late: the trainer says the question again when it knows."""
        desk.tell(TrainerSeen(0.0))
        desk.asked(mine("q"), mine("r", 2))
        desk.tell(Tick(0.1))
        desk.tell(leased("q", at=0.1))
        assert desk.tell(Tick(0.2)) == [says(AHEAD, ("q",), ())]

    def test_so_is_an_answer_that_was_refused(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        desk.asked(mine("q"))
        sent = desk.answered("q")
        desk.tell(leased("q", at=0.0))
        assert desk.tell(Tick(0.1)) == []
        desk.received(sent, "bad_value")
        assert desk.tell(Tick(0.2)) == [says(AHEAD, (), ())]

    def test_a_trainer_that_went_is_told_nothing(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        desk.tell(TrainerGone(1.0))
        desk.asked(mine("q"))
        assert desk.tell(Tick(50.0)) == []

    def test_a_question_for_somebody_else_is_not_asked(self, desk: Desk) -> None:
        assert desk.asked(mine("q", annotator="bob")) == []
        assert desk.machine.waiting == 0

    def test_what_is_not_leased_any_more_is_taken_from_the_screen_and_may_come_again(self, desk: Desk) -> None:
        q, r, s = mine("q"), mine("r", 2), mine("s", 3)
        desk.asked(q, r, s)
        assert desk.tell(leased("r")) == [Withdraw("q", NOT_LEASED), Ask(r, 0, 2)]
        assert desk.tell(leased("r", "q")) == []
        assert desk.asked(q) == []
        assert desk.machine.questions() == [q, r]

    def test_of_others_only_what_waits_goes_silently(self, desk: Desk) -> None:
        q = mine("q")
        desk.asked(q, mine("r", 2))
        assert desk.tell(leased("q")) == []
        assert desk.machine.questions() == [q]

    def test_leases_of_somebody_else_take_nothing(self, desk: Desk) -> None:
        desk.asked(mine("q"))
        assert desk.tell(leased(annotator="bob")) == []
        assert desk.machine.waiting == 1

    def test_what_was_taken_back_stays_on_the_screen(self, desk: Desk) -> None:
        desk.asked(mine("q"))
        desk.answered("q")
        desk.reply("q", Action.UNDO)
        assert desk.tell(leased()) == []
        assert desk.tell(Wanted(0, 0.0)) == []
        assert desk.machine.waiting == 1

    def test_an_answer_stays_an_answer_whoever_holds_the_question(self, desk: Desk) -> None:
        desk.asked(mine("q"))
        sent = desk.answered("q")
        assert desk.tell(leased()) == []
        assert desk.machine.unsent == [sent]

    def test_an_answer_to_what_went_meanwhile_is_given_all_the_same(self, desk: Desk) -> None:
        desk.asked(mine("q"))
        desk.tell(leased())
        assert desk.reply("q")[0] == Send(answer("a1", "q", 0, Action.ANSWER, 3))


class TestWanting:
    def test_what_is_given_back_is_not_asked_any_more(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        q, r = mine("q"), mine("r", 2)
        desk.asked(q, r)
        assert desk.tell(Wanted(1, 0.0, gives=("q",))) == [says(1, ("r",), ("q",)), Ask(r, 0, 2)]

    def test_what_waits_is_given_back_without_a_word_to_the_person(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        desk.asked(mine("q"), mine("r", 2))
        assert desk.tell(Wanted(1, 0.0, gives=("r", "unknown"))) == [says(1, ("q",), ("r", "unknown"))]

    def test_when_nobody_is_there_all_that_is_leased_goes_back(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        everybodys = question("all", 5)
        desk.asked(mine("q"), mine("r", 2), everybodys)
        assert desk.tell(Wanted(0, 0.0)) == [says(0, ("all",), ()), Ask(everybodys, 0, 2)]

    def test_more_can_be_wanted(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        assert desk.tell(Wanted(7, 0.0)) == [says(7, (), ())]

    def test_who_leaves_wants_nothing_whatever_comes(self, desk: Desk) -> None:
        desk.tell(TrainerSeen(0.0))
        desk.asked(mine("q"))
        assert desk.tell(Left(0.0)) == [says(0, ("q",), ()), Drained()]
        assert desk.tell(Wanted(3, 0.0)) == []
        assert desk.tell(Tick(0.5)) == [says(0, ("q",), ())]
        assert desk.tell(leased(at=0.6)) == []
        assert desk.tell(Tick(60.0)) == []


class TestLeaving:
    def test_with_nothing_to_send_it_is_drained_at_once(self, desk: Desk) -> None:
        desk.asked(Q)
        assert desk.tell(Left(desk.at)) == [Drained()]
        assert desk.tell(Left(desk.at)) == []

    def test_it_is_drained_by_the_last_receipt_and_asks_no_more(self, desk: Desk) -> None:
        desk.asked(Q, R)
        sent = desk.answered("q")
        assert desk.tell(Left(desk.at)) == []
        assert desk.asked(S) == []
        assert desk.tell(Tick(9.0)) == [Send(sent)]
        assert desk.received(sent) == [Tell(receipt(sent)), Drained()]

    def test_leaving_while_resting(self, desk: Desk) -> None:
        assert desk.tell(Left(desk.at)) == [Drained()]

    def test_a_reply_in_the_last_moment_is_still_sent(self, desk: Desk) -> None:
        desk.asked(Q)
        desk.tell(Left(desk.at))
        assert desk.reply("q") == [Send(answer("a1", "q", 0, Action.ANSWER, 3))]


def test_every_row_of_the_table_is_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the tests above once more and counts the rows: a new row needs a test."""
    seen: set[tuple[str, str]] = set()
    monkeypatch.setattr(Machine, "observe", lambda machine, phase, trigger: seen.add((phase, trigger)))
    for group in (
        TestAsking,
        TestClosing,
        TestUndoAndRevise,
        TestOutbox,
        TestKeeping,
        TestFull,
        TestLeases,
        TestWanting,
        TestLeaving,
    ):
        for name in [name for name in vars(group) if name.startswith("test_")]:
            method = getattr(group(), name)
            values = [mark.args[1] for mark in getattr(method, "pytestmark", []) if mark.name == "parametrize"]
            for arguments in [[one] for one in values[0]] if values else [[]]:
                given = [Desk()] if "desk" in signature(method).parameters else []
                method(*given, *arguments)
    print(f"{len(seen)} of {len(Answering.TABLE)} rows of Answering hit")
    assert set(Answering.TABLE) - seen == set()
