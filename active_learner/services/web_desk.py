"""One annotator of the labeling page: a desk whose words come over HTTP. Knows what each word is told; no HTTP beyond codes.

A word is told its receipt when that comes within TRAINER_S, and else that it is kept, but only when it is on this disk. What
is told once is told again: by the id of the word, over a restart too.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from active_learner.core.answering import MAX_UNSENT, NOT_LEASED
from active_learner.core.answering_events import (
    Command,
    Full,
    Left,
    Replied,
    Tell,
    TrainerGone,
    TrainerSeen,
    Unkept,
    Wanted,
)
from active_learner.core.decisions import HISTORY
from active_learner.core.decisions import REMEMBERED as LAST
from active_learner.core.measures import Histogram
from active_learner.core.occupancy import Occupancy
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.services.desk import Desk, FromTrainer, answers_in_words, told_in_words
from active_learner.web.forms import Form, Verdict, Word, question_form
from active_learner.web.problems import Problem
from protocol.messages import Action, Answer, AnswerReceipt, Lease, Leased, Question, QuestionClosed

LEASED_S = 0.5
"""For LEASED, when somebody comes: then a page has its questions with the first reply. It takes some milliseconds."""

LEASE_S = 60.0
"""Of a lease, until the trainer has said it."""

TRAINER_S = 1.0
"""For the receipt of an answer; it takes some milliseconds when the trainer is there. A person must not wait for it."""

REMEMBERED = 2000
"""Words whose result is known; a page says one again within seconds, an earlier one when its browser was away for long."""

CODES = {
    "stored": 200,
    "duplicate": 200,
    "late": 200,
    "surplus": 200,
    "conflict": 409,
    "bad_value": 400,
    "unknown_question": 404,
}
"""Final receipt -> what HTTP says."""

WORDS = {
    "duplicate": "It was there already.",
    "late": "The question was closed meanwhile; the answer is kept.",
    "surplus": "Others had answered it meanwhile; yours is kept aside.",
    "conflict": "Another answer of yours is stored for this question; to change it, revise it.",
    "unknown_question": "This question was never asked in this run.",
}

Say = Callable[[str, Form], None]
"""Kind and fields of an event for this annotator's pages."""


@dataclass(slots=True, eq=False)
class _Told:
    """A word and what became of it."""

    essence: tuple[str, Action, int | None]
    since: float
    said: asyncio.Event = field(default_factory=asyncio.Event)
    """It is on the disk (or the disk does not take it), and was sent."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    verdict: Verdict | None = None


class WebDesk:
    def __init__(
        self,
        annotator: str,
        *,
        send: Callable[[Answer | Lease], None],
        say: Say,
        fail: Callable[[BaseException], None],
        kept: KeptAnswers,
        clock: Callable[[], float],
        wall: Callable[[], float],
        times: Histogram,
    ) -> None:
        self.annotator, self._send, self._say, self._clock, self._wall = annotator, send, say, clock, wall
        self._times = times
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._recall(kept.all())
        self.desk = Desk(annotator, self._sent, self._show, fail, kept, clock, ahead=0)
        self._occupancy, self._leased = Occupancy(), asyncio.Event()
        self.leased: Leased | None = None
        """What the trainer said last."""
        self.is_trainer_here = False

    def _recall(self, kept: Iterable[tuple[Answer, str]]) -> None:
        for answer, status in kept:
            told = self._told[answer.id] = _Told((answer.question, answer.action, answer.value), self._clock())
            told.said.set()
            if status:
                self._settle(told, status, "")

    # --- what the trainer says

    def heard(self, message: FromTrainer) -> None:
        why = message.why if isinstance(message, QuestionClosed) else NOT_LEASED
        self._telling(lambda: self.desk.heard(message), why)
        if isinstance(message, Leased) and message.annotator == self.annotator:
            self.leased = message
            self._leased.set()

    def _telling(self, change: Callable[[], None], why: str) -> None:
        """Do it, and tell the pages what came and what went."""
        before = {one.id for one in self.desk.machine.questions()}
        change()
        after = {one.id for one in self.desk.machine.questions()}
        for gone in sorted(before - after):
            self._say("closed", {"question": gone, "why": why})
        if after - before:
            self._say("questions", {})

    def trainer(self, here: bool) -> None:
        self.is_trainer_here = here
        self.desk.handle(TrainerSeen(self._clock()) if here else TrainerGone(self._clock()))

    # --- who is there

    async def hold(self, ahead: int) -> None:
        """Somebody asks for so many questions. Who was not there before waits until the trainer has said what there is."""
        self._occupancy.use(self._clock())
        held = self.desk.machine.holding.ahead
        if ahead != held:
            self._want(ahead)
        if not held:
            await self._hear()

    async def lease(self, ahead: int, gives: tuple[str, ...]) -> None:
        """So many, whatever was held before, and these not; 0: nobody is there any more."""
        self._occupancy.use(self._clock())
        self._want(ahead, gives)
        if ahead:
            await self._hear()

    def tick(self, pages: int) -> None:
        """`pages`: that are open."""
        at = self._clock()
        self._occupancy.look(at, pages)
        seconds = LEASE_S if self.leased is None else self.leased.seconds
        if self.desk.machine.holding.ahead and not self._occupancy.is_there(at, seconds):
            self._want(0)
        self.desk.tick()

    def _want(self, ahead: int, gives: tuple[str, ...] = ()) -> None:
        self._leased.clear()
        self._telling(lambda: self.desk.handle(Wanted(ahead, self._clock(), gives)), NOT_LEASED)

    async def _hear(self) -> None:
        """LEASED, when there is a trainer and it says it soon."""
        if self.is_trainer_here:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leased.wait(), LEASED_S)

    @property
    def seconds(self) -> float | None:
        """Until its leases end; None: there are none."""
        until = self.desk.machine.holding.until
        return None if until is None else max(0.0, until - self._clock())

    # --- what the page says

    def knows(self, id: str) -> bool:
        """A word with this id is its own."""
        return id in self._told

    async def take(self, word: Word) -> Verdict:
        """What became of it. Raises: Problem, when nothing did."""
        self._occupancy.use(self._clock())
        told = self._told.get(word.id) or self._begin(word)
        if told.essence != word.essence:
            raise id_taken()
        await self._wait(told)
        return told.verdict or self._kept(word.id)

    def _begin(self, word: Word) -> _Told:
        told = _Told(word.essence, self._clock())
        if (known := self._verdict_now(word)) is not None:
            told.verdict = known
            told.over.set()
            return told
        self._told[word.id] = told
        self._trim()
        wall = self._wall()
        if word.at is not None:
            wall = min(word.at, wall)  # no clock of a browser is ahead of this one
        said = (word.question, word.action, word.value, word.id, wall, self._clock(), 0, word.circumstances)
        self.desk.handle(Replied(*said))
        return told

    def _verdict_now(self, word: Word) -> Verdict | None:
        """None: the trainer says it. Raises: Problem."""
        machine = self.desk.machine
        decision = machine.decided(word.question)
        if word.action in (Action.UNDO, Action.REVISE):
            self._check_change(word)
        elif word.question not in {one.id for one in machine.questions()}:
            if decision is not None:
                return self._again(word, decision.answer)
            if len(machine.unsent) >= MAX_UNSENT:
                raise Problem(
                    503,
                    f"{MAX_UNSENT} answers wait for the trainer: no more are taken until it is back.",
                    retry_after_s=5,
                )
        return None

    def _check_change(self, word: Word) -> None:
        if word.question not in {one.answer.question for one in self.desk.machine.history()}:
            what = "taken back" if word.action is Action.UNDO else "changed"
            raise Problem(
                409, f"There is no answer of yours that can be {what} there: the last {LAST} can, each undone once."
            )
        if len(self.desk.machine.unsent) >= MAX_UNSENT + HISTORY:
            raise Problem(
                503, "Too many answers wait for the trainer: undo and revise when it is back.", retry_after_s=5
            )

    def _again(self, word: Word, before: Answer) -> Verdict:
        """A second word on a question that is decided: harmless when it is the same."""
        if (word.action, word.value) == (before.action, before.value):
            return Verdict(200, "duplicate", WORDS["duplicate"])
        said = before.action.value if before.value is None else str(before.value)
        raise Problem(
            409, f"You have decided this question already ({said}); to change it, revise it.", word="conflict"
        )

    async def _wait(self, told: _Told) -> None:
        """Until it is settled; when the trainer is away, until it is on the disk."""
        try:
            async with asyncio.timeout(TRAINER_S):
                if not self.is_trainer_here:
                    await told.said.wait()
                else:
                    await told.over.wait()
        except TimeoutError:
            return

    def _kept(self, id: str) -> Verdict:
        if any(answer.id == id for answer in self.desk.machine.unkept):
            raise Problem(
                503,
                "The disk here does not take it and the trainer has not confirmed it: keep it and say it again.",
                retry_after_s=1,
            )
        return Verdict(202, "kept", "It is kept here; the trainer has not confirmed it yet.")

    # --- what it becomes

    def _sent(self, message: Answer | Lease) -> None:
        if isinstance(message, Answer) and (told := self._told.get(message.id)) is not None:
            told.said.set()
        self._send(message)

    def _show(self, command: Command) -> None:
        match command:
            case Tell(receipt=receipt):
                self._receipt(receipt)
            case Unkept(text=text):
                self._notice("warning", f"An answer is not kept on this disk yet ({text}); it is sent all the same.")
            case Full(unsent=unsent):
                told = f"{answers_in_words(unsent)} have no receipt: nothing is asked until half of them have one."
                self._notice("warning", told)

    def _receipt(self, receipt: AnswerReceipt) -> None:
        told = self._told.get(receipt.id)
        verdict = _verdict(receipt.status, receipt.text)
        if told is not None and receipt.status != "storage_full":
            self._times.observe(self._clock() - told.since)
            told.verdict = verdict
            told.over.set()
        told_in = {"id": receipt.id, "question": receipt.question, "status": receipt.status, "text": verdict.text}
        self._say("receipt", told_in)

    def _settle(self, told: _Told, status: str, text: str) -> None:
        told.verdict = _verdict(status, text)
        told.over.set()

    def _notice(self, level: str, text: str) -> None:
        self._say("notice", {"level": level, "text": text})

    def _trim(self) -> None:
        """Settled ones only: there are never more of the others than the machine takes."""
        for name in list(self._told):
            if len(self._told) <= REMEMBERED:
                return
            if self._told[name].over.is_set():
                del self._told[name]

    # --- what it shows

    def questions(self, hold: int) -> list[Form]:
        machine = self.desk.machine
        if machine.phase in ("full", "leaving"):
            return []
        ends = None if self.seconds is None else round(self._wall() + self.seconds, 3)
        found = machine.questions()[:hold]
        return [question_form(question, ends if question.annotator else None) for question in found]

    def history(self, before: str | None, limit: int) -> list[Form]:
        """The decisions that stand, newest first; those earlier than that of question `before`. Raises: Problem."""
        found = self.desk.machine.history()[::-1]
        if before is not None:
            places = [place for place, one in enumerate(found) if one.answer.question == before]
            if not places:
                raise Problem(400, "before must be the question of a decision of yours that stands.")
            found = found[places[0] + 1 :]
        return [self._past(one.answer, one.question) for one in found[:limit]]

    def _past(self, answer: Answer, question: Question | None) -> Form:
        told = self._told.get(answer.id)
        status = told.verdict.status if told is not None and told.verdict is not None else "kept"
        shown = None if question is None else question_form(question, None)
        said = {"id": answer.id, "question": answer.question, "action": answer.action.value, "value": answer.value}
        return {**said, "at": answer.at, "status": status, "Q": shown}

    # --- its end

    async def leave(self, patience_s: float) -> str:
        """Nothing is asked any more; what could not be delivered, in words."""
        self.desk.handle(Left(self._clock()))
        try:
            await asyncio.wait_for(self.desk.drained.wait(), patience_s)
        except TimeoutError:
            return f"{self.annotator}: kept here and sent by the next start: {told_in_words(self.desk.machine.unsent)}"
        return ""


def id_taken() -> Problem:
    return Problem(409, "This id belongs to another answer: each answer needs an id of its own.")


def _verdict(status: str, text: str) -> Verdict:
    return Verdict(CODES.get(status, 200), status, text or WORDS.get(status, ""))
