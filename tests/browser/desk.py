"""A small service in place of the labeler: the HTTP API of the pages, with questions, receipts and faults that a test sets.

Knows the API as the pages use it; no trainer, no disk, no accounts. One `Desk` is one run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parents[2] / "active_learner" / "web" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
LEASE_S = 60.0
GUIDE = {"0": "noise", "1": "dull", "2": "so-so", "3": "pleasant", "4": "good", "5": "I would hum it"}


def melody(seed: int) -> NDArray[np.uint8]:
    """A genome with pauses and held notes; beat 0 is a tone."""
    draw = np.random.default_rng(seed)
    values = np.where(draw.random(32) < 0.2, 8, draw.integers(0, 8, 32))
    values[0] = seed % 8
    return ((values[:, None] >> np.arange(4)) & 1).astype(np.uint8).ravel()


def features(array: NDArray[Any]) -> dict[str, Any]:
    raw = np.ascontiguousarray(array).tobytes()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "base64": base64.b64encode(raw).decode()}


def text(words: str, size: int = 0) -> NDArray[np.uint8]:
    raw = words.encode()
    return np.frombuffer(raw.ljust(size, b"\0"), np.uint8)


@dataclass
class Desk:
    """What is asked, who holds it, what was answered."""

    samples: list[NDArray[Any]]
    media: str = "melody"
    classes: int = 6
    me: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """Every POST to /answers that was taken, repeats too, in order."""
    leases: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    rounds: dict[str, Any] = field(default_factory=lambda: {"rounds": [], "control": []})
    refuse: list[tuple[int, str]] = field(default_factory=list)
    """(status, detail) of the next answers."""
    shows: int = 1000
    """Decisions whose questions it still has."""
    keeps: bool = False
    """Answers 202 and holds the receipts back, as when the trainer is away."""
    gave: threading.Event = field(default_factory=threading.Event)
    """Somebody has given questions back."""
    resting: str = "The pool fills: 40 of 200."

    def __post_init__(self) -> None:
        self.questions = [self._question(number, sample) for number, sample in enumerate(self.samples)]
        self.held: dict[str, str] = {}
        self.standing: dict[tuple[str, str], dict[str, Any]] = {}
        self.streams: dict[asyncio.Queue[str | None], str] = {}
        self.pages: dict[asyncio.Queue[str | None], str] = {}

    def _question(self, number: int, sample: NDArray[Any]) -> dict[str, Any]:
        return {
            "id": f"{number:032x}",
            "key": f"{number:064x}",
            "media": self.media,
            "features": features(sample),
            "classes": self.classes,
            "round": 3,
            "strategy": "entropy",
            "score": 0.93 - number / 1000,
            "rank": number + 1,
            "model_version": 18,
            "stale": False,
            "pool": 200,
            "asked_at": time.time() - 4,
            "expires_at": time.time() + LEASE_S,
        }

    # --- what the service decides

    def hold(self, annotator: str, wanted: int) -> list[dict[str, Any]]:
        done = {question for (who, question), word in self.standing.items() if word["action"] not in ("undo",)}
        mine = [q for q in self.questions if self.held.get(q["id"], annotator) == annotator and q["id"] not in done]
        for question in mine[:wanted]:
            self.held[question["id"]] = annotator
        return mine[:wanted]

    def take(self, annotator: str, word: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.answers.append({**word, "annotator": annotator})
        self.standing[annotator, word["question"]] = word
        self.held.pop(word["question"], None)
        said = {"id": word["id"], "question": word["question"], "text": ""}
        return (202, {**said, "status": "kept"}) if self.keeps else (200, {**said, "status": "stored"})

    def history(self, annotator: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Newest first, as the service has it; of those before the last `shows` there is no picture."""
        questions = {question["id"]: question for question in self.questions}
        words = [word for (who, _), word in self.standing.items() if who == annotator and word["action"] != "undo"]
        last = sorted(words, key=lambda word: -word["at"])
        start = 0 if before is None else 1 + [word["question"] for word in last].index(before)
        status = "kept" if self.keeps else "stored"
        pictures = {word["question"]: questions[word["question"]] for word in last[: self.shows]}
        return [{**word, "status": status, "Q": pictures.get(word["question"])} for word in last[start : start + limit]]

    def unique(self) -> list[dict[str, Any]]:
        """The answers without repeats of an id, in the order of arrival."""
        return list({word["id"]: word for word in self.answers}.values())

    def give_back(self, annotator: str, page: str) -> None:
        """The page goes; another one of the same person shows the same questions."""
        others = {one for queue, one in self.pages.items() if self.streams.get(queue) == annotator} - {page, ""}
        if not others:
            self.held = {question: holder for question, holder in self.held.items() if holder != annotator}
        self.gave.set()

    # --- what it says by itself

    def say(self, kind: str, data: dict[str, Any], annotator: str | None = None) -> None:
        line = f"event: {kind}\ndata: {json.dumps(data)}\n\n"
        for queue, who in self.streams.items():
            if annotator in (None, who):
                queue.put_nowait(line)

    def confirm(self) -> None:
        """The trainer is back: receipts of all that was kept."""
        self.keeps = False
        for word in self.unique():
            said = {"id": word["id"], "question": word["question"], "status": "stored", "text": ""}
            self.say("receipt", said, word["annotator"])

    def hang_up(self) -> None:
        for queue in self.streams:
            queue.put_nowait(None)


def app(desk: Desk) -> Starlette:
    """The ASGI application of one desk. The annotator is the cookie, anna without one."""
    page = Pages(desk)
    return Starlette(
        routes=[
            Route("/", page.file("label.html")),
            Route("/run", page.file("run.html")),
            Route("/enter", page.enter),
            Mount("/static", StaticFiles(directory=STATIC)),
            *(Route(f"/api/v1/{name}", getattr(page, name)) for name in Pages.READ),
            *(Route(f"/api/v1/{name}", getattr(page, name), methods=["POST"]) for name in ("answers", "leases")),
        ]
    )


class Pages:
    """The endpoints."""

    READ = ("me", "questions", "history", "status", "rounds", "queue", "events")

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def file(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            return FileResponse(STATIC / name, headers={"Content-Security-Policy": POLICY})

        return answer

    async def enter(self, request: Request) -> Response:
        response = Response(status_code=303, headers={"Location": "/"})
        response.set_cookie("annotator", request.query_params["as"], httponly=True, samesite="strict")
        return response

    async def me(self, request: Request) -> Response:
        desk, first = self.desk, self.desk.samples[0] if self.desk.samples else np.zeros(1)
        known = {
            "annotator": who(request),
            "csrf": f"csrf-{who(request)}",
            "experiment": "melodies",
            "media": desk.media,
            "shape": list(first.shape),
            "dtype": str(first.dtype),
            "classes": desk.classes,
            "class_names": [],
            "guide": GUIDE if desk.media == "melody" else {},
            "keys": {},
            "min_listen_s": 0,
            "show_roll": True,
            "instrument": {"wave": "pluck", "tempo": 128},
            "history_size": 10,
            "labels_goal": None,
        }
        return JSONResponse({**known, **desk.me})

    async def questions(self, request: Request) -> Response:
        held = self.desk.hold(who(request), int(request.query_params["hold"]))
        return JSONResponse({"questions": held, "waiting": 0, "text": "" if held else self.desk.resting})

    async def answers(self, request: Request) -> Response:
        if request.headers.get("x-csrf-token") != f"csrf-{who(request)}":
            return problem(403, "The page's token is not right.")
        if self.desk.refuse:
            return problem(*self.desk.refuse.pop(0))
        word = await request.json()
        assert set(word) == {"id", "question", "action", "value", "at", "circumstances"}
        status, said = self.desk.take(who(request), word)
        return JSONResponse(said, status)

    async def leases(self, request: Request) -> Response:
        word = await request.json()
        self.desk.leases.append({**word, "annotator": who(request)})
        self.desk.give_back(who(request), word["page"])
        return JSONResponse({"holds": word["holds"], "seconds": LEASE_S, "waiting": 0, "text": ""})

    async def history(self, request: Request) -> Response:
        asked = request.query_params
        return JSONResponse(self.desk.history(who(request), asked.get("before"), int(asked.get("limit", "10"))))

    async def status(self, request: Request) -> Response:
        return JSONResponse(self.desk.status)

    async def rounds(self, request: Request) -> Response:
        return JSONResponse(self.desk.rounds)

    async def queue(self, request: Request) -> Response:
        items = [
            {"id": q["id"], "rank": q["rank"], "score": q["score"], "held": q["id"] in self.desk.held}
            for q in self.desk.questions
        ]
        return JSONResponse({"open": len(items), "waiting": 0, "items": items})

    async def events(self, request: Request) -> Response:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.desk.streams[queue], self.desk.pages[queue] = who(request), request.query_params.get("page", "")
        return StreamingResponse(self._stream(queue), media_type="text/event-stream")

    async def _stream(self, queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
        try:
            yield ": here\n\n"
            while (line := await queue.get()) is not None:
                yield line
        finally:
            self.desk.streams.pop(queue, None)
            self.desk.pages.pop(queue, None)


def who(request: Request) -> str:
    return request.cookies.get("annotator", "anna")


def problem(status: int, detail: str) -> JSONResponse:
    content = {"type": "about:blank", "title": "Refused", "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")


def melodies(count: int = 40) -> Iterator[NDArray[np.uint8]]:
    return (melody(seed) for seed in range(count))
