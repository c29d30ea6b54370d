"""A link with faults: switched on by the environment, told, and everything else as the link that it is around."""

from __future__ import annotations

import asyncio
import logging

import pytest

from active_learner.errors import ConfigError
from active_learner.faults.rules import VARIABLE, FaultRules
from active_learner.peer import Peer, Received
from active_learner.transport import link_to
from active_learner.transport.faulty_link import FaultyLink
from active_learner.transport.memory import MemoryBroker, MemoryLink
from protocol.messages import Control, StatusReport, StatusRequest

ROUGH = "seed=3,drop=0.2,duplicate=0.2,reorder=8,delay_s=0.01"


def test_without_the_variable_a_link_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert isinstance(link_to("memory://a"), MemoryLink)
    monkeypatch.setenv(VARIABLE, "seed=3")
    assert isinstance(link_to("memory://a"), MemoryLink)


def test_with_the_variable_it_is_bad_and_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ROUGH)
    assert isinstance(link_to("memory://a"), FaultyLink)
    monkeypatch.setenv(VARIABLE, "lose=everything")
    with pytest.raises(ConfigError, match="drop="):
        link_to("memory://a")


def test_nobody_runs_with_faults_unknowingly(caplog: pytest.LogCaptureFixture) -> None:
    async def opened() -> None:
        async with MemoryBroker() as broker:
            link = FaultyLink(broker.link(), FaultRules(drop=0.5), "anna")
            assert not link.send([b"early"])
            await link.open(lambda frames: None)
            await link.close()
            await link.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(opened())
    assert f"faults are on ({VARIABLE})" in caplog.text
    assert "drop=0.5" in caplog.text


def test_requests_are_answered_over_bad_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """HELLO, WELCOME, JOIN, JOINED and presence are hit too; both peers find each other, and each request its answer."""
    monkeypatch.setenv(VARIABLE, ROUGH)

    async def story() -> None:
        async with MemoryBroker() as broker, asyncio.timeout(60):
            asker = Peer(experiment="digits", role="asker", address=broker.address)
            answerer = Peer(experiment="digits", role="answerer", address=broker.address)
            async with asker, answerer:
                await asyncio.gather(asker.join("control"), answerer.join("control"))
                answerer.on_message = lambda received: answer(answerer, received)
                for number in range(20):
                    await asker.request("control", StatusRequest(str(number)), is_report(str(number)), 30.0, 0.05)

    asyncio.run(story())


def answer(peer: Peer, received: Received) -> None:
    if isinstance(received.message, StatusRequest):
        re = received.message.id
        peer.reply(
            received, StatusReport(re, 1, "", "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None, None, None, "", (), ())
        )


def is_report(re: str):  # type: ignore[no-untyped-def]
    return lambda received: isinstance(received.message, StatusReport) and received.message.re == re


def test_a_lost_presence_is_found_out() -> None:
    """What the broker told while the link lost everything is known soon after."""

    async def story() -> None:
        async with MemoryBroker() as broker, asyncio.timeout(20):
            watch = Peer(experiment="digits", role="watch", address=broker.address)
            deaf = DeafLink(broker.address)
            watch._link = deaf
            seen = asyncio.Event()
            watch.on_presence = lambda room, member, here, why: seen.set()
            async with watch:
                await watch.join("control")
                deaf.is_deaf = True
                async with Peer(experiment="digits", role="other", address=broker.address) as other:
                    await other.join("control")
                    assert not seen.is_set()
                    deaf.is_deaf = False
                    await seen.wait()
                    assert [member.name for member in watch.present("control", "other")] == [other.name]
                    assert watch.send("control", Control("any", "x"))

    asyncio.run(story())


class DeafLink(MemoryLink):
    """Loses what comes while it is deaf."""

    is_deaf = False

    def _hand_over(self) -> None:
        if self.is_deaf:
            self._inbox.clear()
        super()._hand_over()
