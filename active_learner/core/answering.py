"""The labeler's side: open questions, what was decided, and an outbox that is sent until the trainer has it.

Knows no wire, no disk, no clock and no person: questions, replies, receipts and ticks in; what to ask, keep, send and tell out.
One machine serves one annotator, whatever the face: terminal, page or simulation.

Three rules hold the promise "nothing acknowledged is lost or doubled" on this side. A reply is kept on the disk before it is
sent, so that a killed labeler sends it again when it is started again, with the same id. A question has one event under way at
a time, so that an undo can never be overtaken by the re-sent answer it takes back. And a reply is never dropped, even when its
question was withdrawn in the same moment: a label is costly, the trainer says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from active_learner.core.answering_events import (
    Ask,
    Command,
    Drained,
    Event,
    Forget,
    Full,
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
    Tell,
    Tick,
    TrainerGone,
    TrainerSeen,
    Unkept,
    Wanted,
    Withdraw,
)
from active_learner.core.decisions import HISTORY, Decision, Decisions, kept_circumstances
from active_learner.core.holding import AHEAD, Holding
from active_learner.core.machine import Machine
from active_learner.core.open_questions import MAX_OPEN, OpenQuestions
from active_learner.core.resends import Backoff, Jitter, no_jitter
from active_learner.core.unsent import RESEND_S, Unsent
from protocol.messages import Action, Answer, Leased, Question

MAX_UNSENT = 1000
"""Answers without receipt above which nothing more is asked: an hour of a quick person's work while the trainer is away, and
less than 4 MiB (an answer takes 3 KB at most, by the limits of its strings)."""

NOT_LEASED = "it may go to somebody else now"


class Answering(Machine[Event, Command]):
    """Phases: resting (nothing is asked), asking (one question is with the annotator), full (too much is unsent), leaving."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("resting", "question_new"): "_take_and_ask",
        ("asking", "question_new"): "_take",
        ("full", "question_new"): "_take",
        ("leaving", "question_new"): "_ignore",
        ("*", "question_other"): "_ignore",
        ("*", "question_open"): "_take",
        ("*", "question_again"): "_ignore",
        ("*", "question_overfull"): "_ignore",
        ("asking", "closed_asked"): "_withdraw",
        ("*", "closed_open"): "_forget",
        ("*", "closed_decided"): "_note_closed",
        ("*", "closed_other"): "_ignore",
        ("*", "leased"): "_hear_leased",
        ("asking", "leased_away"): "_lose_asked",
        ("*", "leased_other"): "_ignore",
        ("*", "wanted"): "_want",
        ("asking", "wanted_less"): "_give_asked",
        ("leaving", "wanted"): "_ignore",
        ("*", "reply_open"): "_decide",
        ("*", "reply_late"): "_decide_late",
        ("*", "reply_undo"): "_undo",
        ("*", "reply_revise"): "_revise",
        ("*", "reply_repeated"): "_go_on",
        ("*", "reply_nothing"): "_refuse_reply",
        ("*", "reply_full"): "_refuse_more",
        ("*", "kept"): "_kept",
        ("*", "not_kept"): "_not_kept",
        ("*", "kept_settled"): "_ignore",
        ("*", "receipt_final"): "_settle",
        ("*", "receipt_retry"): "_tell_once",
        ("*", "receipt_other"): "_ignore",
        ("*", "trainer_seen"): "_send_all",
        ("*", "trainer_gone"): "_note_gone",
        ("*", "tick"): "_send_due",
        ("resting", "left"): "_leave",
        ("asking", "left"): "_leave",
        ("full", "left"): "_leave",
        ("leaving", "left"): "_ignore",
    }

    def __init__(
        self,
        annotator: str,
        resend_s: float = RESEND_S,
        *,
        jitter: Jitter = no_jitter,
        keeps: bool = False,
        kept: Iterable[tuple[Answer, str]] = (),
        max_unsent: int = MAX_UNSENT,
        ahead: int = AHEAD,
    ) -> None:
        """`ahead`: questions that it wants to hold. `keeps`: each answer is kept (Keep) before it is sent. `kept`: what earlier processes of this annotator have kept,
        in order, with the status of the final receipt, or "" for those that have none and are sent again."""
        super().__init__("resting")
        self.annotator, self._keeps, self._max_unsent = annotator, keeps, max_unsent
        self._open = OpenQuestions()
        self._asked: str | None = None
        self._decisions = Decisions()
        self._unsent = Unsent(Backoff(resend_s, jitter=jitter), keeps)
        self.holding = Holding(annotator, ahead, jitter)
        self._turn = 0
        self._recall(kept)

    def _recall(self, kept: Iterable[tuple[Answer, str]]) -> None:
        """What an earlier process has decided is known, so that revisions go on. Of its questions, what became of them is not:
        one with a receipt is asked again should the trainer, against expectation, still ask it."""
        for answer in self._decisions.recall(kept):
            self._unsent.recall(answer)
        self.phase = "full" if self._is_full else "resting"

    # --- what others may know

    @property
    def unsent(self) -> list[Answer]:
        """Without a final receipt, oldest first of each question."""
        return [pending.answer for pending in self._unsent]

    @property
    def unkept(self) -> list[Answer]:
        """Of these, what is on no disk (yet): it ends with the process."""
        return [pending.answer for pending in self._unsent if not (self._keeps and pending.kept)]

    @property
    def _is_full(self) -> bool:
        return len(self._unsent) >= self._max_unsent

    @property
    def waiting(self) -> int:
        """Open questions, the one that is asked now included."""
        return len(self._open)

    def questions(self) -> list[Question]:
        """Open, in the order in which they are asked."""
        return self._open.in_order()

    def decided(self, question: str) -> Decision | None:
        return self._decisions.find(question)

    def history(self) -> list[Decision]:
        """Decisions that stand, oldest first: these can be undone or revised, those of an earlier process too."""
        return self._decisions.history()

    # --- classification

    def classify(self, event: Event) -> str:
        match event:
            case QuestionArrived(question):
                return self._classify_question(question)
            case QuestionGone(question=id):
                return self._classify_closed(id)
            case LeasedArrived(leased=leased):
                return self._classify_leased(leased)
            case Wanted():
                return "wanted_less" if self._asked in self._unwanted(event) else "wanted"
            case Replied():
                return self._classify_reply(event)
            case ReceiptArrived(receipt):
                pending = self._unsent.find(receipt.id)
                if pending is None or not self._unsent.is_first(pending):
                    return "receipt_other"
                return "receipt_retry" if receipt.status == "storage_full" else "receipt_final"
            case Kept(id=id) | NotKept(id=id):
                if self._unsent.find(id) is None:
                    return "kept_settled"
                return "kept" if isinstance(event, Kept) else "not_kept"
            case TrainerSeen():
                return "trainer_seen"
            case TrainerGone():
                return "trainer_gone"
            case Tick():
                return "tick"
            case Left():
                return "left"

    def _classify_question(self, question: Question) -> str:
        if question.annotator not in ("", self.annotator):
            return "question_other"
        if question.id in self._open:
            return "question_open"
        if self._decisions.is_over(question.id):
            return "question_again"
        return "question_overfull" if len(self._open) >= MAX_OPEN else "question_new"

    def _classify_closed(self, id: str) -> str:
        if id in self._open and not self._open.is_undone(id):
            return "closed_asked" if id == self._asked else "closed_open"
        return "closed_decided" if id in self._decisions else "closed_other"

    def _classify_leased(self, leased: Leased) -> str:
        if leased.annotator != self.annotator:
            return "leased_other"
        return "leased_away" if self._asked in self._open.outside(leased.holds) else "leased"

    def _classify_reply(self, event: Replied) -> str:
        decision = self._decisions.find(event.question)
        if event.action in (Action.UNDO, Action.REVISE):
            if decision is None or not decision.stands:
                return "reply_nothing"
            if len(self._unsent) >= self._max_unsent + HISTORY:
                return "reply_full"
            return f"reply_{event.action.value}"
        if event.question in self._open:
            return "reply_open"
        return "reply_late" if decision is None else "reply_repeated"

    # --- questions

    def _take(self, event: QuestionArrived) -> list[Command]:
        """One that is here is said again to a trainer that does not know it."""
        self._decisions.reopen(event.question.id)
        self._open.put(event.question)
        self.holding.arrived(event.question.id)
        return []

    def _take_and_ask(self, event: QuestionArrived) -> list[Command]:
        self._take(event)
        return self._next()

    def _withdraw(self, event: QuestionGone) -> list[Command]:
        self._forget(event)
        return [Withdraw(event.question, event.why), *self._next()]

    def _forget(self, event: QuestionGone) -> list[Command]:
        """It may have been decided before, and asked again."""
        self._open.pop(event.question)
        return self._note_closed(event)

    def _note_closed(self, event: QuestionGone) -> list[Command]:
        self._decisions.close(event.question)
        return []

    def _next(self) -> list[Command]:
        """What the annotator does next."""
        if self.phase == "leaving":
            return []
        self._turn += 1
        if self._is_full:
            told: list[Command] = [] if self.phase == "full" else [Full(len(self._unsent))]
            self.phase, self._asked = "full", None
            return [*told, Rest(self._turn)]
        if not self._open:
            self.phase, self._asked = "resting", None
            return [Rest(self._turn)]
        first = self._open.first(self._asked)
        self.phase, self._asked = "asking", first.id
        return [Ask(first, len(self._open) - 1, self._turn)]

    # --- leases

    def _say_lease(self, at: float) -> list[Command]:
        return [SayLease(lease) for lease in self.holding.say(self._open, self._unsent.questions(), at)]

    def _hear_leased(self, event: LeasedArrived) -> list[Command]:
        if lost := self._open.outside(event.leased.holds):
            self.holding.changed()  # a LEASED that comes late takes what is leased since
        self._open.drop(lost)
        self.holding.leased(event.leased.holds, event.leased.seconds, event.at)
        return []

    def _lose_asked(self, event: LeasedArrived) -> list[Command]:
        assert self._asked is not None
        return [Withdraw(self._asked, NOT_LEASED), *self._hear_leased(event), *self._next()]

    def _unwanted(self, event: Wanted) -> list[str]:
        return [one for one in self._open.leased() if event.ahead == 0 or one in event.gives]

    def _want(self, event: Wanted) -> list[Command]:
        self._open.drop(self._unwanted(event))
        self.holding.want(event.ahead, event.gives, event.at)
        return self._say_lease(event.at)

    def _give_asked(self, event: Wanted) -> list[Command]:
        return self._want(event) + self._next()

    # --- replies

    def _decide(self, event: Replied) -> list[Command]:
        return self._record(event, self._open.pop(event.question)) + self._go_on(event)

    def _decide_late(self, event: Replied) -> list[Command]:
        return self._record(event, None) + self._go_on(event)

    def _undo(self, event: Replied) -> list[Command]:
        question = self._decisions[event.question].question
        sent = self._record(replace(event, value=None), question)
        if question is not None:
            self._open.put(question, undone=True)
        return sent + self._go_on(event)

    def _revise(self, event: Replied) -> list[Command]:
        return self._record(event, self._decisions[event.question].question) + self._go_on(event)

    def _refuse_reply(self, event: Replied) -> list[Command]:
        return [NothingThere(event.question), *self._go_on(event)]

    def _refuse_more(self, event: Replied) -> list[Command]:
        """Only undo and revise can go on when nothing is asked; even these must end somewhere."""
        return [Full(len(self._unsent)), *self._go_on(event)]

    def _go_on(self, event: Replied) -> list[Command]:
        """Ask on, when the reply ended the present turn; or no more, when it was one too many."""
        stops = self.phase == "asking" and self._is_full
        return self._next() if stops or event.turn == self._turn else []

    def _record(self, event: Replied, question: Question | None) -> list[Command]:
        """Append the event to the history and the outbox."""
        before = self._decisions.find(event.question)
        revision = 0 if before is None else before.answer.revision + 1
        said = (event.id, event.question, self.annotator, revision, event.action, event.value, event.wall)
        answer = Answer(*said, kept_circumstances(event.circumstances))
        closed = before is not None and before.closed
        comes_back = answer.action is Action.UNDO and question is None  # when the trainer says it
        self._decisions.put(Decision(answer, question, closed, comes_back or (closed and answer.action is Action.SKIP)))
        self._decisions.trim(self._unsent)
        return [*self._unsent.add(answer, event.at), *self._say_lease(event.at)]

    # --- the outbox

    def _kept(self, event: Kept) -> list[Command]:
        pending = self._unsent[event.id]
        pending.kept = True
        return [*self._unsent.over(pending, event.at)]

    def _not_kept(self, event: NotKept) -> list[Command]:
        """A full disk here does not stop an answer: what counts is that it gets to the trainer's."""
        pending = self._unsent[event.id]
        told: list[Command] = [] if "unkept" in pending.told else [Unkept(pending.answer, event.text)]
        pending.told.add("unkept")
        return [*told, *self._unsent.over(pending, event.at)]

    def _settle(self, event: ReceiptArrived) -> list[Command]:
        pending = self._unsent[event.receipt.id]
        answer, status = pending.answer, event.receipt.status
        if self._decisions.settle(answer, status):
            self.holding.changed()
        forget: list[Command] = [Forget(answer.id, status)] if self._keeps else []
        settled = [Tell(event.receipt), *forget, *self._unsent.pop(pending, event.at)]
        return settled + self._ask_again() + self._drained()

    def _ask_again(self) -> list[Command]:
        """At half of what stops it, so that it does not stop and go with every receipt."""
        if self.phase != "full" or 2 * len(self._unsent) > self._max_unsent:
            return []
        self.phase = "resting"
        return self._next()

    def _tell_once(self, event: ReceiptArrived) -> list[Command]:
        pending = self._unsent[event.receipt.id]
        told, pending.told = pending.told, {*pending.told, event.receipt.status}
        return [] if event.receipt.status in told else [Tell(event.receipt)]

    def _send_all(self, event: TrainerSeen) -> list[Command]:
        self.holding.trainer(True, event.at)
        return [*self._unsent.say_all(event.at), *self._say_lease(event.at)]

    def _note_gone(self, event: TrainerGone) -> list[Command]:
        self.holding.trainer(False, event.at)
        return []

    def _send_due(self, event: Tick) -> list[Command]:
        leases = self.holding.say_due(self._open, self._unsent.questions(), event.at)
        return [*self._unsent.say_due(event.at), *map(SayLease, leases)]

    def _leave(self, event: Left) -> list[Command]:
        self.phase, self._asked = "leaving", None
        self.holding.want(0, (), event.at)
        return self._say_lease(event.at) + self._drained()

    def _drained(self) -> list[Command]:
        return [Drained()] if self.phase == "leaving" and not self._unsent else []

    def _ignore(self, event: Event) -> list[Command]:
        return []
