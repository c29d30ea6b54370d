"""What every transport promises: one suite over sockets and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from active_learner.config.schema import BrokerConfig
from active_learner.core.keys import Keys
from active_learner.errors import AddressInUse, Unreachable
from active_learner.services.broker import Broker
from active_learner.transport import ROUTERS, VARIANTS, link_to, router_at
from active_learner.transport.base import Doorman, Link
from active_learner.transport.zmq_curve import new_pair
from protocol.codec import decode, encode
from protocol.messages import Candidates, Control, Join, Joined, Message, Ping, Pong, Undelivered, Unknown, Welcome
from tests.conversation import hello

ADDRESSES = {"tcp": "tcp://127.0.0.1:0", "memory": "memory://"}
WITH_KEYS = " with keys"
SCHEMES = [*sorted(VARIANTS), "tcp" + WITH_KEYS]
ROOM = "digits/control"
PATIENCE_S = 20.0


class Wire:
    """A link with what came over it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.lives: asyncio.Queue[None] = asyncio.Queue()
        link.on_live = lambda: self.lives.put_nowait(None)
        self.session = 0

    async def open(self) -> None:
        await self.link.open(lambda frames: self.heard.put_nowait(decode(frames).message))

    async def say(self, message: Message, room: str = "", sequence: int = 0) -> None:
        """As soon as the link takes it."""
        frames = encode(message, room=room, session=self.session, sequence=sequence)
        async with asyncio.timeout(PATIENCE_S):
            while not self.link.send(frames):  # noqa: ASYNC110 - a link tells nobody that it is connected
                await asyncio.sleep(0.005)

    async def next(self, kind: type[Message]) -> Message:
        """The next message of a kind; others before it are dropped."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.heard.get()
                if isinstance(message, kind):
                    return message

    async def enter(self, name: str, *rooms: str) -> None:
        await self.say(hello(name))
        welcome = await self.next(Welcome)
        assert isinstance(welcome, Welcome)
        self.session = welcome.session
        for room in rooms:
            await self.say(Join(room))
            await self.next(Joined)


class Guests(Doorman):
    """Lets in the keys that it has made itself."""

    def __init__(self) -> None:
        self.pair = new_pair()
        self.made: set[str] = set()

    def keys(self) -> Keys:
        pair = new_pair()
        self.made.add(pair.public)
        return Keys("guest", "guest", pair, self.pair.public)

    def admits(self, public: str, address: str) -> bool:
        return public in self.made

    def failed(self, why: str) -> None:
        raise AssertionError(why)


class House:
    """A broker and links to it, all closed at the end."""

    def __init__(self, scheme: str) -> None:
        self.address = ADDRESSES[scheme.removesuffix(WITH_KEYS)]
        self.guests = Guests() if scheme.endswith(WITH_KEYS) else None
        self.wires: list[Wire] = []
        self.broker: Broker | None = None

    async def start(self) -> None:
        """At the address of before, if there was one."""
        settings = BrokerConfig.model_construct(**{**BrokerConfig().model_dump(), "address": self.address})
        self.broker = Broker(settings, router_at(self.address, settings.max_message_bytes, self.guests))
        self.address = (await self.broker.start()).removeprefix("broker ")

    async def stop(self) -> None:
        assert self.broker is not None
        await self.broker.stop()

    async def wire(self) -> Wire:
        wire = Wire(link_to(self.address, keys=self.guests and self.guests.keys()))
        self.wires.append(wire)
        await wire.open()
        return wire

    async def entered(self, name: str, *rooms: str) -> Wire:
        wire = await self.wire()
        await wire.enter(name, *rooms)
        return wire


@asynccontextmanager
async def house(scheme: str) -> AsyncIterator[House]:
    built = House(scheme)
    await built.start()
    try:
        yield built
    finally:
        for wire in built.wires:
            await wire.link.close()
        await built.stop()


def run(scheme: str, story: Callable[[House], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(2 * PATIENCE_S), house(scheme) as built:
            await story(built)

    asyncio.run(told())


pytestmark = pytest.mark.parametrize("scheme", SCHEMES)


def test_links_and_routers_are_named_for_the_same_schemes(scheme: str) -> None:
    assert scheme.removesuffix(WITH_KEYS) in ROUTERS
    assert scheme.removesuffix(WITH_KEYS) in ADDRESSES


def test_a_ping_is_answered(scheme: str) -> None:
    async def story(house: House) -> None:
        wire = await house.wire()
        await wire.say(Ping("x"))
        assert (await wire.next(Pong)).id == "x"

    run(scheme, story)


def test_messages_arrive_in_order_and_whole(scheme: str) -> None:
    async def story(house: House) -> None:
        a, b = await house.entered("a", ROOM), await house.entered("b", ROOM)
        for number in range(1500):
            await a.say(Control("source", str(number)), ROOM)
        commands = [(await b.next(Control)).command for _ in range(1500)]
        assert commands == [str(number) for number in range(1500)]

    run(scheme, story)


@pytest.mark.parametrize("rows", [1, 10, 4000])
def test_arrays_arrive_as_they_were_said(scheme: str, rows: int) -> None:
    async def story(house: House) -> None:
        a, b = await house.entered("a", ROOM), await house.entered("b", ROOM)
        features = np.arange(rows * 50, dtype=np.float32).reshape(rows, 50)
        await a.say(Candidates("1", "propose", features.copy(), False), ROOM)
        heard = await b.next(Candidates)
        assert np.array_equal(heard.features, features)

    run(scheme, story)


def test_what_was_sent_may_be_changed_by_the_sender(scheme: str) -> None:
    async def story(house: House) -> None:
        a, b = await house.entered("a", ROOM), await house.entered("b", ROOM)
        features = np.ones((4000, 50), np.float32)
        await a.say(Candidates("1", "propose", features, False), ROOM)
        features[:] = 0
        assert (await b.next(Candidates)).features.min() == 1

    run(scheme, story)


def test_nothing_said_after_joined_is_missed(scheme: str) -> None:
    async def story(house: House) -> None:
        a = await house.entered("a", ROOM)
        for number in range(20):
            b = await house.entered(f"b{number}", ROOM)
            await a.say(Control("source", str(number)), ROOM)
            assert (await b.next(Control)).command == str(number)

    run(scheme, story)


def test_a_closed_link_is_noticed_by_what_is_said_to_it(scheme: str) -> None:
    async def story(house: House) -> None:
        a, b = await house.entered("a", ROOM), await house.entered("b", ROOM)
        await b.link.close()
        told = None
        async with asyncio.timeout(PATIENCE_S):
            while told is None or told.why not in ("gone", "absent", "nobody else is in the room"):
                await a.say(Control("source", "x"), "@digits/b", sequence=9)
                await asyncio.sleep(0.01)
                told = a.heard.get_nowait() if not a.heard.empty() else None
                told = told if isinstance(told, Undelivered) else None
        assert told.sequence == 9

    run(scheme, story)


def test_a_restarted_broker_is_reached_again_and_knows_nobody(scheme: str) -> None:
    async def story(house: House) -> None:
        a = await house.entered("a", ROOM)
        await house.stop()
        await house.start()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await a.say(Ping("x"))
                try:
                    async with asyncio.timeout(0.2):
                        await a.next(Unknown)
                        break
                except TimeoutError:
                    continue
        a.session = 0
        await a.enter("a", ROOM)

    run(scheme, story)


def test_each_new_connection_is_told(scheme: str) -> None:
    async def story(house: House) -> None:
        wire = await house.wire()
        for life in ("first", "second"):
            await wire.say(Ping(life))
            await asyncio.wait_for(wire.lives.get(), PATIENCE_S)
            assert (await wire.next(Pong)).id == life
            assert wire.lives.empty()
            await house.stop()
            await house.start()

    run(scheme, story)


def test_a_link_may_be_there_before_the_broker(scheme: str) -> None:
    async def story(house: House) -> None:
        await house.stop()
        wire = await house.wire()
        assert wire.link.send(encode(Ping("early"))) is False
        await house.start()
        await wire.say(Ping("x"))
        assert (await wire.next(Pong)).id == "x"

    run(scheme, story)


def test_a_taken_address_is_told(scheme: str) -> None:
    async def story(house: House) -> None:
        second = router_at(house.address, 1000, house.guests)
        with pytest.raises(AddressInUse, match="is in use by"):
            await second.open(lambda connection, frames, key: None, lambda: None)
        await second.close()

    run(scheme, story)


def test_a_message_over_the_limit_disturbs_nobody_else(scheme: str) -> None:
    async def story(house: House) -> None:
        await house.stop()
        settings = BrokerConfig(address="tcp://127.0.0.1:5570", max_message_bytes=1024 * 1024)
        house.broker = Broker(
            settings.model_copy(update={"address": house.address}),
            router_at(house.address, settings.max_message_bytes, house.guests),
        )
        await house.broker.start()
        a, b, c = [await house.entered(name, ROOM) for name in "abc"]
        await c.say(Candidates("1", "propose", np.ones((4000, 50)), False), ROOM)  # 1.6 MB
        for number in range(50):
            await a.say(Control("source", str(number)), ROOM)
            assert (await b.next(Control)).command == str(number)

    run(scheme, story)


def test_closing_twice_is_closing_once_and_sends_nothing_more(scheme: str) -> None:
    async def story(house: House) -> None:
        wire = await house.entered("a")
        await wire.link.close()
        await wire.link.close()
        assert wire.link.send(encode(Ping("x"))) is False

    run(scheme, story)


def test_an_address_of_no_transport_is_told(scheme: str) -> None:
    with pytest.raises(Unreachable, match="allowed is tcp://HOST:PORT"):
        link_to(scheme.partition(" ")[0] + "x://y")
