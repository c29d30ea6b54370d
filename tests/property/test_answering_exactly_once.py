"""Under lost, doubled, reordered and delayed messages, and kills of the labeler: every reply takes effect exactly once, and in its order.

The trainer is a model of the store's promise (stores/base.py): an event is keyed by its id and by (question, annotator,
revision), and of several events the last counts.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core.answering import Answering
from active_learner.core.answering_events import (
    Ask,
    Forget,
    Keep,
    Kept,
    Left,
    NothingThere,
    NotKept,
    QuestionArrived,
    QuestionGone,
    ReceiptArrived,
    Replied,
    Rest,
    Send,
    Tell,
    Tick,
    TrainerSeen,
)
from protocol.messages import Action, Answer, AnswerReceipt, Question, QuestionClosed

Message = Question | QuestionClosed | Answer | AnswerReceipt


def question(number: int) -> Question:
    return Question(
        id=f"q{number}", key=f"k{number}", features=np.zeros(1), media="table", classes=3, round=number // 5,
        strategy="margin", score=0.0, rank=number % 5, model_version=0, stale=False, pool=9,
    )  # fmt: skip


class TrainerModel:
    """Stores, answers, closes what is answered, opens again what is undone, and asks until then."""

    def __init__(self) -> None:
        self.events: list[Answer] = []
        self.open: dict[str, Question] = {}
        self.full = False

    def ask(self, question: Question) -> Message:
        self.open[question.id] = question
        return question

    def hear(self, answer: Answer) -> list[Message]:
        status = self._store(answer)
        replies: list[Message] = [AnswerReceipt(answer.id, answer.question, status, "")]
        if (
            status == "stored"
            and answer.action in (Action.ANSWER, Action.REVISE)
            and self.open.pop(answer.question, None)
        ):
            replies.append(QuestionClosed(answer.question, "answered"))
        return replies

    def _store(self, answer: Answer) -> str:
        if self.full:
            return "storage_full"
        if any(event.id == answer.id for event in self.events):
            return "duplicate"
        if any((event.question, event.revision) == (answer.question, answer.revision) for event in self.events):
            return "conflict"
        self.events.append(answer)
        return "stored"

    def last(self, question: str) -> Answer | None:
        return next((event for event in reversed(self.events) if event.question == question), None)


class World:
    """One labeler and one trainer with a bad network between them; `random` is the network, the person and the clock."""

    def __init__(self, seed: int, machine: Answering | None = None) -> None:
        self.random = Random(seed)
        self.machine = machine or Answering("ann", resend_s=1.0)
        self.trainer = TrainerModel()
        self.up: list[Answer] = []
        self.down: list[Message] = []
        self.at, self.number, self.turn = 0.0, 0, 0
        self.asked: Question | None = None
        self.replies: dict[str, list[tuple[str, Action, int | None]]] = {}
        """What the person did, by question, in order; the truth."""
        self.told: list[str] = []

    def handle(self, event: object) -> None:
        for command in self.machine.handle(event):  # type: ignore[arg-type]
            match command:
                case Send(answer=answer):
                    self.up.append(answer)
                case Ask(question=question, turn=turn):
                    self.asked, self.turn = question, turn
                case Rest(turn=turn):
                    self.asked, self.turn = None, turn
                case Tell(receipt=receipt) if receipt.status != "storage_full":
                    self.told.append(receipt.id)
                case NothingThere():
                    raise AssertionError("the person only undoes what stands")

    def reply(self, question: str, action: Action, value: int | None) -> None:
        self.number += 1
        made = f"a{self.number}"
        self.replies.setdefault(question, []).append((made, action, value))
        self.handle(Replied(question, action, value, made, 0.0, self.at, self.turn))

    def person(self) -> None:
        standing = self.machine.history()
        choice = self.random.random()
        if standing and choice < 0.2:
            self.reply(self.random.choice(standing).answer.question, Action.UNDO, None)
        elif standing and choice < 0.3:
            self.reply(self.random.choice(standing).answer.question, Action.REVISE, self.random.randrange(3))
        elif self.asked is not None and choice < 0.4:
            self.reply(self.asked.id, Action.SKIP, None)
        elif self.asked is not None:
            self.reply(self.asked.id, Action.ANSWER, self.random.randrange(3))

    def network(self, bad: bool) -> None:
        """Deliver one message, perhaps not the oldest, perhaps twice, perhaps never."""
        for queue, deliver in ((self.up, self.to_trainer), (self.down, self.to_labeler)):
            if not queue:
                continue
            message = queue.pop(self.random.randrange(min(4, len(queue))) if bad else 0)
            luck = self.random.random() if bad else 1.0
            if luck < 0.2:
                continue
            if luck < 0.4:
                queue.insert(self.random.randrange(len(queue) + 1), message)
            deliver(message)  # type: ignore[operator]

    def to_trainer(self, answer: Answer) -> None:
        self.down += self.trainer.hear(answer)

    def to_labeler(self, message: Message) -> None:
        match message:
            case Question():
                self.handle(QuestionArrived(message))
            case QuestionClosed(id=id, why=why):
                self.handle(QuestionGone(id, why))
            case AnswerReceipt():
                self.handle(ReceiptArrived(message, self.at))

    def step(self, number: int) -> None:
        choice = self.random.randrange(10)
        if choice == 0:
            self.down.append(self.trainer.ask(question(number)))
        elif choice == 1:
            self.down += self.trainer.open.values()
        elif choice == 2:
            self.at += self.random.random() * 3
            self.handle(Tick(self.at))
        elif choice == 3 and self.random.random() < 0.3:
            self.trainer.full = not self.trainer.full
        elif choice == 4 and self.random.random() < 0.3:
            self.handle(TrainerSeen(self.at))
        elif choice < 7:
            self.person()
        else:
            self.network(bad=True)

    def heal(self) -> None:
        """The network is good again: everything must arrive within a few re-sends."""
        self.trainer.full = False
        for _ in range(20):
            self.at += 20.0
            self.handle(Tick(self.at))
            while self.up or self.down:
                self.network(bad=False)

    def check(self) -> None:
        done = {question: [made for made, _, _ in replies] for question, replies in self.replies.items()}
        stored: dict[str, list[str]] = {}
        for event in self.trainer.events:
            stored.setdefault(event.question, []).append(event.id)
        assert self.machine.unsent == []
        assert stored == done, "each reply once, in the order of the person"
        assert sorted(self.told) == sorted(one for ids in done.values() for one in ids), "each receipt told once"
        for question, replies in self.replies.items():
            last = self.trainer.last(question)
            assert last is not None
            assert (last.action, last.value) == replies[-1][1:]
            assert [e.revision for e in self.trainer.events if e.question == question] == list(range(len(replies)))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(10, 150))
def test_every_reply_takes_effect_once_and_in_order(seed: int, steps: int) -> None:
    world = World(seed)
    for number in range(steps):
        world.step(number)
    world.heal()
    world.check()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_who_leaves_still_delivers(seed: int) -> None:
    world = World(seed)
    for number in range(80):
        world.step(number)
    world.handle(Left(world.at))
    world.heal()
    world.check()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_who_answers_everything_closes_everything(seed: int) -> None:
    world = World(seed)
    for number in range(60):
        world.step(number)
    world.heal()
    for _ in range(200):
        world.down += world.trainer.open.values()
        world.heal()
        if world.asked is None:
            break
        world.reply(world.asked.id, Action.ANSWER, 1)
    left = {one for one in world.trainer.open if world.replies[one][-1][1] is not Action.SKIP}
    assert left == set(), "open are only those that were skipped"


class _SendsAllAtOnce(Answering):
    """Mutant: an undo does not wait for the receipt of what it takes back."""

    def _record(self, event, question):  # type: ignore[no-untyped-def]
        super()._record(event, question)
        return [Send(self.unsent[-1])]


class _ForgetsOnSend(Answering):
    """Mutant: a sent answer is taken for delivered."""

    def _record(self, event, question):  # type: ignore[no-untyped-def]
        commands = super()._record(event, question)
        for pending in [one for one in self._unsent if one.answer.id == event.id]:
            self._unsent.pop(pending, event.at)
        return commands


class _NewIds(Answering):
    """Mutant: an answer that is sent again is another answer."""

    def _send_due(self, event):  # type: ignore[no-untyped-def]
        sent = super()._send_due(event)
        return [Send(Answer(f"{c.answer.id}+", *_rest(c.answer))) for c in sent if isinstance(c, Send)]


def _rest(answer: Answer) -> tuple[object, ...]:
    return (answer.question, answer.annotator, answer.revision + 100, answer.action, answer.value, answer.at)


@pytest.mark.parametrize("mutant", [_SendsAllAtOnce, _ForgetsOnSend, _NewIds])
def test_the_properties_catch_a_broken_machine(mutant: type[Answering]) -> None:
    caught = 0
    for seed in range(30):
        world = World(seed, mutant("ann", resend_s=1.0))
        try:
            for number in range(120):
                world.step(number)
            world.heal()
            world.check()
        except (AssertionError, KeyError):
            caught += 1
    assert caught > 0


# --- with a disk, and kills ---------------------------------------------------------------------------------------


class MortalWorld(World):
    """A labeler that keeps its answers, is killed at any time, and recalls what it had kept. Its disk is slow and may be full."""

    def __init__(self, seed: int, machine: type[Answering] = Answering) -> None:
        self.make = machine
        super().__init__(seed, machine("ann", resend_s=1.0, keeps=True))
        self.disk: dict[str, tuple[Answer, str]] = {}
        self.work: list[Keep | Forget] = []
        """Of the disk, done one after the other."""
        self.disk_full = False
        self.lost: set[str] = set()
        """Replies of a killed process that were on no disk: they may have got to the trainer, or not."""
        self.refused: set[str] = set()

    def handle(self, event: object) -> None:
        for command in self.machine.handle(event):  # type: ignore[arg-type]
            match command:
                case Keep() | Forget():
                    self.work.append(command)
                case Send(answer=answer):
                    self.up.append(answer)
                case Ask(question=question, turn=turn):
                    self.asked, self.turn = question, turn
                case Rest(turn=turn):
                    self.asked, self.turn = None, turn
                case Tell(receipt=receipt) if receipt.status == "conflict":
                    self.refused.add(receipt.id)

    def step(self, number: int) -> None:
        luck = self.random.random()
        if luck < 0.03:
            self.kill()
        elif luck < 0.06:
            self.disk_full = not self.disk_full
        elif luck < 0.3 and self.work:
            self.work_of_the_disk()
        else:
            super().step(number)

    def work_of_the_disk(self) -> None:
        match self.work.pop(0):
            case Keep(answer=answer) if self.disk_full:
                self.handle(NotKept(answer.id, "no space", self.at))
            case Keep(answer=answer):
                self.disk[answer.id] = (answer, "")
                self.handle(Kept(answer.id, self.at))
            case Forget(id=id, status=status) if id in self.disk:
                self.disk[id] = (self.disk[id][0], status)

    def kill(self) -> None:
        unsure = {answer.id for answer in self.machine.unsent} - self.disk.keys()
        self.lost |= unsure
        self.work, self.asked = [], None
        self.down = []
        self.machine = self.make("ann", resend_s=1.0, keeps=True, kept=list(self.disk.values()))

    def heal(self) -> None:
        self.disk_full = False
        for _ in range(20):
            while self.work:
                self.work_of_the_disk()
            super().heal()

    def check(self) -> None:
        stored = [event.id for event in self.trainer.events]
        given = [made for replies in self.replies.values() for made, _, _ in replies]
        assert self.machine.unsent == []
        assert len(stored) == len(set(stored)), "each reply at most once"
        must = [made for made in given if made not in self.lost and made not in self.refused]
        assert set(must) <= set(stored), "whatever was kept, or sent and confirmed, is there"
        assert set(stored) <= set(given), "and nothing else"
        assert all(status for _, status in self.disk.values())


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(10, 200))
def test_a_labeler_that_is_killed_again_and_again_loses_nothing_that_it_kept(seed: int, steps: int) -> None:
    world = MortalWorld(seed)
    for number in range(steps):
        world.step(number)
    world.heal()
    world.check()


class _TrustsItsOutbox(Answering):
    """Mutant: what it recalls is taken for delivered."""

    def _recall(self, kept):  # type: ignore[no-untyped-def]
        super()._recall([(answer, status or "stored") for answer, status in kept])


def test_the_property_of_kills_catches_a_labeler_that_forgets_its_outbox() -> None:
    caught = 0
    for seed in range(30):
        world = MortalWorld(seed, _TrustsItsOutbox)
        try:
            for number in range(150):
                world.step(number)
            world.heal()
            world.check()
        except (AssertionError, KeyError):
            caught += 1
    assert caught > 0
