"""The source's process: carries candidates to the evolution room and back what became of them. Decides nothing
(core/proposing.py), invents nothing (a Source does)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from active_learner.core.measures import OF_PEERS, Reading, counted, gauge
from active_learner.core.proposing import Proposing
from active_learner.core.proposing_events import (
    EVALUATOR,
    TRAINER,
    Arrived,
    Command,
    ControlArrived,
    Count,
    Diversify,
    Event,
    Left,
    NothingProposed,
    Propose,
    Proposed,
    ReceiptArrived,
    Report,
    Restart,
    Say,
    SayEnded,
    ScoresArrived,
    Tick,
    Warn,
)
from active_learner.core.records import Features, SampleSpec, canonical
from active_learner.crash_points import reach
from active_learner.errors import ActiveLearnerError, BadSample
from active_learner.peer import Peer, Received
from active_learner.services.pump import Pump
from active_learner.services.shell import Service, meet
from active_learner.services.tally import tally_line
from active_learner.sources.base import Outcome, Source
from protocol.errors import LocalProtocolError
from protocol.messages import (
    Candidates,
    Control,
    LogLine,
    Member,
    Scores,
    SourceEnded,
    StatusRequest,
    Taken,
)

ROLE = "source"
TICK_S = 0.1
"""A batch that is due is sent again at most that much later."""

OWN_NAMES = {"dropped": "source_dropped"}
"""A peer drops messages, a source rows."""

Job = Callable[[], Event | None]


class CandidateSource(Service):
    """Joins the rooms `evolution` and `control`. Ends by itself, with 0, only when told to (`once`): SOURCE_ENDED has no
    receipt, and a trainer that comes later must hear it too."""

    def __init__(
        self,
        peer: Peer,
        source: Source,
        spec: SampleSpec,
        *,
        machine: Proposing,
        evolution: str = "evolution",
        control: str = "control",
        evaluators: Iterable[str] = (EVALUATOR,),
        once: bool = False,
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        """`evaluators` are the roles that score; `once`: end when the source has ended."""
        super().__init__()
        self._peer, self._source, self._spec = peer, source, spec
        self.machine = machine
        self._pump = Pump(self.machine, self._do, self.fail)
        self._evolution, self._control = evolution, control
        self._roles = {TRAINER: TRAINER, **dict.fromkeys(evaluators, EVALUATOR)}
        self._once, self._clock, self._new_id = once, clock, new_id
        self.counters: Counter[str] = Counter()
        self._worker = _Worker(asyncio.get_running_loop(), self._pump.handle, self.fail)
        self._ticking: asyncio.Task[None] | None = None
        self._log = logging.getLogger(ROLE)
        self._log_lines = 0

    async def start(self) -> str:
        self._peer.on_message, self._peer.on_presence = self._heard, self._presence
        await meet(self._peer)
        await self._peer.join(self._control)
        await self._peer.join(self._evolution)
        reach("source.joined")
        self._ticking = asyncio.create_task(self._tick())
        return self._peer.name

    async def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        self._worker.stop(self._source.close)
        self._log.info("source stopped: %s", _told({**self.counters, **self._peer.counters}))
        await self._peer.close()

    def readings(self) -> Iterator[Reading]:
        yield from counted(self._peer.counters, *OF_PEERS, "resent", "repeated_receipts")
        yield from counted({OWN_NAMES.get(name, name): number for name, number in self.counters.items()})
        yield from gauge("outbox_messages", self.machine.unfinished)

    # --- what happens ---------------------------------------------------------------------------------------------

    def _heard(self, received: Received) -> None:
        at = self._clock()
        match received.message:
            case Taken(re=re, new=new, known=known, refused=refused, evicted=evicted, text=text):
                reach("source.receipt_heard")
                self._pump.handle(ReceiptArrived(at, re, new, known, refused, text, evicted))
            case Scores(re=re, fitness=fitness):
                reach("source.scores_heard")
                self._pump.handle(ScoresArrived(at, re, fitness))
            case StatusRequest():
                self._log_lines += 1
                counters = {**self._peer.counters, **self.counters}
                self._peer.send(self._control, tally_line(self._log_lines, self._peer.name, counters))
            case Control(role=role, command=command) if role == ROLE:
                self._pump.handle(ControlArrived(at, command))

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        """Also of those that were there before us, and of all when the broker is lost."""
        role = self._roles.get(member.role)
        if room == self._evolution and role is not None:
            event = Arrived if here else Left
            self._pump.handle(event(self._clock(), role, member.session))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._pump.handle(Tick(self._clock()))

    # --- what is done ---------------------------------------------------------------------------------------------

    def _do(self, command: Command) -> None:
        match command:
            case Propose():
                self._worker.do(self._propose)
            case Say(id=id_, features=features):
                self._say(id_, features)
            case Report(features=features, fitness=fitness, new=new):
                self._worker.do(partial(self._source.report, Outcome(features, fitness, new)))
            case SayEnded(proposed=proposed, dropped=dropped):
                self._say_ended(proposed, dropped)
            case Diversify():
                self.counters["diversified"] += 1
                self._worker.do(self._source.diversify)
            case Restart():
                self.counters["restarted"] += 1
                self._worker.do(self._source.restart)
            case Count(name=name, amount=amount):
                self.counters[name] += amount
            case Warn(text=text):
                self._warn(text)

    def _propose(self) -> Event:
        """Runs in the worker's thread: a source may take its time."""
        features = self._source.propose()
        for problem in self._source.problems():
            self._worker.tell(partial(self._bad_input, problem))
        if features is None:
            return NothingProposed(self._clock(), self._source.ended)
        reach("source.candidates_made")
        return Proposed(self._clock(), self._new_id(), _checked(features, self._spec))

    def _say(self, id_: str, features: Features) -> None:
        try:
            reach("source.before_send")
            self._peer.send(self._evolution, Candidates(id_, "propose", features, False))
            reach("source.candidates_said")
        except LocalProtocolError as error:
            fewer = "make source.batch or source.population smaller"
            self.fail(ActiveLearnerError(f"{len(features)} candidates do not fit into a message: {error}; {fewer}"))

    def _say_ended(self, proposed: int, dropped: int) -> None:
        sent = self._peer.send(self._evolution, SourceEnded(self._peer.name, proposed, dropped))
        if sent and self._once:
            self.finish(0)

    def _bad_input(self, text: str) -> None:
        self.counters["bad_input"] += 1
        self._warn(text)

    def _warn(self, text: str) -> None:
        """To the log, and to whoever follows the run; telemetry, so that it may be lost there."""
        self._log.warning(text)
        self._log_lines += 1
        self._peer.send(self._control, LogLine(self._log_lines, "warning", f"{self._peer.name}: {text}"))


class _Worker:
    """One thread that calls the source's methods in the order of the commands. A daemon: a source that blocks for ever
    must not keep the process from ending."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[Event], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._loop, self._handle, self._fail = loop, handle, fail
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._thread.start()

    def do(self, job: Job) -> None:
        """Do it after all that was asked before; an event that it returns comes back through `handle`."""
        self._jobs.put(job)

    def tell(self, callback: Callable[[], None]) -> None:
        """From the thread: call it in the event loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback)

    def stop(self, last: Callable[[], None]) -> None:
        """Do `last` after the job that is running now, and end."""
        self._jobs.put(last)
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                event = job()
            except Exception as error:  # of the user's source: ends the process with its own words
                self.tell(partial(self._fail, error))
                continue
            if event is not None:
                self.tell(partial(self._handle, event))


def _told(counters: dict[str, int]) -> str:
    return (
        ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in sorted(counters.items()))
        or "nothing proposed"
    )


def _checked(features: Features, spec: SampleSpec) -> Features:
    """What a source proposed, as the experiment's samples. Raises: BadSample."""
    shape = np.shape(features)
    if shape[1:] != spec.shape or not shape[:1] or shape[0] == 0:
        raise BadSample(
            f"the source proposed shape {shape}, must be (n, {', '.join(map(str, spec.shape))}) with n >= 1"
        )
    try:
        return canonical(features, spec)
    except ValueError as error:
        raise BadSample(f"the source proposed candidates of which one {error}") from None
