"""A desk behind a real port, in a thread: it can be lost and come back on the same port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn

from tests.browser.desk import Desk, app
from tests.ports import free_port

STARTS_WITHIN_S = 60.0


class Serving:
    """`start` and `stop` as often as a test likes."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._port = free_port()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Serving:
        listener = socket.create_server(("127.0.0.1", self._port))
        config = uvicorn.Config(app(self.desk), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server, ready = uvicorn.Server(config), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, ready), daemon=True)
        self._thread.start()
        assert ready.wait(STARTS_WITHIN_S)
        return self

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        async def serve() -> None:
            assert self._server is not None
            self._loop = asyncio.get_running_loop()
            ready.set()
            await self._server.serve(sockets=[listener])

        asyncio.run(serve())

    def call(self, work: Callable[..., Any], *arguments: Any) -> None:
        """In the service's own thread."""
        assert self._loop is not None
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (work(*arguments), done.set()))
        assert done.wait(STARTS_WITHIN_S)

    def say(self, kind: str, data: dict[str, Any]) -> None:
        self.call(self.desk.say, kind, data)

    def _end(self, server: uvicorn.Server) -> None:
        """Both at once: a server that knows that it must end may have ended before the next call."""
        server.should_exit = True
        self.desk.hang_up()

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self.call(self._end, self._server)
        self._thread.join(STARTS_WITHIN_S)
        assert not self._thread.is_alive()
        self._server = self._thread = None
