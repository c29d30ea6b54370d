"""Watches a running experiment from the control room. Knows status reports; not how they are shown."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from active_learner.config.loading import keys_of
from active_learner.config.schema import Config
from active_learner.errors import Unreachable
from active_learner.peer import Peer, Received
from active_learner.services.tally import read_tally
from protocol.messages import LogLine, StatusReport, StatusRequest

ROLE = "monitor"

COUNTED_S = 1.0
"""Patience with peers that should say what they counted: they may be in the middle of a step."""

OnReport = Callable[[StatusReport], None]


def _peer(config: Config, address: str, connect_timeout_s: float | None) -> Peer:
    keys = keys_of(config, ROLE)
    return Peer(experiment=config.name, role=ROLE, address=address, keys=keys, connect_timeout_s=connect_timeout_s)


@dataclass(frozen=True, slots=True)
class Answers:
    """The trainer's state, and what the other peers counted, by name; None: it did not say in time."""

    report: StatusReport
    counted: dict[str, dict[str, int] | None]


async def ask(config: Config, address: str, timeout_s: float = 5.0) -> Answers:
    """How it is at present. Raises: Unreachable, saying whether the broker or the trainer is missing."""
    try:
        async with _peer(config, address, timeout_s) as peer:
            return await _ask(peer, config, address, timeout_s)
    except Unreachable as error:
        raise Unreachable(f"{error} (experiment {config.name!r}; is `active-learner up` running?)") from error


async def _ask(peer: Peer, config: Config, address: str, timeout_s: float) -> Answers:
    await peer.join(config.rooms.control)
    if not peer.present(config.rooms.control, "trainer"):
        raise Unreachable(f"the broker at {address} is there, but no trainer")
    number = secrets.token_hex(8)

    def answers(received: Received) -> bool:
        return isinstance(received.message, StatusReport) and received.message.re == number

    answer = (await peer.request("@trainer", StatusRequest(number), answers, timeout_s)).message
    assert isinstance(answer, StatusReport)  # what `answers` lets through
    roles = (*config.trainer.stages, "source", "labeler")
    return Answers(answer, await _counted(peer, config.rooms.control, roles))


async def _counted(peer: Peer, control: str, roles: Sequence[str]) -> dict[str, dict[str, int] | None]:
    """Ask all others in the room at once. One that is not of ours may say nothing."""
    found: dict[str, dict[str, int] | None] = {
        member.name: None for role in roles for member in peer.present(control, role)
    }
    if not found:
        return {}
    peer.send(control, StatusRequest(secrets.token_hex(8)))
    with suppress(TimeoutError):
        async with asyncio.timeout(COUNTED_S):
            async for received in peer:
                told = read_tally(received.message) if isinstance(received.message, LogLine) else None
                if told is not None and received.sender is not None and received.sender.name in found:
                    found[received.sender.name] = told
                if None not in found.values():
                    break
    return found


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
