"""Asks a broker whether it is there, without a session. Knows PING and PONG only."""

from __future__ import annotations

import asyncio
import secrets

from active_learner.core.keys import Keys
from active_learner.errors import Unreachable
from active_learner.transport import link_to, no_broker
from active_learner.transport.base import Link
from protocol.codec import decode, encode
from protocol.errors import RemoteProtocolError
from protocol.messages import Ping, Pong

RETRY_S = 0.02
"""Between two attempts to send while the link is not connected yet."""


async def broker_counters(address: str, keys: Keys | None = None, timeout_s: float = 2.0) -> dict[str, int] | None:
    """What the broker relayed, refused, shed and gave up; None when it does not answer in time."""
    try:
        return dict((await ping(address, timeout_s, keys))[0].counters)
    except Unreachable:
        return None


async def ping(address: str, timeout_s: float = 2.0, keys: Keys | None = None) -> tuple[Pong, float]:
    """The broker's answer, and seconds that it took. Raises: Unreachable."""
    loop = asyncio.get_running_loop()
    asked = Ping(secrets.token_hex(8))
    answer: asyncio.Future[Pong] = loop.create_future()

    def heard(frames: list[memoryview]) -> None:
        try:
            message = decode(frames).message
        except RemoteProtocolError:
            return
        if isinstance(message, Pong) and message.id == asked.id and not answer.done():
            answer.set_result(message)

    link = link_to(address, keys=keys)
    await link.open(heard)
    try:
        async with asyncio.timeout(timeout_s):
            await _send(link, asked)
            began = loop.time()
            return await answer, loop.time() - began
    except TimeoutError:
        raise no_broker(address, timeout_s, link.trouble) from None
    finally:
        await link.close()


async def _send(link: Link, asked: Ping) -> None:
    frames = encode(asked)
    while not link.send(frames):  # noqa: ASYNC110 - a link tells nobody that it is connected
        await asyncio.sleep(RETRY_S)
