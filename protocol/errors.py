"""What can go wrong with bytes and messages. Knows the codes of SPEC.md, section 9.

ProtocolError
├── LocalProtocolError          our bug: we tried to say what the protocol does not allow (raise)
│   └── MessageTooLarge
└── RemoteProtocolError         a peer's fault: count, answer, go on
    ├── MalformedFrame          prefix, lengths or checksum do not fit
    ├── LimitExceeded           more parts, bytes, elements or depth than allowed
    ├── WrongVersion            a protocol version outside our range
    ├── UnknownKind             a kind that this version does not have
    ├── BadRoom                 neither EXPERIMENT/ROOM nor @EXPERIMENT/NAME
    └── SchemaMismatch          a field missing, unknown or of the wrong type
        └── NotFinite           a number or an array with NaN or infinity
"""

from __future__ import annotations

from enum import StrEnum


class RefusalCode(StrEnum):
    """`code` of REFUSED and STEP_REFUSED: part of the wire."""

    VERSION = "version"
    NAME_TAKEN = "name_taken"
    ROLE_TAKEN = "role_taken"
    LIMIT = "limit"
    MALFORMED = "malformed"
    NOT_MEMBER = "not_member"
    BAD_ROOM = "bad_room"
    FORBIDDEN = "forbidden"
    FLOOD = "flood"
    SHAPE = "shape"
    NOT_FINITE = "not_finite"
    STALE_TERM = "stale_term"
    WRONG_RUN = "wrong_run"
    FAILED = "failed"


class ProtocolError(Exception):
    """Base of all errors of this package."""


class LocalProtocolError(ProtocolError):
    """We tried to say what the protocol does not allow."""


class MessageTooLarge(LocalProtocolError):
    """A message would be over a limit of limits.py; ZeroMQ itself would only cut the connection."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} is {size}, allowed are {limit}")
        self.what, self.size, self.limit = what, size, limit


class RemoteProtocolError(ProtocolError):
    """A peer said what the protocol does not allow."""

    code: RefusalCode = RefusalCode.MALFORMED


class MalformedFrame(RemoteProtocolError):
    """Prefix, lengths or checksum do not fit."""


class LimitExceeded(RemoteProtocolError):
    """More parts, bytes, elements or depth than allowed."""

    code = RefusalCode.LIMIT


class WrongVersion(RemoteProtocolError):
    """A protocol version outside our range."""

    code = RefusalCode.VERSION


class UnknownKind(RemoteProtocolError):
    """A kind that this version does not have."""


class BadRoom(RemoteProtocolError):
    """Neither EXPERIMENT/ROOM nor @EXPERIMENT/NAME."""

    code = RefusalCode.BAD_ROOM


class SchemaMismatch(RemoteProtocolError):
    """A field missing, unknown or of the wrong type."""


class NotFinite(SchemaMismatch):
    """A number or an array with NaN or infinity."""

    code = RefusalCode.NOT_FINITE
