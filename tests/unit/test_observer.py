"""Who is back, since when, and who is not: by what is heard through a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from active_learner.peer import Peer
from active_learner.services.observer import Observer
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Control, LogLine


def run(story: Callable[[str, Observer], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with MemoryBroker() as broker, asyncio.timeout(30):
            observer = Observer(
                Peer(experiment="digits", role="monitor", address=broker.address), ("control",), {"front": "front"}
            )
            await observer.open()
            await story(broker.address, observer)
            await observer.close()

    asyncio.run(bounded())


async def said(address: str, role: str, *messages: Control | LogLine) -> None:
    """By a process that comes, speaks and goes."""
    async with Peer(experiment="digits", role=role, address=address) as peer:
        await peer.join("control")
        for message in messages:
            assert peer.send("control", message)


WORD, TELEMETRY = Control("any", "useful"), LogLine(1, "info", "I am here")


def test_it_is_back_at_its_first_useful_word_in_a_new_session() -> None:
    async def story(address: str, observer: Observer) -> None:
        await said(address, "front", WORD)
        began, old = asyncio.get_running_loop().time(), observer.sessions()
        waiting = asyncio.create_task(observer.back("front", old, began, 20))
        await said(address, "other", WORD)
        assert not waiting.done()
        await said(address, "front", TELEMETRY, WORD)
        back = await waiting
        assert back is not None
        assert back.how == "spoke"
        assert 0 <= back.seconds < 20

    run(story)


def test_it_may_have_been_back_before_anybody_asked() -> None:
    async def story(address: str, observer: Observer) -> None:
        began, old = asyncio.get_running_loop().time(), observer.sessions()
        await said(address, "front", WORD)
        back = await observer.back("front", old, began, 20)
        assert back is not None
        assert await observer.back("front", old, began, 20) == back

    run(story)


def test_the_broker_is_back_when_anybody_new_is_heard_and_a_labeler_when_it_comes() -> None:
    async def story(address: str, observer: Observer) -> None:
        began, old = asyncio.get_running_loop().time(), observer.sessions()
        waits = [asyncio.create_task(observer.back(one, old, began, 20)) for one in ("broker", "labeler")]
        await said(address, "front", WORD)
        await said(address, "labeler")
        assert [back.how for one in waits if (back := await one) is not None] == ["spoke", "spoke"]

    run(story)


def test_who_has_nothing_to_say_is_there_and_who_never_comes_is_not() -> None:
    async def story(address: str, observer: Observer) -> None:
        began, old = asyncio.get_running_loop().time(), observer.sessions()
        waiting = asyncio.create_task(observer.back("front", old, began, 20))
        await said(address, "front", TELEMETRY)
        back = await waiting
        assert back is not None
        assert back.how == "joined"
        assert await observer.back("trainer", old, began, 0.1) is None

    run(story)
