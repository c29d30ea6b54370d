"""The socket of the page's server."""

from __future__ import annotations

import asyncio
import socket

from active_learner.web.server import bind


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
