"""The labeling page's process: a desk for each annotator, one peer, one HTTP server. Knows who is told what; decides nothing
(core/answering.py) and knows no HTTP (web/)."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from active_learner.core.decisions import HISTORY
from active_learner.core.measures import OF_PEERS, Histogram, Reading, counted, gauge
from active_learner.core.records import SampleSpec
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.errors import StoreError, Unreachable
from active_learner.peer import Peer, Received
from active_learner.services.desk import TICK_S, answers_in_words, take_place
from active_learner.services.metrics_port import Exposition
from active_learner.services.pace import Pace
from active_learner.services.rounds_view import RoundsView
from active_learner.services.run_view import RunView
from active_learner.services.shell import Service
from active_learner.services.tally import tally_line
from active_learner.services.web_desk import WebDesk, id_taken
from active_learner.web.forms import Form, LeaseForm, Verdict, Word, finite
from active_learner.web.problems import Problem
from active_learner.web.server import WebServer
from active_learner.web.streams import Streams
from protocol.messages import (
    Answer,
    AnswerReceipt,
    Control,
    Lease,
    Leased,
    LogLine,
    Member,
    Question,
    QuestionClosed,
    StatusReport,
    StatusRequest,
)

LOG = logging.getLogger(__name__)

TRAINER = "trainer"

DRAIN_S = 1.2
"""Half of what a stop may take: the other half is for the peer's own goodbye."""

FRESH_S = 1.0
"""A report is good for that long; the trainer says one when something changes, and is asked when a page wants to know."""

ASK_S = 1.0
"""For the trainer's answer to that."""

ENDED = "The run has reached its goal: nothing more is asked, and what is decided now is not taken."

DESKS = 256
"""Annotators of one process; each has a file and a thread."""


@dataclass(frozen=True, slots=True)
class Manners:
    """What the page shows and how, by the configuration."""

    experiment: str
    title: str | None = None
    columns: tuple[dict[str, Any], ...] = ()
    guide: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    min_listen_s: float = 2.0
    show_roll: bool = True
    instrument: dict[str, Any] = field(default_factory=dict)
    renderer: str | None = None
    labels_goal: int | None = None


class WebLabeler(Service):
    """Joins the rooms `user` and `control`; answers go to `@trainer`. An Office for web/app.py."""

    def __init__(
        self,
        peer: Peer,
        spec: SampleSpec,
        manners: Manners,
        keep: Callable[[str], KeptAnswers],
        annotators: list[str],
        user: str = "user",
        control: str = "control",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`keep`: opens the file of an annotator's answers. `annotators`: whose answers of an earlier process are sent at once."""
        super().__init__()
        self._peer, self._spec, self._manners, self._keep = peer, spec, manners, keep
        self._annotators, self._rooms = annotators, (user, control)
        self._clock, self._wall = clock, wall
        self.counters: Counter[str] = Counter()
        self.times = Histogram()
        self.streams = Streams()
        self.classes = spec.classes
        self._view, self._pace = RunView(), Pace()
        self._rounds = RoundsView(peer, lambda line: self.streams.say("round", {"line": line}), clock)
        self._desks: dict[str, WebDesk] = {}
        self._said: set[str] = set()
        self._tallies = 0
        self._ended = ""
        self._trainer_here = False
        self._ticking: asyncio.Task[None] | None = None
        self._server: WebServer | None = None
        self._where = ""
        self._asking: asyncio.Task[None] | None = None
        self._exposition: Exposition | None = None

    def serve(self, server: WebServer, where: str) -> None:
        """`where`: the address that a person is told. Before `start`; the server is bound already."""
        self._server, self._where = server, where

    async def start(self) -> str:
        for annotator in self._annotators:
            self._desk(annotator)
        self._peer.on_message, self._peer.on_presence = self._heard, self._presence
        await take_place(self._peer, self._rooms)
        self._view.presence(Member(0, self._peer.name, "labeler"), True, "", self._clock())  # nobody is told of itself
        self._peer.on_session = self._session
        self._session(True)
        self._ticking = asyncio.create_task(self._tick())
        if self._server is not None:
            await self._server.start()
        return f"labeling page at {self._where}"

    async def stop(self) -> None:
        """Streams end, requests under way are answered, answers are delivered (bounded); what could not be is told."""
        self.streams.say("notice", {"level": "warning", "text": "The service is being stopped."})
        self.streams.close()
        serving = [asyncio.create_task(self._server.stop())] if self._server is not None else []
        leaving = [asyncio.create_task(desk.leave(DRAIN_S)) for desk in self._desks.values()]
        for left in await asyncio.gather(*leaving):
            if left:
                LOG.warning("%s", left)
        await asyncio.gather(*serving)
        if self._ticking is not None:
            self._ticking.cancel()
        self._rounds.close()
        await self._peer.close()
        for desk in self._desks.values():
            await desk.desk.close()

    def readings(self) -> Iterator[Reading]:
        yield from counted({**self._peer.counters, **self.counters}, *OF_PEERS)
        yield from gauge("outbox_messages", sum(len(one.desk.machine.unsent) for one in self._desks.values()))
        yield from gauge("open_questions", sum(one.desk.machine.waiting for one in self._desks.values()))
        yield from gauge("pages", len(self.streams))
        yield Reading("answer_seconds", (), self.times)

    # --- desks

    def _desk(self, annotator: str) -> WebDesk:
        """Raises: StoreError; Problem, when there are too many."""
        found = self._desks.get(annotator)
        if found is not None:
            return found
        if len(self._desks) >= DESKS:
            raise Problem(503, f"This service has {DESKS} annotators already.", retry_after_s=60)
        desk = self._desks[annotator] = WebDesk(
            annotator,
            send=self._send,
            say=lambda kind, fields: self.streams.say(kind, fields, annotator),
            fail=self.fail,
            kept=self._keep(annotator),
            clock=self._clock,
            wall=self._wall,
            times=self.times,
        )
        for words in desk.desk.left_behind():
            LOG.warning("%s: %s", annotator, words)
        desk.trainer(self._trainer_here)
        return desk

    def _at_desk(self, annotator: str) -> WebDesk:
        """Raises: Problem."""
        try:
            return self._desk(annotator)
        except StoreError as error:
            raise Problem(503, f"The answers of {annotator} cannot be kept: {error}", retry_after_s=5) from error

    def _send(self, message: Answer | Lease) -> None:
        if isinstance(message, Answer):
            self._pace.said(message)
            self.counters["resent_answers"] += message.id in self._said
            unsent = {one.id for desk in self._desks.values() for one in desk.desk.machine.unsent}
            self._said = (self._said & unsent) | {message.id}
        self._peer.send(f"@{TRAINER}", message)

    # --- what happens

    def _heard(self, received: Received) -> None:
        match received.message:
            case Question() | QuestionClosed() | Leased() | AnswerReceipt() as message:
                if isinstance(message, AnswerReceipt):
                    self._pace.received(message, self._clock())
                for desk in list(self._desks.values()):
                    desk.heard(message)
            case StatusReport() as report:
                self._reported(report)
            case StatusRequest():
                self._tallies += 1
                line = tally_line(self._tallies, self._peer.name, {**self._peer.counters, **self.counters})
                self._peer.send(self._rooms[1], line)
            case Control(role="labeler", command="ended") if received.sender and received.sender.role == TRAINER:
                self._ended = ENDED
                self.streams.say("ended", {"text": ENDED})
            case LogLine(level="error", text=text):
                self.streams.say("notice", {"level": "error", "text": text})

    def _reported(self, report: StatusReport) -> None:
        self._view.reported(report, self._clock())
        self.streams.say("status", self._status())
        self._rounds.reported(report)

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        if room == self._rooms[1]:
            self._view.presence(member, here, why, self._clock())
        if member.role == TRAINER and room == self._rooms[0]:
            self._trainer(here)

    def _session(self, here: bool) -> None:
        self._trainer(here and bool(self._peer.present(self._rooms[0], TRAINER)))

    def _trainer(self, here: bool) -> None:
        for desk in self._desks.values():
            desk.trainer(here)
        if here != self._trainer_here:
            self._trainer_here, self._ended = here, "" if here else self._ended
            self.streams.say("trainer", {"here": here})
            kept = sum(len(one.desk.machine.unsent) for one in self._desks.values())
            LOG.info(
                "the trainer is %s%s", "here" if here else "away", f"; {answers_in_words(kept)} kept" if kept else ""
            )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for name, desk in list(self._desks.items()):
                desk.tick(len(self.streams.pages(name)))

    # --- the office

    def me(self, annotator: str) -> Form:
        spec, manners = self._spec, self._manners
        return {
            "annotator": annotator,
            "experiment": manners.experiment,
            "media": spec.media,
            "shape": list(spec.shape),
            "dtype": spec.dtype,
            "classes": spec.classes,
            "class_names": list(spec.class_names),
            "title": manners.title,
            "columns": list(manners.columns),
            "guide": manners.guide,
            "keys": manners.keys,
            "min_listen_s": manners.min_listen_s,
            "show_roll": manners.show_roll,
            "instrument": manners.instrument,
            "history_size": HISTORY,
            "labels_goal": manners.labels_goal,
            "renderer": manners.renderer,
        }

    async def questions(self, annotator: str, hold: int) -> Form:
        desk = self._at_desk(annotator)
        await desk.hold(hold)
        found = desk.questions(hold)
        waiting = self._waiting(desk, len(found))
        return {"questions": found, "waiting": waiting, "text": "" if found else self._why_none(desk)}

    def _open(self) -> int:
        return 0 if self._view.report is None else self._view.report.open_questions

    def _waiting(self, desk: WebDesk, shown: int) -> int:
        """Open questions that nobody holds, as the trainer said last; one that does not lease knows how many there are."""
        return max(0, self._open() - shown) if desk.leased is None else desk.leased.waiting

    def _why_none(self, desk: WebDesk) -> str:
        if self._ended:
            return self._ended
        if not self._trainer_here:
            return "the trainer is away"
        told = "" if desk.leased is None else desk.leased.text
        return told or ("" if self._view.report is None else self._view.report.text)

    async def answer(self, annotator: str, word: Word) -> Verdict:
        if self._ended:
            raise Problem(410, self._ended)
        if any(desk.knows(word.id) for name, desk in self._desks.items() if name != annotator):
            raise id_taken()  # a receipt names the id alone: it would be taken for both
        return await self._at_desk(annotator).take(word)

    async def lease(self, annotator: str, asked: LeaseForm) -> Form:
        """A page that goes gives nothing back while another one of its annotator is open: they show the same."""
        desk = self._at_desk(annotator)
        if asked.wants or not asked.page or not self.streams.pages(annotator) - {asked.page}:
            await desk.lease(asked.wants, asked.gives)
        held = [one["id"] for one in desk.questions(asked.wants)]
        text = self._why_none(desk) if len(held) < asked.wants else ""
        return {"holds": held, "seconds": desk.seconds, "waiting": self._waiting(desk, len(held)), "text": text}

    def history(self, annotator: str, before: str | None, limit: int) -> list[Form]:
        return self._at_desk(annotator).history(before, limit)

    def queue(self) -> Form:
        at, found = self._wall(), {}
        for desk in self._desks.values():
            for one in desk.desk.machine.questions():
                found[one.id] = self._item(one, at)
        items = sorted(found.values(), key=lambda one: int(one["rank"]))
        return {"open": self._open(), "waiting": max(0, self._open() - len(items)), "items": items}

    def _item(self, question: Question, at: float) -> Form:
        asked_at = question.asked_at
        named = ("id", "rank", "strategy", "model_version")
        age_s = round(max(0.0, at - asked_at), 3) if asked_at else None
        return {
            **{name: getattr(question, name) for name in named},
            "score": finite(question.score),
            "age_s": age_s,
            "held": True,
        }

    async def status(self) -> Form:
        if self._trainer_here and self._clock() - self._view.reported_at > FRESH_S:
            await self._ask()
        return self._status()

    async def _ask(self) -> None:
        """Once, however many pages want to know."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_trainer())
        await asyncio.wait({self._asking}, timeout=ASK_S)

    async def _ask_trainer(self) -> None:
        number = secrets.token_hex(8)

        def answers(received: Received) -> bool:
            return isinstance(received.message, StatusReport) and received.message.re == number

        with suppress(Unreachable):
            answer = await self._peer.request(f"@{TRAINER}", StatusRequest(number), answers, ASK_S)
            assert isinstance(answer.message, StatusReport)  # what `answers` lets through
            self._reported(answer.message)

    def _status(self) -> Form:
        form = self._view.form(self._clock(), self.times, self._trainer_here, self._ended)
        return {**form, "people": self._pace.form(self._clock())}

    async def rounds(self) -> Form:
        return await self._rounds.form(self._trainer_here)

    def metrics(self) -> bytes:
        if self._exposition is None:
            self._exposition = Exposition(self.readings)
        return self._exposition.at(self._clock())

    def greeting(self, annotator: str) -> list[tuple[str, Form]]:
        ended = [("ended", {"text": self._ended})] if self._ended else []
        return [("trainer", {"here": self._trainer_here}), ("status", self._status()), ("questions", {}), *ended]
