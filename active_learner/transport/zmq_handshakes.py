"""What ZeroMQ tells of handshakes: who did not get in, and why. Knows its monitor events; not who is allowed."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import zmq
from zmq.utils.monitor import parse_monitor_message

from active_learner.transport.zmq_drain import NOBLOCK, Socket, Watch


class Handshake(StrEnum):
    """How one ended."""

    DONE = "done"
    NOT_ALLOWED = "not_allowed"
    """The broker knows no such key."""
    ONE_SIDE_ONLY = "no_key"
    """One side has keys, the other has none."""
    WRONG_KEY = "wrong_broker_key"
    """The peer does not know the broker's key. Only the broker is told so."""
    GARBLED = "garbled_handshake"
    """The other side speaks ZeroMQ, and not as it should."""
    BROKEN = "broken_handshake"
    """No ZeroMQ, or the other side hung up."""


_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_MISMATCH, _CRYPTOGRAPHIC = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH, zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC


class Handshakes:
    """Tells how every handshake of a socket ends, failures only unless `successes`."""

    def __init__(self, socket: Socket, told: Callable[[Handshake], None], successes: bool = True) -> None:
        self._socket, self._told = socket, told
        events = _EVENTS if successes else _EVENTS & ~zmq.EVENT_HANDSHAKE_SUCCEEDED
        self._watch = Watch(socket.get_monitor_socket(events), self._take)

    def close(self) -> None:
        """Before the socket itself is closed."""
        self._socket.disable_monitor()
        self._watch.close()

    def _take(self, monitor: Socket) -> None:
        event = parse_monitor_message(monitor.recv_multipart(NOBLOCK))
        self._told(ended(event["event"], event["value"]))


def ended(event: int, value: int) -> Handshake:
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        return Handshake.DONE
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return Handshake.NOT_ALLOWED
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        known = {int(_MISMATCH): Handshake.ONE_SIDE_ONLY, int(_CRYPTOGRAPHIC): Handshake.WRONG_KEY}
        return known.get(value, Handshake.GARBLED)
    return Handshake.BROKEN
