"""Rows 10 to 13 of the fault matrix: hung, half-open, reset and cut-off peers, each noticed in time and nobody else hurt."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from active_learner.faults.proxy import TcpProxy
from active_learner.peer import Peer, Received
from protocol.messages import Control, Member
from tests.broker_process import Process, broker
from tests.integration.by_hand import PATIENCE_S, Hand
from tests.integration.gated_run import all_started, by_hand, ends_right

__all__ = ["by_hand"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NOTICED_S = 10.0
"""Two are promised; the rest is for a busy machine."""

ROLES = {"serve": "trainer", "evaluator": "evaluator", "source": "source", "label": "labeler"}


class Watch:
    """Who is in the room control, followed from outside."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.here, self._changed = peer, set[str](), asyncio.Event()
        self.connected = True
        peer.on_presence = self._presence
        peer.on_session = self._session

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        (self.here.add if here else self.here.discard)(member.role)
        self._changed.set()

    def _session(self, here: bool) -> None:
        self.connected = here
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> float:
        """Seconds until it is so."""
        began = time.monotonic()
        while not true():
            self._changed.clear()
            await self._changed.wait()
        return time.monotonic() - began


def test_row_10_a_stopped_process_is_noticed_and_the_run_ends_with_the_right_weights(
    by_hand: Callable[..., Hand],
) -> None:
    """Each role in turn, then the broker; the run ends with the weights that it would have had."""
    hand = by_hand("labeler.delay_s=0.05")
    shells = all_started(hand)

    async def story() -> None:
        async with Peer(experiment="digits", role="watch", address=hand.address) as peer, asyncio.timeout(PATIENCE_S):
            watch = Watch(peer)
            await peer.join("control")
            await watch.until(lambda: watch.here == set(ROLES.values()))
            for command, role in ROLES.items():
                shells[command].signal(signal.SIGSTOP)
                took = await watch.until(lambda role=role: role not in watch.here)
                shells[command].signal(signal.SIGCONT)
                await watch.until(lambda role=role: role in watch.here)
                print(f"{role} was missed after {took:.2f} s")
                assert took < NOTICED_S
            shells["broker"].signal(signal.SIGSTOP)
            took = await watch.until(lambda: not watch.connected)
            shells["broker"].signal(signal.SIGCONT)
            await watch.until(lambda: watch.connected)
            print(f"the broker was missed after {took:.2f} s")
            assert took < NOTICED_S

    asyncio.run(story())
    ends_right(hand, shells["serve"])


def run(story: Callable[[Process, str], Awaitable[None]]) -> None:
    async def bounded(process: Process, address: str) -> None:
        async with asyncio.timeout(150):
            await story(process, address)

    with broker() as (process, address):
        asyncio.run(bounded(process, address))


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_row_11_both_ends_of_a_half_open_connection_drop_it_and_it_comes_back_when_it_heals() -> None:
    async def story(_: Process, address: str) -> None:
        async with TcpProxy("127.0.0.1", port_of(address)) as proxy:
            behind = f"tcp://127.0.0.1:{proxy.port}"
            near = Peer(experiment="digits", role="near", address=address)
            far = Peer(experiment="digits", role="far", address=behind)
            async with near, far:
                watch, cut_off = Watch(near), Watch(far)
                await near.join("control")
                await far.join("control")
                await watch.until(lambda: "far" in watch.here)
                proxy.half_open()
                took = [
                    await watch.until(lambda: "far" not in watch.here),
                    await cut_off.until(lambda: not cut_off.connected),
                ]
                print(f"the broker's side noticed after {took[0]:.2f} s, the peer's {took[1]:.2f} s later")
                assert max(took) < NOTICED_S
                proxy.heal()
                await watch.until(lambda: "far" in watch.here)
                await cut_off.until(lambda: cut_off.connected)

    run(story)


def test_row_12_a_member_that_dies_with_a_reset_disturbs_neither_sender_nor_others() -> None:
    number = 400

    async def story(_: Process, address: str) -> None:
        async with TcpProxy("127.0.0.1", port_of(address)) as proxy:
            sender = Peer(experiment="digits", role="sender", address=address)
            other = Peer(experiment="digits", role="other", address=address)
            dying = Peer(experiment="digits", role="dying", address=f"tcp://127.0.0.1:{proxy.port}")
            async with sender, other, dying:
                heard: list[str] = []
                complete = asyncio.Event()

                def hear(received: Received) -> None:
                    if isinstance(received.message, Control):
                        heard.append(received.message.command)
                        if len(heard) == number:
                            complete.set()

                other.on_message = hear
                for peer in (sender, other, dying):
                    await peer.join("control")
                for one in range(number):
                    assert sender.send("control", Control("any", str(one)))
                    if one == number // 2:
                        proxy.cut()
                    await asyncio.sleep(0)
                await complete.wait()
                assert heard == [str(one) for one in range(number)]
                assert sender.counters.get("sessions_lost", 0) == 0

    run(story)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL" + bytes(16) + b"\x00" + bytes(31)
READY = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
TRUNCATED = b"\x00\xc8" + b"half of a frame"
"""A frame that says it has 200 bytes."""


def test_row_13_a_truncated_frame_and_a_close_leave_the_broker_idle() -> None:
    async def story(process: Process, address: str) -> None:
        asker = Peer(experiment="digits", role="asker", address=address)
        async with asker:
            await asker.join("control")
            before = used_s(process)
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port_of(address)), 5) as raw:
                    raw.sendall(GREETING + READY + TRUNCATED)
            await asyncio.sleep(1.0)
            middle = used_s(process)
            await asyncio.sleep(1.0)
            idle = used_s(process) - middle
            print(f"20 truncated frames cost {middle - before:.2f} s of processor; the second after them {idle:.2f} s")
            assert idle < 0.3  # a connection that spins takes all of it
            assert asker.connected

    run(story)


def used_s(process: Process) -> float:
    """Processor time of it and its threads."""
    fields = Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
