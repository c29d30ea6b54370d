"""The labeler's process: hands questions to an oracle and its replies to the disk and the trainer. Decides nothing
(core/answering.py)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from active_learner.core.answering import Answering
from active_learner.core.answering_events import (
    Ask,
    Command,
    Full,
    Left,
    NothingThere,
    Replied,
    Rest,
    Tell,
    TrainerGone,
    TrainerSeen,
    Unkept,
    Withdraw,
)
from active_learner.core.measures import OF_PEERS, Reading, counted, gauge
from active_learner.crash_points import reach
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.oracles.base import Oracle, Reply
from active_learner.peer import Peer, Received
from active_learner.services.desk import TICK_S, Desk, answers_in_words, take_place, told_in_words
from active_learner.services.shell import Service
from active_learner.services.tally import tally_line
from protocol.messages import Answer, AnswerReceipt, Lease, Leased, Member, Question, QuestionClosed, StatusRequest

DRAIN_S = 1.2
"""Half of what a stop may take: the other half is for the peer's own goodbye."""

READY_FIRST_S = 0.01
"""The ready line is written when `start` has returned; a prompt before it would confuse a person."""

TRAINER = "trainer"

Turn = Callable[[], Coroutine[Any, Any, Reply | None]]
"""One call of the oracle, not begun: a turn may be over before it has begun."""


class Labeler(Service):
    """Joins the rooms `user` and `control`; answers go to `@trainer`. Ends by itself, with 0, when the oracle leaves."""

    def __init__(
        self,
        peer: Peer,
        oracle: Oracle,
        user: str = "user",
        control: str = "control",
        kept: KeptAnswers | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """`kept`: where answers are kept until the trainer has them, closed by `stop`. None: in memory alone."""
        super().__init__()
        self._peer, self._oracle, self._rooms = peer, oracle, (user, control)
        self._tallies = 0
        self.counters: Counter[str] = Counter()
        self._said: set[str] = set()
        self._clock, self._wall, self._new_id = clock, wall, new_id
        self._desk = Desk(oracle.annotator, self._send, self._do, self.fail, kept, clock)
        self._turn: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._notes: set[asyncio.Task[None]] = set()
        self._trainer_here: bool | None = None

    async def start(self) -> str:
        self._peer.on_message, self._peer.on_presence = self._heard, self._presence
        self._tell_what_was_left()
        await take_place(self._peer, self._rooms)
        self._peer.on_session = self._session
        self._session(True)
        self._ticking = asyncio.create_task(self._tick())
        asyncio.get_running_loop().call_later(READY_FIRST_S, self._first_rest)
        return f"labeler {self._oracle.annotator}"

    def _tell_what_was_left(self) -> None:
        """By an earlier process of this annotator: the machine sends it as soon as the trainer is seen, before anything else."""
        for words in self._desk.left_behind():
            self._oracle.notice(words)

    async def stop(self) -> None:
        """Ask no more, deliver what is decided (bounded), and tell what could not be delivered."""
        turn = self._end_turn()
        self._desk.handle(Left(self._clock()))
        await self._oracle.leave()
        if turn is not None:
            await asyncio.wait({turn}, timeout=DRAIN_S / 4)
        try:
            await asyncio.wait_for(self._desk.drained.wait(), DRAIN_S)
        except TimeoutError:
            self._tell_undelivered()
        if self._ticking is not None:
            self._ticking.cancel()
        if self._notes:
            await asyncio.wait(self._notes, timeout=DRAIN_S / 4)
        self._oracle.close()
        await self._peer.close()
        await self._desk.close()

    def _tell_undelivered(self) -> None:
        lost = self.machine.unkept
        kept = [answer for answer in self.machine.unsent if answer not in lost]
        if kept:
            self._oracle.notice(f"not delivered yet, kept here and sent by the next start: {told_in_words(kept)}")
        if lost:
            self._oracle.notice(f"not delivered, because the trainer did not confirm: {told_in_words(lost)}")

    @property
    def machine(self) -> Answering:
        return self._desk.machine

    def readings(self) -> Iterator[Reading]:
        yield from counted({**self._peer.counters, **self.counters}, *OF_PEERS)
        yield from gauge("outbox_messages", len(self.machine.unsent))
        yield from gauge("open_questions", self.machine.waiting)

    # --- what happens

    def _heard(self, received: Received) -> None:
        match received.message:
            case Question() | QuestionClosed() | Leased() | AnswerReceipt() as message:
                self._desk.heard(message)
            case StatusRequest():
                self._tallies += 1
                counters = {**self._peer.counters, **self.counters}
                self._peer.send(self._rooms[1], tally_line(self._tallies, self._peer.name, counters))

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        if member.role == TRAINER and room == self._rooms[0]:
            self._trainer(here)

    def _session(self, here: bool) -> None:
        self._trainer(here and bool(self._peer.present(self._rooms[0], TRAINER)))

    def _trainer(self, here: bool) -> None:
        self._desk.handle(TrainerSeen(self._clock()) if here else TrainerGone(self._clock()))
        if here != self._trainer_here:
            kept = len(self.machine.unsent)
            words = f"; {answers_in_words(kept)} without receipt kept here until it is back" if kept else ""
            if here and self._trainer_here is not None:
                self._oracle.notice("the trainer is here")
            elif not here:
                self._oracle.notice(f"the trainer is away{words}: no new questions come")
        self._trainer_here = here

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._desk.tick()

    # --- what is done

    def _do(self, command: Command) -> None:
        match command:
            case Ask(question=question, waiting=waiting, turn=turn):
                self._begin(lambda: self._oracle.ask(question, waiting), turn)
            case Rest(turn=turn):
                self._rest(turn)
            case Withdraw(why=why):
                self._oracle.notice(f"the question was withdrawn: {why}")
            case Unkept(text=text):
                self._oracle.notice(
                    f"not kept on this disk yet ({text}): sent all the same, and keeping it is tried again"
                )
            case Full(unsent=unsent):
                self._oracle.notice(
                    f"{answers_in_words(unsent)} have no receipt: nothing is asked until half of them have one"
                )
            case Tell(receipt=receipt):
                self._note(self._oracle.receipt(receipt))
            case NothingThere():
                self._oracle.notice("there is nothing to undo or to change")

    def _send(self, message: Answer | Lease) -> None:
        if isinstance(message, Answer):
            self.counters["resent_answers"] += message.id in self._said
            self._said = {one.id for one in self.machine.unsent if one.id in self._said} | {message.id}
        self._peer.send(f"@{TRAINER}", message)

    def _first_rest(self) -> None:
        if self._turn is None and self.machine.phase in ("resting", "full"):
            self._rest(0)

    def _rest(self, turn: int) -> None:
        self._begin(self._oracle.rest, turn)

    def _begin(self, asking: Turn, turn: int) -> None:
        before = self._end_turn()
        self._turn = asyncio.create_task(self._take_turn(before, asking, turn))

    async def _take_turn(self, before: asyncio.Task[None] | None, asking: Turn, turn: int) -> None:
        """One call of the oracle, after the cancelled one before has given its terminal back."""
        try:
            if before is not None:
                await asyncio.wait({before})
            reply = await asking()
            reach("labeler.decided")
        except Exception as error:
            self.fail(error)
            return
        if reply is None:
            self._desk.handle(Left(self._clock()))
            self.finish(0)
            return
        said = (reply.question, reply.action, reply.value, self._new_id(), self._wall(), self._clock(), turn)
        self._desk.handle(Replied(*said, reply.circumstances))

    def _end_turn(self) -> asyncio.Task[None] | None:
        """Cancel the oracle's call, unless it is the one that just replied."""
        turn = self._turn
        if turn is None or turn is asyncio.current_task():
            return None
        turn.cancel()
        return turn

    def _note(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._notes.add(task)
        task.add_done_callback(self._noted)

    def _noted(self, task: asyncio.Task[None]) -> None:
        self._notes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
