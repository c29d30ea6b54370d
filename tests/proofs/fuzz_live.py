"""Hostile frames through a real broker while honest peers talk: all they say arrives, the sender is cut off and comes again.

The sender is welcomed each time and joins the room of the honest, so that what the broker relays unread reaches them too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from active_learner.bench.processes import broker_process
from active_learner.peer import Peer, Received
from protocol.codec import decode, encode
from protocol.errors import RemoteProtocolError
from protocol.messages import Control, Hello, Join, Message, Ping, Pong, Refused, Unknown, Welcome
from tests.proofs.base import Tally
from tests.proofs.fuzz_frames import Fuzzer

GROWTH_BYTES = 32 << 20
ANSWER_MS = 10_000
LIVES_FRAMES = 200
"""Sent on one connection at most: a sender that is not cut off goes on as somebody else all the same."""
CUT_OFF = "not heard for"


def attack(count: int, seed: int, tally: Tally) -> None:
    """So many frames. What goes wrong is told to the tally."""
    with broker_process() as (port, pid):
        try:
            asyncio.run(_honest_and_hostile(port, pid, count, seed, tally))
        except (TimeoutError, RuntimeError) as error:
            tally.fail(f"live, seed {seed}: {type(error).__name__}: {error}")


async def _honest_and_hostile(port: int, pid: int, count: int, seed: int, tally: Tally) -> None:
    from tests.proofs.fuzz import resident_bytes

    address = f"tcp://127.0.0.1:{port}"
    sender = Peer(experiment="digits", role="honest", name="sender", address=address)
    hearer = Peer(experiment="digits", role="honest", name="hearer", address=address)
    heard: list[str] = []

    def hear(received: Received) -> None:
        if received.sender is not None and received.sender.name == "sender" and isinstance(received.message, Control):
            heard.append(received.message.command)

    hearer.on_message = hear
    sender.on_message = lambda received: None
    async with sender, hearer:
        for peer in (hearer, sender):
            await peer.join("control")
        before = resident_bytes(pid)
        said = await _talk_while(sender, lambda: _hostile(port, count, seed, tally))
        async with asyncio.timeout(20):
            while len(heard) < len(said):  # noqa: ASYNC110 - what is relayed last is awaited by its number only
                await asyncio.sleep(0.01)
        growth = resident_bytes(pid) - before
        lost = sender.counters.get("sessions_lost", 0) + hearer.counters.get("sessions_lost", 0)
        tally.count("live bad frames at honest peers", sender.counters.get("bad_frames", 0))
    tally.count("live honest said", len(said))
    tally.count("live honest heard", len(heard))
    tally.measured("broker grew MiB", growth / 2**20)
    if heard != said:
        tally.fail(f"live, seed {seed}: the honest heard other things than were said, or in another order")
    if growth > GROWTH_BYTES:
        tally.fail(f"live, seed {seed}: the broker grew by {growth / 2**20:.0f} MiB")
    if lost:
        tally.fail(f"live, seed {seed}: honest peers lost their sessions {lost} times")


async def _talk_while(sender: Peer, attacking: object) -> list[str]:
    """Say a number every few milliseconds until the attack is over; all that was said."""
    said: list[str] = []
    attack = asyncio.ensure_future(asyncio.to_thread(attacking))  # type: ignore[arg-type]
    while not attack.done():
        words = f"{len(said)}"
        if sender.send("control", Control("honest", words)):
            said.append(words)
        await asyncio.sleep(0.005)
    await attack
    return said


def _hostile(port: int, count: int, seed: int, tally: Tally) -> None:
    """In a thread: life after life of one sender, until all frames are sent."""
    context = zmq.Context()
    fuzzer = Fuzzer(seed)
    left = count
    try:
        while left > 0:
            with _life(context, port) as (socket, session):
                fuzzer.session = session
                left -= _spent(socket, fuzzer, min(left, LIVES_FRAMES), tally)
                tally.count("live lives")
    finally:
        context.term()


def _spent(socket: zmq.Socket[bytes], fuzzer: Fuzzer, most: int, tally: Tally) -> int:
    """Frames sent in one life. A PING after each makes sure that the broker has looked at it; one that is not heard any
    more gets no PONG, and was told so."""
    for number in range(1, most + 1):
        tally.count("live frames")
        socket.send_multipart(fuzzer.draw().frames)
        socket.send_multipart(encode(Ping(str(number))))
        if (end := _until_pong(socket, str(number))) is not None:
            tally.count(f"live {end}")
            return number
    return most


def _until_pong(socket: zmq.Socket[bytes], ping: str) -> str | None:
    """None: the PONG came, and the session lives. Raises: RuntimeError when the broker says nothing."""
    ended = None
    while socket.poll(ANSWER_MS):
        message = _said(socket.recv_multipart())
        if isinstance(message, Unknown):
            ended = "session ended"  # by a BYE among the frames
        if isinstance(message, Refused) and CUT_OFF in message.text:
            return "cut off"
        if isinstance(message, Pong) and message.id == ping:
            return ended
    raise RuntimeError("the broker does not answer any more")


def _said(frames: list[bytes]) -> Message | None:
    """None: what cannot be read, which the broker only passed on."""
    try:
        return decode(frames).message
    except RemoteProtocolError:
        return None


@contextmanager
def _life(context: zmq.Context[zmq.Socket[bytes]], port: int) -> Iterator[tuple[zmq.Socket[bytes], int]]:
    """A new connection, welcomed, in the room of the honest. Raises: RuntimeError when the broker does not answer."""
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(f"tcp://127.0.0.1:{port}")
    name = f"hostile-{secrets.token_hex(8)}"
    try:
        socket.send_multipart(encode(Hello(1, 1, "digits", name, "hostile", False, name, "fuzz")))
        session = _answer(socket, Welcome).session
        socket.send_multipart(encode(Join("digits/control"), session=session))
        yield socket, session
    finally:
        socket.close()


def _answer(socket: zmq.Socket[bytes], wanted: type[Welcome]) -> Welcome:
    while socket.poll(ANSWER_MS):
        message: Message = decode(socket.recv_multipart()).message
        if isinstance(message, wanted):
            return message
        if isinstance(message, Refused):
            raise RuntimeError(f"the broker refuses a new connection: {message.text}")
    raise RuntimeError("the broker does not answer a new connection")
