"""A membership and what is said to it, for tests: messages in, (who, message) out."""

from __future__ import annotations

from itertools import count
from typing import Any

from active_learner.core.admission import Limits
from active_learner.core.membership import Membership
from active_learner.core.rights import Grant
from active_learner.core.telling import Send
from protocol.codec import decode, encode
from protocol.messages import Bye, Hello, Join, Message, Probe, Welcome


def hello(name: str, /, **fields: Any) -> Hello:
    """HELLO of a peer of the experiment digits whose role is its name."""
    known = {
        "protocol_min": 1,
        "protocol_max": 1,
        "experiment": "digits",
        "name": name,
        "role": name,
        "exclusive": False,
        "instance": f"instance of {name}",
        "software": "test",
    }
    return Hello(**{**known, **fields})


class Conversation:
    """Connections are named by strings; PROBEs are left out of what is told unless asked for."""

    def __init__(self, grants: dict[str, Grant] | None = None, **limits: int) -> None:
        numbers = count(101)
        self.membership = Membership(Limits(**limits), lambda: next(numbers), "broker", "test", grants)
        self.sessions: dict[str, int] = {}
        self.sequence = 0

    def say(
        self, who: str, message: Message, room: str = "", at: float = 0.0, session: int | None = None
    ) -> list[tuple[str, Message]]:
        """`session` None: the one that `who` was welcomed with, or 0."""
        self.sequence += 1
        number = self.sessions.get(who, 0) if session is None else session
        return self.raw(who, encode(message, room=room, session=number, sequence=self.sequence), at)

    def raw(self, who: str, frames: Any, at: float = 0.0) -> list[tuple[str, Message]]:
        return self._told(self.membership.received(who.encode(), frames, at, self.key(who)))

    def key(self, who: str) -> str:
        """That the connection has; empty: a broker without keys."""
        return ""

    def grant(self, grants: dict[str, Grant]) -> list[tuple[str, Message]]:
        return self._told(self.membership.grant(grants))

    def tick(self, at: float, probes: bool = False) -> list[tuple[str, Message]]:
        return self._told(self.membership.tick(at), probes)

    def gone(self, who: str) -> list[tuple[str, Message]]:
        return self._told(self.membership.gone(who.encode(), "gone"))

    def enter(self, who: str, /, *rooms: str, at: float = 0.0, **fields: Any) -> None:
        """HELLO and JOINs of a connection called like the peer."""
        told = self.say(who, hello(who, **fields), at=at)
        assert isinstance(told[-1][1], Welcome), told
        for room in rooms:
            self.say(who, Join(room), at=at)

    def leave(self, who: str) -> list[tuple[str, Message]]:
        return self.say(who, Bye("done"))

    def _told(self, sends: list[Send], probes: bool = False) -> list[tuple[str, Message]]:
        told = [(send.connection.decode(), decode(send.frames).message) for send in sends]
        for who, message in told:
            if isinstance(message, Welcome):
                self.sessions[who] = message.session
        return [one for one in told if probes or not isinstance(one[1], Probe)]
