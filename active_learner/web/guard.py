"""Around every request: where it comes from, how long it is, what its answer's headers forbid. Knows no path's meaning."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from active_learner.web.doorman import Doorman
from active_learner.web.forms import Form, read_json
from active_learner.web.problems import TYPE, Problem

LOG = logging.getLogger(__name__)

BODY_BYTES = 16 * 1024
"""An answer has 300, with its circumstances at most 1.5 KiB."""

BODY_S = 10.0

PATH_BYTES = 2048

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No script and no style that is not a file of ours, nothing from elsewhere, no frame around it, no text made into markup."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """Outermost, around all paths."""

    def __init__(self, app: ASGIApp, doorman: Doorman) -> None:
        self._app, self._doorman = app, doorman

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        try:
            await self._pass(scope, receive, guarded)
        except Problem as problem:
            await told(problem)(scope, receive, guarded)
        except ClientDisconnect:
            return

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > PATH_BYTES:
            raise Problem(400, f"An address has at most {PATH_BYTES} bytes.")
        self._doorman.check_place(Request(scope))
        await self._app(scope, receive, send)


def _add_headers(message: Message) -> None:
    given = {name.lower() for name, _ in message["headers"]}
    more = {"Cache-Control": "no-store", **HEADERS}
    fields = [(name.lower().encode(), value.encode()) for name, value in more.items()]
    message["headers"] = [*message["headers"], *(one for one in fields if one[0] not in given)]


def told(problem: Problem) -> Response:
    return JSONResponse(problem.form(), problem.status, problem.headers, TYPE)


async def form_of(request: Request) -> Form:
    """The body. Raises: Problem."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "The body must be JSON, with Content-Type: application/json.")
    try:
        async with asyncio.timeout(BODY_S):
            return read_json(await _body(request))
    except TimeoutError:
        raise Problem(408, f"The body did not come within {BODY_S:.0f} s.") from None


async def _body(request: Request) -> bytes:
    told = request.headers.get("content-length", "0")
    found = bytearray()
    if told.isdecimal() and len(told) < 20 and int(told) <= BODY_BYTES:
        async for part in request.stream():
            found += part
            if len(found) > BODY_BYTES:
                break
        else:
            return bytes(found)
    raise Problem(413, f"A body has at most {BODY_BYTES} bytes.")


Handler = Callable[[Request], Awaitable[Response]]


def told_by_us(handler: Handler) -> Handler:
    """Before starlette makes an answer of its own of it; a fault of ours without a word about our inside."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as problem:
            return told(problem)
        except (ClientDisconnect, MemoryError):  # nobody to tell; bounds.py tells
            raise
        except Exception:
            LOG.exception("a request could not be handled: %s", request.url.path[:200])
            return told(
                Problem(500, "It is not known what was taken of it: say it again. The service's log says more.")
            )

    return answer
