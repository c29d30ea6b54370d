"""Who gets through the door of a router with keys, and what a router does whose door stands open."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import zmq
import zmq.asyncio

from active_learner.core.keys import KeyPair, Keys
from active_learner.errors import Unguarded
from active_learner.transport import zmq_curve, zmq_router
from active_learner.transport.base import Doorman, Frame
from active_learner.transport.zmq_curve import new_pair
from active_learner.transport.zmq_handshakes import Handshake, ended
from active_learner.transport.zmq_link import ZmqLink
from active_learner.transport.zmq_router import ZmqRouter
from protocol.codec import decode, encode
from protocol.messages import Ping, Refused

ADDRESS = "tcp://127.0.0.1:0"


class Door(Doorman):
    """Knows some keys; remembers who did not get in."""

    def __init__(self, *known: str) -> None:
        self.pair = new_pair()
        self.known = set(known)
        self.asked: list[str] = []
        self.failures: Counter[str] = Counter()

    def admits(self, public: str, address: str) -> bool:
        self.asked.append(public)
        return public in self.known

    def failed(self, why: str) -> None:
        self.failures[why] += 1


class Place:
    """An open router, and what it heard."""

    def __init__(self, door: Door | None) -> None:
        self.door = door
        self.router = ZmqRouter(ADDRESS, doorman=door)
        self.heard: asyncio.Queue[tuple[bytes, list[Frame], str]] = asyncio.Queue()
        self.links: list[ZmqLink] = []

    async def open(self) -> None:
        self.address = await self.router.open(lambda *message: self.heard.put_nowait(message), lambda: None)

    async def link(self, pair: KeyPair | None, broker: str = "") -> ZmqLink:
        door_key = self.door.pair.public if self.door else ""
        keys = None if pair is None else Keys("x", "x", pair, broker or door_key)
        link = ZmqLink(self.address, keys)
        self.links.append(link)
        await link.open(lambda frames: None)
        return link

    async def next(self) -> tuple[bytes, list[Frame], str]:
        async with asyncio.timeout(20):
            return await self.heard.get()


def run(door: Door | None, story: Callable[[Place], Awaitable[None]]) -> None:
    async def told() -> None:
        place = Place(door)
        await place.open()
        try:
            async with asyncio.timeout(60):
                await story(place)
        finally:
            for link in place.links:
                await link.close()
            await place.router.close()

    asyncio.run(told())


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - a link tells nobody what it knows
            await asyncio.sleep(0.002)


async def say(link: ZmqLink, text: str) -> None:
    await until(lambda: link.send(encode(Ping(text))))


def test_the_key_of_every_message_is_the_one_that_the_handshake_proved() -> None:
    anna, bob = new_pair(), new_pair()

    async def story(place: Place) -> None:
        links = {pair.public: await place.link(pair) for pair in (anna, bob)}
        for public, link in links.items():
            for _ in range(3):
                await say(link, public[:8])
        for _ in range(6):
            _, frames, key = await place.next()
            assert decode([memoryview(frame) for frame in frames]).message == Ping(key[:8])

    run(Door(anna.public, bob.public), story)


@pytest.mark.parametrize(
    ("who", "words", "counted"),
    [
        ("no key", "it wants a key, and we have none", "no_key"),
        ("a fresh key", "it does not allow our key", None),
        ("another broker's key", "it has another key than the one in our key file", "wrong_broker_key"),
    ],
)
def test_a_stranger_is_not_heard_and_is_told_why_and_the_broker_counts_it(
    who: str, words: str, counted: str | None
) -> None:
    async def story(place: Place) -> None:
        assert place.door is not None
        pair = None if who == "no key" else new_pair()
        link = await place.link(pair, new_pair().public if who.startswith("another") else "")
        await until(lambda: words in link.trouble)
        assert not link.send(encode(Ping("x")))
        assert place.heard.empty()
        if counted:
            await until(lambda: place.door.failures[counted])
        else:
            assert pair is not None
            assert pair.public in place.door.asked

    run(Door(), story)


def test_a_peer_with_keys_is_told_that_the_broker_has_none() -> None:
    async def story(place: Place) -> None:
        link = await place.link(new_pair(), new_pair().public)
        await until(lambda: re.search("it has no keys, and we have|in our key file, or none", link.trouble))

    run(None, story)


def test_a_key_that_is_put_on_the_list_later_gets_in_by_itself() -> None:
    late = new_pair()

    async def story(place: Place) -> None:
        assert place.door is not None
        link = await place.link(late)
        await until(lambda: link.trouble)
        place.door.known.add(late.public)
        await say(link, "in")
        assert (await place.next())[2] == late.public
        assert link.trouble == ""

    run(Door(), story)


def test_a_peer_without_keys_finds_the_broker_again_that_has_none_any_more() -> None:
    async def story(place: Place) -> None:
        link = await place.link(None)
        await until(lambda: link.trouble)
        await place.router.close()
        place.router = ZmqRouter(place.address)
        await place.open()
        await say(link, "in")
        assert (await place.next())[2] == ""

    run(Door(), story)


def test_row_29_a_socket_with_a_routing_id_of_its_own_is_refused_aloud() -> None:
    """Of two with the same, ZeroMQ would hear only one, and say nothing to the other."""

    async def story(place: Place) -> None:
        context = zmq.asyncio.Context()
        sockets = [context.socket(zmq.DEALER) for _ in range(2)]
        try:
            for socket in sockets:
                socket.setsockopt(zmq.LINGER, 0)
                socket.setsockopt(zmq.ROUTING_ID, b"trainer")
                socket.connect(place.address)
                await socket.send_multipart(encode(Ping("x")))
            hearing = [asyncio.ensure_future(socket.recv_multipart()) for socket in sockets]  # either may be the first
            (heard, *_), waiting = await asyncio.wait(hearing, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            for other in waiting:
                other.cancel()
            refused = decode(heard.result()).message
            assert isinstance(refused, Refused)
            assert "leave it unset" in refused.text
            assert place.heard.empty()
        finally:
            for socket in sockets:
                socket.close()
            context.term()

    run(None, story)


# --- the proof at the start ---------------------------------------------------------------------------------------


def opened(door: Door) -> None:
    async def told() -> None:
        router = ZmqRouter(ADDRESS, doorman=door)
        try:
            await router.open(lambda *message: None, lambda: None)
        finally:
            await router.close()

    asyncio.run(told())


def test_a_guarded_router_opens_and_the_strangers_of_its_proof_are_not_told_as_failures() -> None:
    door = Door()
    opened(door)
    assert len(door.asked) == 1
    assert door.failures == {}


def test_a_router_that_lets_a_fresh_key_in_does_not_open() -> None:
    class Open(Door):
        def admits(self, public: str, address: str) -> bool:
            return True

    with pytest.raises(Unguarded, match="at its start, a peer with a fresh key was let in"):
        opened(Open())


def test_a_router_that_lets_peers_without_keys_in_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_router, "as_server", lambda socket, pair: None)
    with pytest.raises(Unguarded, match="at its start, a peer without keys was let in"):
        opened(Door())


def test_curve_without_a_handler_would_admit_anyone_and_so_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap itself: a CURVE server that asks nobody."""

    class Nobody:
        def __init__(self, context: Any, doorman: Doorman) -> None: ...

        def close(self) -> None: ...

    def unasked(socket: Any, pair: KeyPair) -> None:
        socket.curve_server = 1
        socket.curve_secretkey = pair.secret.encode()

    monkeypatch.setattr(zmq_router, "Zap", Nobody)
    monkeypatch.setattr(zmq_router, "as_server", unasked)
    with pytest.raises(Unguarded, match="a peer with a fresh key was let in"):
        opened(Door())


def test_an_old_libzmq_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_curve.zmq, "zmq_version_info", lambda: (4, 3, 2))
    with pytest.raises(Unguarded, match=r"has known holes; keys need 4\.3\.5 or newer"):
        opened(Door())


def test_a_libzmq_without_curve_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_curve.zmq, "has", lambda what: False)
    with pytest.raises(Unguarded, match="built without CURVE"):
        opened(Door())


@pytest.mark.parametrize(
    ("event", "value", "how"),
    [
        (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0, Handshake.DONE),
        (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400, Handshake.NOT_ALLOWED),
        (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0x11000002, Handshake.ONE_SIDE_ONLY),
        (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0x11000001, Handshake.WRONG_KEY),
        (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0x10000000, Handshake.GARBLED),
        (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, 32, Handshake.BROKEN),
    ],
)
def test_what_zeromq_tells_has_a_name(event: int, value: int, how: Handshake) -> None:
    assert ended(event, value) is how


def test_no_repr_of_keys_shows_a_secret() -> None:
    pair = new_pair()
    for thing in (pair, Keys("x", "x", pair, new_pair().public)):
        assert pair.secret not in f"{thing} {thing!r}"


def test_a_server_whose_handler_is_gone_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of the start says nothing of later: without ZAP_ENFORCE_DOMAIN any key would be let in then."""
    monkeypatch.setattr(zmq_curve, "PROOF_S", 2.0)

    async def tried(is_there: bool) -> str:
        door, fresh = Door(), new_pair()
        door.known.add(fresh.public)
        with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
            zap = zmq_curve.Zap(context, door)
            zmq_curve.as_server(server, door.pair)
            server.bind(ADDRESS)
            if not is_there:
                zap.close()
            try:
                return await zmq_curve._try(context, server.last_endpoint.decode(), fresh, door.pair.public)
            finally:
                zap.close()

    assert asyncio.run(tried(True)) == Handshake.DONE
    assert asyncio.run(tried(False)) != Handshake.DONE
