"""The labeling page's process without a socket: the real service and paths, a memory broker, a trainer of the test's own."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from active_learner.core.records import SampleSpec
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.peer import Peer, Received
from active_learner.services import web_desk
from active_learner.services.web_labeler import Manners, WebLabeler
from active_learner.transport.memory import MemoryBroker
from active_learner.web.accounts import Accounts
from active_learner.web.app import Page
from active_learner.web.doorman import Doorman
from protocol.messages import (
    Answer,
    AnswerReceipt,
    Lease,
    Leased,
    Question,
    QuestionClosed,
    RoundLine,
    Rounds,
    RoundsRequest,
    StatusReport,
)

PATIENCE_S = 20.0
TOKEN = "the token of the printed link"
HOST = "127.0.0.1:8765"
SPEC = SampleSpec((4,), "uint8", 6, "melody")


def question(name: str, rank: int = 1) -> Question:
    return Question(
        id=name, key=name, features=np.arange(4, dtype=np.uint8), media="melody", classes=6, round=1, strategy="margin",
        score=0.5, rank=rank, model_version=3, stale=False, pool=200,
    )  # fmt: skip


def line(number: int, arm: str = "", held_back: str = "") -> RoundLine:
    bins = (4, 0, 0, 0, 0, 0, 0, 0, 0, 6)
    return RoundLine(number, arm, 5 * number, 10 * number, 0.5, 1.5, 600, held_back, 1000.0 + number, 55, bins)


def report(round_: int, training: str = "idle", labels: int = 0, run: str = "r") -> StatusReport:
    return StatusReport(
        "", 1, run, "asking", training, round_, 0, 0, 0, 0, 0, 55, 200, 3, 0, labels, 0, None, None, None, "", (), ()
    )


@dataclass
class Reply:
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> Any:
        return json.loads(self.body)


class Browser:
    """Calls the app as a server would, with the cookie that it was given."""

    def __init__(self, app: Any, host: str = HOST) -> None:
        self.app, self.host = app, host
        self.cookie = self.csrf = ""

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        fields = {"host": self.host, **({"cookie": self.cookie} if self.cookie else {})}
        fields |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return await self._told(_scope(method, path, fields, body), _receiver(body))

    async def _told(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]]) -> Reply:
        said: list[Any] = []
        await self.app(scope, receive, _collector(said))
        start = said[0]
        got = {name.decode(): value.decode() for name, value in start["headers"]}
        if "set-cookie" in got:
            self.cookie = got["set-cookie"].partition(";")[0]
        return Reply(start["status"], got, b"".join(one.get("body", b"") for one in said[1:]))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, form: Any, **headers: str) -> Reply:
        body = form if isinstance(form, bytes) else json.dumps(form).encode()
        given = {"content_type": "application/json", "x_csrf_token": self.csrf, "origin": f"http://{self.host}"}
        return await self.call("POST", path, body, **{**given, **headers})

    async def post_without_end(self, path: str) -> Reply:
        """Its body is announced and never comes."""
        fields = {"host": self.host, "cookie": self.cookie, "x-csrf-token": self.csrf, "origin": f"http://{self.host}"}
        scope = _scope("POST", path, {**fields, "content-type": "application/json"}, b"12345")
        return await self._told(scope, lambda: asyncio.Event().wait())

    async def enter(self, token: str = TOKEN) -> Reply:
        reply = await self.get(f"/enter?token={token.replace(' ', '%20')}")
        if reply.code == 303:
            self.csrf = (await self.get("/api/v1/me")).form["csrf"]
        return reply

    async def stream(self, page: str = "", **headers: str) -> Listener:
        return Listener(self, headers, page)


class Listener:
    """An open stream of events."""

    def __init__(self, browser: Browser, headers: dict[str, str], page: str) -> None:
        fields = {"host": browser.host, "cookie": browser.cookie, **headers}
        self.ends = asyncio.Event()
        self.headers: dict[str, str] = {}
        self._parts: asyncio.Queue[bytes] = asyncio.Queue()
        self._text = ""
        self.last_id = ""

        async def receive() -> Any:
            await self.ends.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            for name, value in message.get("headers", ()):
                self.headers[name.decode()] = value.decode()
            self._parts.put_nowait(message.get("body", b""))

        scope = _scope("GET", f"/api/v1/events?page={page}", fields, b"")
        self.running = asyncio.create_task(browser.app(scope, receive, send))

    async def event(self, kind: str) -> Any:
        """The next of that kind."""
        while True:
            while "\n\n" not in self._text:
                self._text += (await asyncio.wait_for(self._parts.get(), PATIENCE_S)).decode()
            one, _, self._text = self._text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in one.splitlines() if ": " in line)
            self.last_id = fields.get("id", self.last_id)
            if fields.get("event") == kind:
                return json.loads(fields["data"])

    async def close(self) -> None:
        self.ends.set()
        await asyncio.wait_for(self.running, PATIENCE_S)


def _scope(method: str, path: str, fields: dict[str, str], body: bytes) -> dict[str, Any]:
    name, _, query = path.partition("?")
    if method == "POST":
        fields = {"content-length": str(len(body)), **fields}
    return {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": name, "root_path": "",
        "raw_path": name.encode(), "query_string": query.encode(), "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8765),
        "headers": [(key.encode("latin-1"), value.encode("latin-1")) for key, value in fields.items() if value],
        "asgi": {"spec_version": "2.3"},
    }  # fmt: skip


def _receiver(body: bytes) -> Callable[[], Awaitable[Any]]:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return parts.pop() if parts else {"type": "http.disconnect"}

    return receive


def _collector(said: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def send(message: Any) -> None:
        said.append(message)

    return send


class Trainer:
    """Hears answers; replies when the test says so. What it asks in the room is leased to all; with `leasing` the test leases."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(experiment="e", role="trainer", name="trainer", exclusive=True, address=address)
        self.heard: asyncio.Queue[Received] = asyncio.Queue()
        self.leases: asyncio.Queue[Lease] = asyncio.Queue()
        self.asked: dict[str, None] = {}
        self.leasing = False
        self.seconds, self.waiting, self.text = 30.0, 0, ""

    def _heard(self, received: Received) -> None:
        if not isinstance(received.message, Lease):
            return self.heard.put_nowait(received)
        self.last_lease = received
        if not self.leasing:
            return self.says_leased(received.message.annotator, *self.asked)
        return self.leases.put_nowait(received.message)

    def says_leased(self, annotator: str, *holds: str) -> None:
        leased = Leased(annotator, holds, self.seconds, self.waiting, self.text)
        self.peer.reply(self.last_lease, leased)

    def leases_to(self, annotator: str, *names: str) -> None:
        """These and no others."""
        for rank, name in enumerate(names, start=1):
            self.peer.reply(self.last_lease, replace(question(name, rank), annotator=annotator))
        self.says_leased(annotator, *names)

    async def lease(self, **named: object) -> Lease:
        """The next one with these fields: what is unanswered is said again in between."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                lease = await self.leases.get()
                if all(getattr(lease, name) == value for name, value in named.items()):
                    return lease

    async def start(self) -> None:
        self.peer.on_message = self._heard
        await self.peer.open()
        await self.peer.join("user")
        await self.peer.join("control")

    async def answer(self) -> Answer:
        while True:
            received = await asyncio.wait_for(self.heard.get(), PATIENCE_S)
            if isinstance(received.message, Answer):
                self.last = received
                return received.message

    async def rounds_wanted(self) -> str:
        """Waits for the question; its id."""
        while True:
            received = await asyncio.wait_for(self.heard.get(), PATIENCE_S)
            if isinstance(received.message, RoundsRequest):
                self.last = received
                return received.message.id

    async def tell_rounds(self, *lines: RoundLine, run: str = "r") -> None:
        number = await self.rounds_wanted()
        self.peer.reply(self.last, Rounds(number, run, sum(not one.arm for one in lines), lines))

    async def receive(self, status: str = "stored", text: str = "") -> Answer:
        answer = await self.answer()
        self.peer.reply(self.last, AnswerReceipt(answer.id, answer.question, status, text))
        return answer

    def ask(self, *names: str) -> None:
        self.asked.update(dict.fromkeys(names))
        for rank, name in enumerate(names, start=1):
            self.peer.send("user", question(name, rank))

    def close(self, name: str, why: str = "answered") -> None:
        self.asked.pop(name, None)
        self.peer.send("user", QuestionClosed(name, why))


@dataclass
class Stage:
    broker: MemoryBroker
    folder: Path
    login: bool = True
    default: str | None = "ann"
    names: list[str] = field(default_factory=lambda: ["ann"])

    def __post_init__(self) -> None:
        self.at = 1000.0
        self.wall = 1_700_000_000.0
        self.ahead = 0.0
        """The service's clock goes ahead by that much."""
        peer = Peer(experiment="e", role="labeler", address=self.broker.address)
        self.people = Accounts(self.folder / "e.annotators.json", lambda: self.wall, always=self.default)
        self.service = WebLabeler(
            peer,
            SPEC,
            Manners("e", guide={"5": "good"}, instrument={"wave": "sine", "tempo": 128.0, "volume": 0.8}),
            self._keep,
            self.names,
            clock=lambda: time.monotonic() + self.ahead,
            wall=lambda: self.wall,
        )
        self.trainer = Trainer(self.broker.address)
        self.doorman = Doorman(
            self.people,
            hosts=["127.0.0.1", "label.example"],
            by_address=self.default is None,
            cookie="active_learner_8765",
            clock=lambda: self.at,
            default=self.default,
            token=TOKEN if self.default else "",
            login=self.login,
        )
        self.app = Page(self.service, self.doorman).app()
        self.ids = itertools.count(1)

    def _keep(self, name: str) -> KeptAnswers:
        return KeptAnswers(self.folder / f"{name}.jsonl")

    def browser(self) -> Browser:
        return Browser(self.app)

    async def entered(self) -> Browser:
        browser = self.browser()
        assert (await browser.enter()).code == 303
        return browser

    async def asked(self, browser: Browser, *names: str) -> None:
        """The trainer asks these, and they have come."""
        self.trainer.ask(*names)
        async with asyncio.timeout(PATIENCE_S):
            while not set(names) <= {
                one["id"] for one in (await browser.get("/api/v1/questions?hold=20")).form["questions"]
            }:
                self.at += 1.0
                await asyncio.sleep(0)

    def word(self, name: str, value: int | None = 3, action: str = "answer", **more: Any) -> dict[str, Any]:
        return {"id": f"{next(self.ids):032x}", "question": name, "action": action, "value": value, "at": 5.0, **more}


Scene = Callable[[Stage], Awaitable[None]]


def on_stage(
    scene: Scene, folder: Path, *, trainer: bool = True, trainer_s: float = PATIENCE_S, **options: Any
) -> None:
    """`trainer_s`: for the receipt of an answer; a machine may be busy for longer than a person should wait."""

    async def run() -> None:
        async with MemoryBroker() as broker:
            stage = Stage(broker, folder, **options)
            if trainer:
                await stage.trainer.start()
            assert await stage.service.start() == "labeling page at "
            async with asyncio.timeout(2 * PATIENCE_S):
                await scene(stage)
            await stage.service.stop()
            await stage.trainer.peer.close()

    with patch.multiple(web_desk, TRAINER_S=trainer_s, LEASED_S=PATIENCE_S):
        asyncio.run(run())
