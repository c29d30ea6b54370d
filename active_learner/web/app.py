"""The paths: who may call them, what they read, what they answer. Knows HTTP and the office; decides nothing about answers."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from active_learner.web.doorman import Doorman, Visitor
from active_learner.web.forms import read_hold, read_lease, read_page, read_past, read_word
from active_learner.web.guard import Guard, Handler, form_of, told, told_by_us
from active_learner.web.office import Office
from active_learner.web.openapi import DOCUMENT
from active_learner.web.problems import TITLES, Problem
from active_learner.web.streams import Stream
from active_learner.web.turned_away import turned_away

API = "/api/v1"
STATIC = Path(__file__).parent / "static"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
"""No other file is served, whatever lies there."""

PAGES = {"/": "label.html", "/run": "run.html"}
METRICS = "text/plain; version=0.0.4; charset=utf-8"

Own = Callable[[Request, Visitor], Awaitable[Response]]


class Page:
    """Handlers of one service."""

    def __init__(self, office: Office, doorman: Doorman, renderer: Path | None = None) -> None:
        """`renderer`: a JavaScript module of the user's own, served as /own.js."""
        self._office, self._doorman = office, doorman
        self._files = _read_files(STATIC)
        if renderer is not None:
            self._files["/own.js"] = (renderer.read_bytes(), KINDS[".js"])

    def app(self) -> ASGIApp:
        routes = [Route(path, told_by_us(handler), methods=[method]) for method, path, handler in self.paths()]
        handlers = {404: _not_found, 405: _not_found}
        return Guard(Starlette(routes=routes, exception_handlers=handlers), self._doorman)  # type: ignore[arg-type]

    def paths(self) -> list[tuple[str, str, Handler]]:
        own = self._own
        return [
            ("GET", "/", self._file),
            ("GET", "/run", self._file),
            ("GET", "/own.js", self._file),
            ("GET", "/static/{name:path}", self._file),
            ("GET", "/enter", self._enter),
            ("POST", f"{API}/leave", own(self._leave)),
            ("GET", f"{API}/me", own(self._me)),
            ("GET", f"{API}/questions", own(self._questions)),
            ("POST", f"{API}/answers", own(self._answers)),
            ("POST", f"{API}/leases", own(self._leases)),
            ("GET", f"{API}/history", own(self._history)),
            ("GET", f"{API}/queue", own(self._queue)),
            ("GET", f"{API}/status", own(self._status)),
            ("GET", f"{API}/rounds", own(self._rounds)),
            ("GET", f"{API}/metrics", own(self._metrics)),
            ("GET", f"{API}/events", own(self._events)),
            ("GET", f"{API}/openapi.json", self._document),
        ]

    def _own(self, handler: Own) -> Handler:
        """For somebody who is let in."""

        async def answer(request: Request) -> Response:
            return await handler(request, self._doorman.visitor(request))

        return answer

    # --- files and entry

    async def _file(self, request: Request) -> Response:
        """Open to all: it is the same in every copy of this program."""
        path = request.url.path
        found = self._files.get(f"/static/{PAGES[path]}" if path in PAGES else path)
        if found is None:
            raise Problem(404, "There is no such file.")
        content, kind = found
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=None, headers={**headers, "Content-Type": kind})

    async def _enter(self, request: Request) -> Response:
        """The link that was printed: a session, and on to the page."""
        token = request.query_params.get("token", "")
        address = request.client.host if request.client else ""
        try:
            secret = await run_in_threadpool(self._doorman.enter, token, address)
        except Problem as problem:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            return turned_away(problem)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self._doorman.cookie,
            secret,
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto") == "https",
            path="/",
        )
        return response

    async def _leave(self, request: Request, visitor: Visitor) -> Response:
        self._doorman.check_change(visitor, request.headers.get("x-csrf-token"))
        secret = request.cookies.get(self._doorman.cookie, "")
        await run_in_threadpool(self._doorman.accounts.end, secret)
        response = JSONResponse({})
        response.delete_cookie(self._doorman.cookie, path="/", httponly=True, samesite="strict")
        return response

    # --- labeling

    async def _me(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse({**self._office.me(visitor.annotator), "csrf": visitor.csrf})

    async def _questions(self, request: Request, visitor: Visitor) -> Response:
        hold = read_hold(request.query_params.get("hold"))
        return JSONResponse(await self._office.questions(visitor.annotator, hold))

    async def _answers(self, request: Request, visitor: Visitor) -> Response:
        self._doorman.check_change(visitor, request.headers.get("x-csrf-token"))
        word = read_word(await form_of(request), self._office.classes)
        verdict = await self._office.answer(visitor.annotator, word)
        if verdict.code >= 400:
            raise Problem(verdict.code, verdict.text or TITLES[verdict.code], word=verdict.status)
        known = {"id": word.id, "question": word.question, "status": verdict.status, "text": verdict.text}
        return JSONResponse(known, verdict.code)

    async def _leases(self, request: Request, visitor: Visitor) -> Response:
        """A page that goes cannot set a header: it has the token in the body."""
        form = await form_of(request)
        self._doorman.check_change(visitor, request.headers.get("x-csrf-token") or _text(form.get("csrf")))
        return JSONResponse(await self._office.lease(visitor.annotator, read_lease(form)))

    async def _history(self, request: Request, visitor: Visitor) -> Response:
        asked = request.query_params
        before, limit = read_past(asked.get("before"), asked.get("limit"))
        return JSONResponse(self._office.history(visitor.annotator, before, limit))

    # --- the run

    async def _queue(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(self._office.queue())

    async def _status(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(await self._office.status())

    async def _rounds(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(await self._office.rounds())

    async def _metrics(self, request: Request, visitor: Visitor) -> Response:
        text = self._office.metrics()
        return Response(text, headers={"Content-Type": METRICS})

    async def _events(self, request: Request, visitor: Visitor) -> Response:
        office = self._office
        last = request.headers.get("last-event-id", "")[:100]
        page = read_page(request.query_params.get("page", ""))
        stream = office.streams.open(visitor.annotator, last, office.greeting(visitor.annotator), page)
        stream.is_welcome = lambda: self._doorman.is_still(request, visitor)
        return _Streaming(stream, lambda: office.streams.leave(stream))

    async def _document(self, request: Request) -> Response:
        return JSONResponse(DOCUMENT)


class _Streaming(StreamingResponse):
    def __init__(self, stream: Stream, over: Callable[[], None]) -> None:
        """Its connection ends with it: that of a stream which had to go would keep its place for IDLE_S."""
        headers = {"X-Accel-Buffering": "no", "Connection": "close"}
        super().__init__(aiter(stream), media_type="text/event-stream", headers=headers)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


def _read_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    """By path; read once, so that what is served cannot change under a page."""
    found = sorted(folder.rglob("*")) if folder.is_dir() else []
    files = [path for path in found if path.suffix in KINDS and path.is_file()]
    return {f"/static/{path.relative_to(folder).as_posix()}": (path.read_bytes(), KINDS[path.suffix]) for path in files}


async def _not_found(request: Request, error: HTTPException) -> Response:
    allowed = (error.headers or {}).get("Allow", "")
    text = f"Allowed here: {allowed}." if allowed else "There is no such address."
    return told(Problem(error.status_code, text, headers=error.headers))


def _text(given: Any) -> str | None:
    return given if isinstance(given, str) else None
