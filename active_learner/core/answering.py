"""The labeler's side: open questions, what was decided, and an outbox that is sent until the trainer has it.

Knows no wire, no clock and no person: questions, replies, receipts and ticks in; what to ask, send and tell out. One
machine serves one annotator, whatever the face: terminal, page or simulation.

Two rules hold the promise "nothing acknowledged is lost or doubled" on this side. A question has one event under way at
a time, so that an undo can never be overtaken by the re-sent answer it takes back. And a reply is never dropped, even when its
question was withdrawn in the same moment: a label is costly, the trainer says what becomes of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from active_learner.core.answering_events import (
    Ask,
    Command,
    Drained,
    Event,
    Left,
    NothingThere,
    QuestionArrived,
    QuestionGone,
    ReceiptArrived,
    Replied,
    Rest,
    Send,
    Tell,
    Tick,
    TrainerSeen,
    Withdraw,
)
from active_learner.core.machine import Machine
from protocol.messages import Action, Answer, Question

HISTORY = 10
"""Decisions that can be undone or revised, as the labeling tools that people like do it; their features are kept."""

REMEMBERED = 1000
"""Decided questions whose repeats are known; a trainer has a few dozen open at most."""

MAX_OPEN = 1000
"""Open questions kept; one is answered at a time and the trainer sends the others again."""

LONGEST_WAIT = 16
"""The wait before an answer is sent again doubles up to that many times the first: a trainer that comes back by itself
is noticed by presence, so this only has to be bounded."""

REFUSED = frozenset({"bad_value", "conflict"})
"""After these the question is asked again when the trainer still asks it. A conflict that leaves it open means that an
earlier process of the same annotator skipped it or took its answer back: the new answer gets the next revision."""


# --- state


@dataclass(slots=True)
class _Open:
    question: Question
    arrival: int
    undone: bool = False
    """Asked again after an undo: stays until it is answered, also when the trainer closes it."""

    def order(self) -> tuple[bool, int, int, int]:
        return (not self.undone, self.question.round, self.question.rank, self.arrival)


@dataclass(slots=True)
class Decision:
    """The last thing that was done with a question."""

    answer: Answer
    question: Question | None
    """None: longer ago than HISTORY."""
    closed: bool = False
    reopens: bool = False
    """It is asked again when the trainer asks again: it was skipped and closed, or refused."""


@dataclass(slots=True)
class _Pending:
    answer: Answer
    due: float
    wait: float
    told: bool = False


class Answering(Machine[Event, Command]):
    """Phases: resting (nothing is asked), asking (one question is with the annotator), leaving."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("resting", "question_new"): "_take_and_ask",
        ("asking", "question_new"): "_take",
        ("leaving", "question_new"): "_ignore",
        ("*", "question_again"): "_ignore",
        ("*", "question_overfull"): "_ignore",
        ("asking", "closed_asked"): "_withdraw",
        ("*", "closed_open"): "_forget",
        ("*", "closed_decided"): "_note_closed",
        ("*", "closed_other"): "_ignore",
        ("*", "reply_open"): "_decide",
        ("*", "reply_late"): "_decide_late",
        ("*", "reply_undo"): "_undo",
        ("*", "reply_revise"): "_revise",
        ("*", "reply_repeated"): "_go_on",
        ("*", "reply_nothing"): "_refuse_reply",
        ("*", "receipt_final"): "_settle",
        ("*", "receipt_retry"): "_keep",
        ("*", "receipt_other"): "_ignore",
        ("*", "trainer_seen"): "_send_all",
        ("*", "tick"): "_send_due",
        ("resting", "left"): "_leave",
        ("asking", "left"): "_leave",
        ("leaving", "left"): "_ignore",
    }

    def __init__(self, annotator: str, resend_s: float = 0.25) -> None:
        """`resend_s`: first wait before an answer is sent again; a receipt takes some milliseconds."""
        super().__init__("resting")
        self.annotator, self.resend_s = annotator, resend_s
        self.answered = 0
        """Answers and revisions given, less those undone."""
        self._open: dict[str, _Open] = {}
        self._asked: str | None = None
        self._decisions: dict[str, Decision] = {}
        self._outbox: dict[str, deque[_Pending]] = {}
        self._arrivals = self._turn = 0

    # --- what others may know

    @property
    def unsent(self) -> list[Answer]:
        """Without a final receipt, oldest first of each question."""
        return [pending.answer for queue in self._outbox.values() for pending in queue]

    @property
    def waiting(self) -> int:
        """Open questions, the one that is asked now included."""
        return len(self._open)

    def history(self) -> list[Decision]:
        """The last decisions that stand, oldest first: these can be undone or revised."""
        return [d for d in self._decisions.values() if self._standing(d)]

    # --- classification

    def classify(self, event: Event) -> str:
        match event:
            case QuestionArrived(question):
                return self._classify_question(question)
            case QuestionGone(question=id):
                return self._classify_closed(id)
            case Replied():
                return self._classify_reply(event)
            case ReceiptArrived(receipt):
                queue = self._outbox.get(receipt.question)
                if not queue or queue[0].answer.id != receipt.id:
                    return "receipt_other"
                return "receipt_retry" if receipt.status == "storage_full" else "receipt_final"
            case TrainerSeen():
                return "trainer_seen"
            case Tick():
                return "tick"
            case Left():
                return "left"

    def _classify_question(self, question: Question) -> str:
        decision = self._decisions.get(question.id)
        if question.id in self._open or (decision is not None and not decision.reopens):
            return "question_again"
        return "question_overfull" if len(self._open) >= MAX_OPEN else "question_new"

    def _classify_closed(self, id: str) -> str:
        open_one = self._open.get(id)
        if open_one is not None and not open_one.undone:
            return "closed_asked" if id == self._asked else "closed_open"
        return "closed_decided" if id in self._decisions else "closed_other"

    def _classify_reply(self, event: Replied) -> str:
        decision = self._decisions.get(event.question)
        if event.action in (Action.UNDO, Action.REVISE):
            if decision is None or not self._standing(decision):
                return "reply_nothing"
            return f"reply_{event.action.value}"
        if event.question in self._open:
            return "reply_open"
        return "reply_late" if decision is None else "reply_repeated"

    def _standing(self, decision: Decision) -> bool:
        return decision.question is not None and decision.answer.action is not Action.UNDO

    # --- questions

    def _take(self, event: QuestionArrived) -> list[Command]:
        self._arrivals += 1
        self._open[event.question.id] = _Open(event.question, self._arrivals)
        return []

    def _take_and_ask(self, event: QuestionArrived) -> list[Command]:
        self._take(event)
        return self._next()

    def _withdraw(self, event: QuestionGone) -> list[Command]:
        self._forget(event)
        return [Withdraw(event.question, event.why), *self._next()]

    def _forget(self, event: QuestionGone) -> list[Command]:
        del self._open[event.question]
        return []

    def _note_closed(self, event: QuestionGone) -> list[Command]:
        decision = self._decisions[event.question]
        decision.closed = True
        decision.reopens |= decision.answer.action is Action.SKIP
        return []

    def _next(self) -> list[Command]:
        """What the annotator does next. The question on the screen stays there, unless an earlier one was undone."""
        if self.phase == "leaving":
            return []
        self._turn += 1
        if not self._open:
            self.phase, self._asked = "resting", None
            return [Rest(self._turn)]
        shown = self._asked
        first = min(self._open.values(), key=lambda one: (not one.undone, one.question.id != shown, one.order()))
        self.phase, self._asked = "asking", first.question.id
        return [Ask(first.question, len(self._open) - 1, self._turn)]

    # --- replies

    def _decide(self, event: Replied) -> list[Command]:
        question = self._open.pop(event.question).question
        return self._record(event, question) + self._go_on(event)

    def _decide_late(self, event: Replied) -> list[Command]:
        return self._record(event, None) + self._go_on(event)

    def _undo(self, event: Replied) -> list[Command]:
        question = self._decisions[event.question].question
        assert question is not None
        sent = self._record(replace(event, value=None), question)
        self._open.pop(event.question, None)
        self._take(QuestionArrived(question))
        self._open[event.question].undone = True
        return sent + self._go_on(event)

    def _revise(self, event: Replied) -> list[Command]:
        return self._record(event, self._decisions[event.question].question) + self._go_on(event)

    def _refuse_reply(self, event: Replied) -> list[Command]:
        return [NothingThere(event.question), *self._go_on(event)]

    def _go_on(self, event: Replied) -> list[Command]:
        """Ask on, when the reply ended the present turn."""
        return self._next() if event.turn == self._turn else []

    def _record(self, event: Replied, question: Question | None) -> list[Command]:
        """Append the event to the history and the outbox; send it when nothing of its question is under way."""
        before = self._decisions.pop(event.question, None)
        revision = 0 if before is None else before.answer.revision + 1
        answer = Answer(event.id, event.question, self.annotator, revision, event.action, event.value, event.wall)
        self.answered += _weight(answer.action) - (0 if before is None else _weight(before.answer.action))
        closed = before is not None and before.closed
        self._decisions[event.question] = Decision(answer, question, closed, closed and answer.action is Action.SKIP)
        self._trim()
        queue = self._outbox.setdefault(event.question, deque())
        queue.append(_Pending(answer, event.at + self.resend_s, self.resend_s))
        return [Send(answer)] if len(queue) == 1 else []

    def _trim(self) -> None:
        decisions = list(self._decisions.values())
        for old in decisions[:-HISTORY]:
            old.question = None
        for old in decisions[:-REMEMBERED]:
            if old.answer.question not in self._outbox:
                del self._decisions[old.answer.question]

    # --- the outbox

    def _settle(self, event: ReceiptArrived) -> list[Command]:
        queue = self._outbox[event.receipt.question]
        answer = queue.popleft().answer
        decision = self._decisions.get(answer.question)
        if event.receipt.status in REFUSED and decision is not None and decision.answer.id == answer.id:
            decision.reopens = True
        commands: list[Command] = [Tell(event.receipt)]
        if queue:
            return [*commands, self._send(queue[0], event.at)]
        del self._outbox[answer.question]
        return commands + self._drained()

    def _keep(self, event: ReceiptArrived) -> list[Command]:
        pending = self._outbox[event.receipt.question][0]
        told, pending.told = pending.told, True
        return [] if told else [Tell(event.receipt)]

    def _send(self, pending: _Pending, at: float) -> Send:
        pending.due, pending.wait = at + self.resend_s, self.resend_s
        return Send(pending.answer)

    def _send_all(self, event: TrainerSeen) -> list[Command]:
        return [self._send(queue[0], event.at) for queue in self._outbox.values()]

    def _send_due(self, event: Tick) -> list[Command]:
        due = [queue[0] for queue in self._outbox.values() if queue[0].due <= event.at]
        for pending in due:
            pending.wait = min(2 * pending.wait, LONGEST_WAIT * self.resend_s)
            pending.due = event.at + pending.wait
        return [Send(pending.answer) for pending in due]

    def _leave(self, event: Left) -> list[Command]:
        self.phase, self._asked = "leaving", None
        return self._drained()

    def _drained(self) -> list[Command]:
        return [Drained()] if self.phase == "leaving" and not self._outbox else []

    def _ignore(self, event: Event) -> list[Command]:
        return []


def _weight(action: Action) -> int:
    return int(action in (Action.ANSWER, Action.REVISE))
