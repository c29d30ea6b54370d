"""The socket of the page's server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Receive, Scope, Send

from active_learner.web import server
from active_learner.web.server import WebServer, bind

PATIENCE_S = 30.0


def test_small_answers_do_not_wait_for_the_acknowledgement_of_the_one_before() -> None:
    """Head and body are two writes; the second would wait 40 ms for a browser's delayed acknowledgement (Nagle, RFC 896)."""

    async def main() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            told.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        bound = bind("127.0.0.1", 0)
        async with await asyncio.start_server(met, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname())
            found = await told
            writer.close()
            await writer.wait_closed()
            return found

    assert asyncio.run(main())


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def served(scene: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
    """`scene` has a connection to a service whose every answer is ok."""

    async def main() -> None:
        bound = bind("127.0.0.1", 0)
        web = WebServer(greet, bound)
        await web.start()
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await scene(reader, writer)
        finally:
            writer.close()
            await web.stop()

    asyncio.run(main())


@pytest.mark.parametrize("half", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_who_does_not_finish_a_first_request_is_cut_off(monkeypatch: pytest.MonkeyPatch, half: bytes) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.05)

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(half)
        assert await reader.read() == b""

    served(scene)


def test_a_second_request_must_come_whole_too_and_its_first_byte_may_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        later = loop.create_future()
        loop.call_later(0.5, later.set_result, None)  # longer than a head may take: no head has begun
        await later
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await reader.read() == b""

    served(scene)
