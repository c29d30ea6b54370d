"""CURVE: key pairs, both ends of a connection, the allow-list's handler, and the proof that strangers stay out. Knows no file.

Two traps, measured with libzmq 4.3.5: a CURVE server without a ZAP handler admits any key, and pyzmq's own authenticator
lets peers without keys in until it has a policy. So there is a handler of our own, the socket refuses to work without one
(ZAP_ENFORCE_DOMAIN), and every start tries both strangers.
"""

from __future__ import annotations

import asyncio

import zmq
from zmq.utils import z85

from active_learner.core.keys import KeyPair
from active_learner.errors import Unguarded
from active_learner.transport.base import Doorman
from active_learner.transport.zmq_drain import NOBLOCK, Socket, Watch
from active_learner.transport.zmq_handshakes import Handshake, Handshakes

LIBZMQ_FLOOR = (4, 3, 5)
"""Before 4.3.3 a silent connection starved a CURVE server, before 4.3.2 one could write to its stack: CVE-2020-15166 and
CVE-2019-13132. 4.3.5 is what all else here was measured with."""

ZAP_ADDRESS = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"active-learner"
"""Any; but an empty one would switch the check off."""

HANDSHAKE_MS = 5000
"""A handshake takes a millisecond. Who opens a connection and says nothing is cut off."""

PROOF_S = 10.0
"""For the two strangers of the start-up test; they take 5 ms, on a loaded machine perhaps a second."""


def new_pair() -> KeyPair:
    """A fresh one."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def check_library() -> None:
    """Raises: Unguarded when this libzmq cannot guard a broker."""
    found, floor = zmq.zmq_version_info(), ".".join(map(str, LIBZMQ_FLOOR))
    if found < LIBZMQ_FLOOR:
        raise Unguarded(
            f"libzmq {zmq.zmq_version()} has known holes; keys need {floor} or newer: install a newer pyzmq"
        )
    if not zmq.has("curve"):
        raise Unguarded("this libzmq was built without CURVE: install pyzmq's own wheel")


def as_client(socket: Socket, pair: KeyPair, server: str) -> None:
    """Before it connects."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret.encode())


def as_server(socket: Socket, pair: KeyPair) -> None:
    """Before it is bound. Without a `Zap` in the same context it lets nobody in."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


class Zap:
    """Answers ZeroMQ's question whether a key may connect, in the event loop; from then on the key is the "User-Id" of all
    that its owner says."""

    def __init__(self, context: zmq.Context[Socket], doorman: Doorman) -> None:
        self._doorman = doorman
        socket = context.socket(zmq.REP)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(ZAP_ADDRESS)
        self._watch = Watch(socket, self._take)

    def close(self) -> None:
        self._watch.close()

    def _take(self, socket: Socket) -> None:
        version, request, _, address, _, mechanism, *credentials = socket.recv_multipart(NOBLOCK)
        public = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" else ""
        admitted = bool(public) and self._doorman.admits(public, address.decode("ascii", "replace"))
        status = (b"200", b"", public.encode(), b"") if admitted else (b"400", b"not allowed", b"", b"")
        socket.send_multipart([version, request, *status], NOBLOCK)


async def prove(context: zmq.Context[Socket], endpoint: str, server: str) -> None:
    """Try to get in without keys, and with a key that nobody has. Raises: Unguarded when one does, or none is refused."""
    strangers: dict[str, KeyPair | None] = {"a peer without keys": None, "a peer with a fresh key": new_pair()}
    tries = [_try(context, endpoint, pair, server) for pair in strangers.values()]
    for who, end in zip(strangers, await asyncio.gather(*tries), strict=True):
        if end not in (Handshake.NOT_ALLOWED, Handshake.ONE_SIDE_ONLY):
            how = "was let in" if end is Handshake.DONE else f"was not refused (but: {end})"
            raise Unguarded(f"the broker ends: at its start, {who} {how}")


async def _try(context: zmq.Context[Socket], endpoint: str, pair: KeyPair | None, server: str) -> str:
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    if pair is not None:
        as_client(socket, pair, server)
    end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    watch = Handshakes(socket, lambda how: None if end.done() else end.set_result(how))
    try:
        socket.connect(endpoint)
        async with asyncio.timeout(PROOF_S):
            return await end
    except TimeoutError:
        return f"no answer in {PROOF_S:g} s"
    finally:
        watch.close()
        socket.close()
