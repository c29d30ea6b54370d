"""A message as a peer gets it: with room and sender. Knows neither link nor session."""

from __future__ import annotations

from protocol.messages import Member, Message


class Received:
    """A message with where it came from: `room` ("" when direct), `sender` (Member, or None when not known any more)."""

    __slots__ = ("message", "room", "sender", "session")

    def __init__(self, message: Message, room: str, session: int, sender: Member | None) -> None:
        self.message, self.room, self.session, self.sender = message, room, session, sender
