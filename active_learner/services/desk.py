"""One annotator's place in a labeler's process: the answering machine and its file. Knows no face (oracle, page) and no
connection: what is to be said and shown is handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from active_learner.core.answering import Answering
from active_learner.core.answering_events import (
    Command,
    Drained,
    Event,
    Forget,
    Keep,
    LeasedArrived,
    QuestionArrived,
    QuestionGone,
    ReceiptArrived,
    SayLease,
    Send,
    Tick,
)
from active_learner.core.holding import AHEAD
from active_learner.crash_points import reach
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.peer import Peer
from active_learner.services.outbox_lane import OutboxLane
from active_learner.services.pump import Pump
from active_learner.services.shell import jitter, meet
from protocol.messages import Answer, AnswerReceipt, Lease, Leased, Question, QuestionClosed

TICK_S = 0.1
"""Between two calls of `tick`: an answer that is due is sent again at most that much later."""

FromTrainer = Question | QuestionClosed | Leased | AnswerReceipt


class Desk:
    """Every shell of an Answering machine has one for each annotator."""

    def __init__(
        self,
        annotator: str,
        send: Callable[[Answer | Lease], None],
        show: Callable[[Command], None],
        fail: Callable[[BaseException], None],
        kept: KeptAnswers | None,
        clock: Callable[[], float],
        ahead: int = AHEAD,
    ) -> None:
        """`ahead`: questions that are to be held at first. `show`: does the commands that concern the annotator. `kept`: where
        answers are kept until the trainer has them, closed by `close`. None: in memory alone."""
        before = () if kept is None else kept.all()
        self.machine = Answering(annotator, jitter=jitter, keeps=kept is not None, kept=before, ahead=ahead)
        self.drained = asyncio.Event()
        """The annotator has left, and every answer has its receipt."""
        self._send, self._show, self._clock = send, show, clock
        self._pump = Pump(self.machine, self._do, fail)
        self._lane = None if kept is None else OutboxLane(kept, self._pump.handle, clock)
        self._torn = "" if kept is None else kept.note

    def handle(self, event: Event) -> None:
        self._pump.handle(event)

    def heard(self, message: FromTrainer) -> None:
        """The trainer said it."""
        match message:
            case Question():
                reach("labeler.question_heard")
                self.handle(QuestionArrived(message))
            case QuestionClosed(id=id, why=why):
                self.handle(QuestionGone(id, why))
            case Leased():
                self.handle(LeasedArrived(message, self._clock()))
            case AnswerReceipt():
                reach("labeler.receipt_heard")
                self.handle(ReceiptArrived(message, self._clock()))

    def tick(self) -> None:
        self.handle(Tick(self._clock()))

    def left_behind(self) -> Iterator[str]:
        """By an earlier process of this annotator, in words: the machine sends it as soon as the trainer is seen, before
        anything else."""
        if self._torn:
            yield self._torn
        if left := len(self.machine.unsent):
            yield f"{answers_in_words(left)} of an earlier start had no receipt: sent again"

    async def close(self) -> None:
        """When the disk has all that was to be kept. A second call does nothing."""
        lane, self._lane = self._lane, None
        if lane is not None:
            await lane.close()

    def _do(self, command: Command) -> None:
        match command:
            case Keep(answer=answer) if self._lane is not None:
                self._lane.keep(answer)
            case Forget(id=id, status=status) if self._lane is not None:
                self._lane.settle(id, status)
            case Keep() | Forget():
                pass
            case Send(answer=answer):
                self._send(answer)
                reach("labeler.answer_sent")
            case SayLease(lease=lease):
                self._send(lease)
            case Drained():
                self.drained.set()
            case _:
                self._show(command)


async def take_place(peer: Peer, rooms: Iterable[str]) -> None:
    """Where questions are said. Raises: as `Peer.open`."""
    await meet(peer)
    for room in rooms:
        await peer.join(room)
    reach("labeler.joined")


def answers_in_words(number: int) -> str:
    return "1 answer" if number == 1 else f"{number} answers"


def told_in_words(answers: list[Answer]) -> str:
    return ", ".join(f"{a.action.value if a.value is None else a.value} for {a.question[:12]}" for a in answers)
