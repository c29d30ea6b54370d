"""Watches a running experiment from the control room. Knows status reports; not how they are shown."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from active_learner.config.schema import Config
from active_learner.errors import Unreachable
from active_learner.peer import Peer, Received
from protocol.messages import StatusReport, StatusRequest

ROLE = "monitor"

OnReport = Callable[[StatusReport], None]


def _peer(config: Config, address: str, connect_timeout_s: float | None) -> Peer:
    return Peer(experiment=config.name, role=ROLE, address=address, connect_timeout_s=connect_timeout_s)


async def ask(config: Config, address: str, timeout_s: float = 5.0) -> StatusReport:
    """The trainer's present state. Raises: Unreachable, saying whether the broker or the trainer is missing."""
    try:
        async with _peer(config, address, timeout_s) as peer:
            return await _ask(peer, config, address, timeout_s)
    except Unreachable as error:
        raise Unreachable(f"{error} (experiment {config.name!r}; is `active-learner up` running?)") from error


async def _ask(peer: Peer, config: Config, address: str, timeout_s: float) -> StatusReport:
    await peer.join(config.rooms.control)
    if not peer.present(config.rooms.control, "trainer"):
        raise Unreachable(f"the broker at {address} is there, but no trainer")
    number = secrets.token_hex(8)

    def answers(received: Received) -> bool:
        return isinstance(received.message, StatusReport) and received.message.re == number

    answer = (await peer.request("@trainer", StatusRequest(number), answers, timeout_s)).message
    assert isinstance(answer, StatusReport)  # what `answers` lets through
    return answer


async def follow(config: Config, address: str, on_report: OnReport, connect_timeout_s: float | None = None) -> None:
    """Hand every report on, for ever, over restarts of broker and trainer. Raises: Unreachable when the broker is not there
    within `connect_timeout_s` (None: wait for it)."""
    async with _peer(config, address, connect_timeout_s) as peer:
        await peer.join(config.rooms.control)
        if peer.present(config.rooms.control, "trainer"):
            peer.send("@trainer", StatusRequest(secrets.token_hex(8)))
        async for received in peer:
            if isinstance(received.message, StatusReport):
                on_report(received.message)
