"""Who gets which open question, when an item has enough answers, and what is out of turn. Knows annotators, leases and what was
said; not what is worth asking (the asking machines), the wire, the store or clocks.

Phases: claiming (just after a restart, when questions of before go only to who has them still), leasing. A lease is a hold with
an end; LEASE moves the end. An answer needs no lease.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

from active_learner.core.asking_events import (
    AnswerStored,
    CloseQuestions,
    QuestionPassed,
    QuestionReopened,
    QuestionResolved,
    TakenBack,
    Tick,
)
from active_learner.core.leasing_events import (
    ALL_TAKEN,
    CLAIMING,
    NO_SEAT,
    NOTHING_OPEN,
    Command,
    Event,
    LeaseAsked,
    PeerLeft,
    QuestionsClosed,
    QuestionsOpened,
    SayLeased,
    SayQuestion,
    TakeBackWanted,
)
from active_learner.core.machine import Machine
from active_learner.core.records import AskedQuestion, LabelEvent
from active_learner.core.resends import Backoff
from active_learner.core.seats import MOST_HELD, MOST_SEATS, SEATS_EACH, Hold, Item, Items, Seat, owner
from active_learner.core.voting import SAYING
from active_learner.core.words import Enough, Words

CLAIM_S = 0.5
"""Labelers say LEASE as soon as they see the trainer; who claims what it has is in time after that long."""

REPEAT = Backoff(0.5, 5.0)
"""A question that is not among what its annotator says to hold is said again."""


class Leasing(Machine[Event, Command]):
    """`open_questions` of an earlier trainer, in the order of asking; `said`: all label events there are."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("*", "opened"): "_open",
        ("*", "closed"): "_close",
        ("*", "take back"): "_take_back",
        ("*", "lease"): "_lease",
        ("*", "lease, no more"): "_give_back_all",
        ("*", "lease, no seat"): "_refuse_seat",
        ("*", "peer left"): "_leave",
        ("*", "answer"): "_hear_answer",
        ("*", "answer, not open"): "_close_answered",
        ("*", "undo"): "_hear_undo",
        ("*", "pass"): "_hear_pass",
        ("*", "no effect"): "_wait",
        ("claiming", "claims over"): "_begin",
        ("*", "expired"): "_expire",
        ("*", "unseen"): "_say_again",
        ("claiming", "tick"): "_wait_for_claims",
        ("leasing", "tick"): "_wait",
    }

    def __init__(
        self,
        enough: Enough,
        lease_s: float,
        *,
        open_questions: Sequence[AskedQuestion] = (),
        said: Iterable[LabelEvent] = (),
    ) -> None:
        super().__init__("claiming" if open_questions else "leasing")
        self._enough, self.lease_s = enough, lease_s
        self._words = Words(said)
        self._claims_until = math.inf
        self._items = Items()
        self._seats: dict[str, Seat] = {}
        for question in open_questions:
            self._items.put(question).reserved = True

    # --- what others may know

    @property
    def open(self) -> int:
        return len(self._items)

    @property
    def held(self) -> int:
        """Open questions that somebody holds."""
        return sum(bool(item.holders) for item in self._items)

    @property
    def people(self) -> int:
        return len(self._here())

    @property
    def had(self) -> int:
        """Open questions that the one of those here who has had most will not get (again)."""
        return self._words.most_had((item.question for item in self._items), self._here())

    def _here(self) -> list[str]:
        return [seat.annotator for seat in self._seats.values() if seat.is_here]

    @property
    def waiting(self) -> int:
        """Open ones that nobody holds and that lack an answer."""
        return sum(not item.holders for item in self._items if self._lacks(item) > 0)

    # --- what an event is now

    def classify(self, event: Event) -> str:
        match event:
            case QuestionsOpened():
                return "opened"
            case QuestionsClosed():
                return "closed"
            case TakeBackWanted():
                return "take back"
            case LeaseAsked():
                return self._classify_lease(event)
            case PeerLeft():
                return "peer left"
            case AnswerStored():
                return self._classify_answer(event)
            case Tick(at=at):
                return self._classify_tick(at)

    def _classify_lease(self, event: LeaseAsked) -> str:
        if event.wants <= 0:
            return "lease, no more"
        seat = self._seats.get(event.annotator)
        if seat is not None and owner(seat.peer) == owner(event.peer):
            return "lease"
        own = sum(owner(seat.peer) == owner(event.peer) for seat in self._seats.values())
        is_full = own >= SEATS_EACH or (seat is None and len(self._seats) >= MOST_SEATS)
        return "lease, no seat" if is_full else "lease"

    def _classify_answer(self, event: AnswerStored) -> str:
        if event.status not in ("stored", "late"):
            return "no effect"
        if event.event.action == "undo":
            return "undo"
        if event.event.action not in SAYING:
            return "pass"
        return "answer" if self._items.about(event.event.key) else "answer, not open"

    def _classify_tick(self, at: float) -> str:
        if self.phase == "claiming" and at >= self._claims_until:
            return "claims over"
        if any(seat.until <= at for seat in self._seats.values()) or any(
            hold.until <= at for item in self._items for hold in item.holders.values()
        ):
            return "expired"
        return "unseen" if any(self._unseen(at)) else "tick"

    # --- items

    def _lacks(self, item: Item) -> int:
        votes = self._words.votes(item.question.key).values()
        return self._enough.needed(votes) - len(votes)

    def _may_have(self, annotator: str, item: Item) -> bool:
        if annotator in item.holders or len(item.holders) >= self._lacks(item):
            return False
        return not self._words.has_had(annotator, item.question.key, item.question.id)

    def _open(self, event: QuestionsOpened) -> list[Command]:
        done: list[Command] = []
        for question in event.questions:
            if question.id not in self._items:
                item = self._items.put(question)
                done += self._resolve([item], (question.id,), event.at) if self._lacks(item) <= 0 else []
                self._favour(item, event.at)
        return [*done, *self._settle(event.at)]

    def _resolve(self, items: Sequence[Item], asked: tuple[str, ...], at: float) -> list[Command]:
        """Their sample has its answers; one that is opened may have had them, to an earlier question about it."""
        for item in items:
            self._items.drop(item)
        return [CloseQuestions(asked, "answered"), *(QuestionResolved(item.question.id, at) for item in items)]

    def _favour(self, item: Item, at: float) -> None:
        """Who took its word back has it on the screen again: nobody else gets it first."""
        for seat in self._seats.values():
            if item.question.id in seat.undone and self._may_have(seat.annotator, item):
                item.holders[seat.annotator] = Hold(at + self.lease_s, REPEAT.now(at))

    def _close(self, event: QuestionsClosed) -> list[Command]:
        for item in self._items.among(event.ids):
            self._items.drop(item)
        return [CloseQuestions(event.ids, event.why), *self._settle(event.at)]

    def _take_back(self, event: TakeBackWanted) -> list[Command]:
        there = [item for item in self._items.among(event.ids) if self._is_untouched(item)]
        for item in there:
            self._items.drop(item)
        taken = tuple(item.question.id for item in there)
        closing: list[Command] = [CloseQuestions(taken, "re-ranked")] if taken else []
        return [*closing, TakenBack(taken, event.at), *self._settle(event.at)]

    def _is_untouched(self, item: Item) -> bool:
        return (
            not item.holders and not item.reserved and not self._words.is_touched(item.question.key, item.question.id)
        )

    # --- annotators

    def _lease(self, event: LeaseAsked) -> list[Command]:
        seat = self._seats.get(event.annotator)
        is_new = seat is None or (seat.peer, seat.session) != (event.peer, event.session)
        if seat is None or is_new:
            undone = () if seat is None else seat.undone
            seat = self._seats[event.annotator] = Seat(event.annotator, event.peer, event.session, undone)
        self._unsee(event, is_new)
        seat.wants, seat.until, seat.is_here = min(event.wants, MOST_HELD), event.at + self.lease_s, True
        self._claim(event)
        for item in self._items.among(event.gives):
            item.holders.pop(event.annotator, None)
        return [*self._settle(event.at), self._leased(seat)]

    def _unsee(self, event: LeaseAsked, is_new: bool) -> None:
        """What it does not name it has not (any more): another process sits there, its answer was refused, or it was told that the
        lease is somebody else's."""
        due = REPEAT.now(event.at) if is_new else REPEAT.first(event.at)
        for item in self._items.held_by(event.annotator):
            hold = item.holders[event.annotator]
            if item.question.id not in event.holds and (is_new or hold.is_seen):
                hold.is_seen, hold.due = False, due

    def _claim(self, event: LeaseAsked) -> None:
        held = len(self._items.held_by(event.annotator))
        for item in self._items.among(event.holds):
            hold = item.holders.get(event.annotator)
            if hold is None and held < MOST_HELD and self._may_have(event.annotator, item):
                hold = item.holders[event.annotator] = Hold(0.0, REPEAT.first(event.at))
                held += 1
            if hold is not None:
                hold.until, hold.is_seen = event.at + self.lease_s, True

    def _leased(self, seat: Seat) -> SayLeased:
        holds = tuple(item.question.id for item in self._items.held_by(seat.annotator))
        return SayLeased(seat.annotator, seat.peer, holds, self.waiting, self._why_no_more(len(holds), seat.wants))

    def _why_no_more(self, held: int, wants: int) -> str:
        if held >= wants:
            return ""
        if self.phase == "claiming":
            return CLAIMING
        return ALL_TAKEN if len(self._items) > held else NOTHING_OPEN

    def _give_back_all(self, event: LeaseAsked) -> list[Command]:
        self._seats.pop(event.annotator, None)
        for item in self._items.held_by(event.annotator):
            del item.holders[event.annotator]
        return [*self._settle(event.at), SayLeased(event.annotator, event.peer, (), self.waiting, "")]

    def _refuse_seat(self, event: LeaseAsked) -> list[Command]:
        return [SayLeased(event.annotator, event.peer, (), self.waiting, NO_SEAT)]

    def _leave(self, event: PeerLeft) -> list[Command]:
        for seat in self._seats.values():
            if seat.peer == event.peer:
                seat.is_here = False
        return [*self._settle(event.at)]

    # --- words

    def _hear_answer(self, event: AnswerStored) -> list[Command]:
        self._words.take(event.event)
        items = self._items.about(event.event.key)
        for item in items:
            item.holders.pop(event.event.annotator, None)
        if self._lacks(items[0]) > 0:
            return [told for item in items for told in self._take_from_last(item)] + self._settle(event.at)
        asked = tuple(dict.fromkeys((*(item.question.id for item in items), event.event.question)))
        return [*self._resolve(items, asked, event.at), *self._settle(event.at)]

    def _take_from_last(self, item: Item) -> list[Command]:
        """Somebody without a lease answered: fewer are needed than hold it."""
        told: list[Command] = []
        while len(item.holders) > self._lacks(item):
            name, _ = item.holders.popitem()
            told += [self._leased(self._seats[name])] if name in self._seats else []
        return told

    def _close_answered(self, event: AnswerStored) -> list[Command]:
        """Of an item that is not open (any more): its labelers are told once more, should they have it still."""
        self._words.take(event.event)
        return [CloseQuestions((event.event.question,), "answered")]

    def _hear_undo(self, event: AnswerStored) -> list[Command]:
        self._words.take(event.event)
        seat = self._seats.get(event.event.annotator)
        if seat is not None:
            seat.remember_undone(event.event.question)
        item = self._items.get(event.event.question)
        if item is not None:
            self._favour(item, event.at)
        return [*self._settle(event.at)]

    def _hear_pass(self, event: AnswerStored) -> list[Command]:
        self._words.take(event.event)
        for item in self._items.about(event.event.key):
            if self._words.has_had(event.event.annotator, event.event.key, item.question.id):
                item.holders.pop(event.event.annotator, None)
        return [*self._settle(event.at)]

    # --- time

    def _wait_for_claims(self, event: Tick) -> list[Command]:
        """From the first look at the clock on: before that nobody could be heard."""
        self._claims_until = min(self._claims_until, event.at + CLAIM_S)
        return []

    def _begin(self, event: Tick) -> list[Command]:
        self.phase = "leasing"
        for item in self._items:
            item.reserved = False
        return [*self._settle(event.at)]

    def _expire(self, event: Tick) -> list[Command]:
        gone = {name for name, seat in self._seats.items() if seat.until <= event.at}
        for name in gone:
            del self._seats[name]
        for item in self._items:
            item.holders = {
                name: hold for name, hold in item.holders.items() if name not in gone and hold.until > event.at
            }
        return [*self._settle(event.at)]

    def _unseen(self, at: float) -> Iterable[tuple[Item, Seat, Hold]]:
        for item in self._items:
            for name, hold in item.holders.items():
                seat = self._seats.get(name)
                if seat is not None and seat.is_here and not hold.is_seen and hold.due.at <= at:
                    yield item, seat, hold

    def _say_again(self, event: Tick) -> list[Command]:
        said: list[Command] = []
        for item, seat, hold in self._unseen(event.at):
            hold.due = REPEAT.next(hold.due, event.at)
            said.append(SayQuestion(item.question, seat.annotator, seat.peer))
        return said

    def _wait(self, _: Event) -> list[Command]:
        return []

    # --- after every change

    def _settle(self, at: float) -> list[Command]:
        """Give out what can be given, say what is new, and tell what everybody has passed."""
        self._give_out(at)
        said = self._say_again(Tick(at))
        for item in self._items:
            passed = self._is_passed(item)
            if passed != item.passed:
                item.passed = passed
                told = QuestionPassed if passed else QuestionReopened
                said.append(told(item.question.id, at))
        return said

    def _give_out(self, at: float) -> None:
        """In the order in which questions were opened, each to the one who has least."""
        has = Counter(name for item in self._items for name in item.holders)
        room = {s.annotator: s.wants for s in self._seats.values() if s.is_here and s.wants > has[s.annotator]}
        for item in self._items:
            missing = 0 if item.reserved or not room else self._lacks(item) - len(item.holders)
            for _ in range(missing):
                free = [name for name in room if self._may_have(name, item)]
                if not free:
                    break
                taker = min(free, key=has.__getitem__)
                item.holders[taker] = Hold(at + self.lease_s, REPEAT.now(at))
                has[taker] += 1
                if has[taker] >= room[taker]:
                    del room[taker]

    def _is_passed(self, item: Item) -> bool:
        """Nobody holds it, everybody who is here (somebody is) has had it, and it still lacks an answer: somebody passed it, or
        all that is missing is one who judges between the others."""
        here, key, question = self._here(), item.question.key, item.question.id
        if item.holders or not here or not all(self._words.has_had(name, key, question) for name in here):
            return False
        votes = len(self._words.votes(key))
        return votes >= self._enough.labels_per_item or self._words.is_passed(key, question)
