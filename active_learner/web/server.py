"""uvicorn in a service's own loop: bound before anybody is told, ended within a second of being told. Knows sockets; not what is served."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from active_learner.errors import AddressInUse, Unreachable

GRACE_S = 1
"""For requests under way; streams are ended before. A service has 2.5 s for all of its stop."""

IDLE_S = 30
"""A connection without a request is closed after that."""

HEAD_S = 10.0
"""For the head of a request, from its first byte, and for the first one from the connection on: many halves would leave no place."""

CONNECTIONS = 256
"""At once; one more is told 503."""


class Hasty(H11Protocol):
    """uvicorn's own waits for ever for the rest of a head."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stand_down()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stand_down()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _stand_down(self) -> None:
        late, self._late = self._late, None
        if late is not None:
            late.cancel()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the service's: uvicorn's own handlers would wait for open streams for ever, then kill the process anew."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A socket at that place, before anything else is begun. Raises: AddressInUse, Unreachable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # by its protocol asyncio knows: no delay
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen()
    except OSError as error:
        bound.close()
        raise _refusal(host, port, error) from None
    return bound


def _refusal(host: str, port: int, error: OSError) -> AddressInUse | Unreachable:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(f"labeler.port: {host}:{port} is in use; choose another (0: a free one)")
    return Unreachable(f"labeler.host: cannot serve the page at {host}:{port}: {error.strerror or error}")


class WebServer:
    """Serves from `start` to `stop`."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        self._bound = bound
        config = uvicorn.Config(
            app,
            http=Hasty,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Server(config)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when requests are served."""
        self._running = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def stop(self) -> None:
        """No new connection from now on; requests under way have GRACE_S."""
        self._server.should_exit = True
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=2 * GRACE_S)
        self._bound.close()
