"""A peer's session with the broker: HELLO, rooms, members, PING and the recovery from UNKNOWN; knows no role."""

import secrets
import time
from typing import Any

import zmq
from foreign_wire import Malformed, Message, decode, encode

HELLO_EVERY, PING_EVERY, POLL = 0.25, 0.5, 0.05
MAX_MESSAGE = 67108864


class Refused(RuntimeError):
    """The broker does not want this peer; `code` says why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Line:
    """One DEALER: says and hears messages, numbers what it says."""

    def __init__(self, address: str) -> None:
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in (
            (zmq.HEARTBEAT_IVL, 500),
            (zmq.HEARTBEAT_TIMEOUT, 1500),
            (zmq.RECONNECT_IVL, 50),
            (zmq.RECONNECT_IVL_MAX, 500),
            (zmq.LINGER, 500),
        ):
            self.socket.setsockopt(option, value)
        self.socket.connect(address)
        self.sequence = 0
        self.session = 0
        self.limit = MAX_MESSAGE
        self.last_said = 0.0

    def say(self, kind: str, room: str = "", /, **fields: Any) -> int:
        """Says it and returns its sequence number."""
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        frames = encode(kind, room, fields, self.session, self.sequence)
        if sum(map(len, frames)) > self.limit:
            raise Malformed(f"{kind} is larger than {self.limit} bytes")
        self.send(frames)
        return self.sequence

    def send(self, frames: list[bytes]) -> None:
        self.last_said = time.monotonic()
        self.socket.send_multipart(frames)

    def hear(self, seconds: float) -> Message | None:
        """The next message, or None when none came, or one that is not of the protocol."""
        if not self.socket.poll(max(0, round(seconds * 1000))):
            return None
        try:
            return decode(self.socket.recv_multipart())
        except Malformed as error:
            print(f"dropped: {error}", flush=True)
            return None

    def close(self) -> None:
        self.socket.close()


class Peer(Line):
    """A session that keeps itself: welcomed, in its rooms, and again after every restart of the broker."""

    def __init__(self, address: str, experiment: str, name: str, role: str, rooms: list[str], exclusive: bool) -> None:
        super().__init__(address)
        self.experiment, self.name, self.role = experiment, name, role
        self.rooms = [f"{experiment}/{room}" for room in rooms]
        self.pending: list[str] = list(self.rooms)
        self.members: dict[str, dict[int, dict[str, Any]]] = {}
        self.hello = {"protocol_min": 1, "protocol_max": 1, "experiment": experiment, "name": name, "role": role}
        self.hello |= {"exclusive": exclusive, "instance": secrets.token_hex(16), "software": "foreign 0.1"}
        self.first_hello = 0
        self.asked_at = -HELLO_EVERY

    @property
    def ready(self) -> bool:
        return self.session > 0 and not self.pending

    def receive(self, seconds: float) -> Message | None:
        """Keeps the session, and returns the next message that is not only about it."""
        deadline = time.monotonic() + seconds
        while True:
            self._keep()
            left = deadline - time.monotonic()
            message = self.hear(min(max(left, 0), POLL))
            if message is not None and self._heard(message):
                return message
            if message is None and left <= 0:
                return None

    def begin(self, seconds: float) -> None:
        """Welcomed and in all rooms, or an error."""
        deadline = time.monotonic() + seconds
        while not self.ready:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: no session within {seconds} s")
            self.receive(POLL)

    def tell(self, room: str, kind: str, /, **fields: Any) -> None:
        """Says it in a room of the experiment; without a session it is lost, and will be asked for again."""
        if self.session:
            self.say(kind, f"{self.experiment}/{room}", **fields)

    def direct(self, session: int, kind: str, /, **fields: Any) -> None:
        """Says it to the peer of that session, when it is still known."""
        member = self.member(session)
        if self.session and member:
            self.say(kind, f"@{self.experiment}/{member['name']}", **fields)

    def member(self, session: int) -> dict[str, Any] | None:
        return next((known[session] for known in self.members.values() if session in known), None)

    def of_role(self, role: str) -> int:
        """Session of a member with that role; 0 when there is none."""
        known = (one for room in self.members.values() for one in room.values())
        return next((one["session"] for one in known if one["role"] == role), 0)

    def bye(self, why: str) -> None:
        if self.session:
            self.say("BYE", why=why)
        self.close()

    def _keep(self) -> None:
        now = time.monotonic()
        if now - self.asked_at >= HELLO_EVERY and not self.ready:
            self.asked_at = now
            if self.session == 0:
                said = self.say("HELLO", **self.hello)
                self.first_hello = self.first_hello or said
            for room in self.pending if self.session else []:
                self.say("JOIN", room=room)
        elif self.session and now - self.last_said >= PING_EVERY:
            self.say("PING", id="alive")

    def _heard(self, message: Message) -> bool:
        """Takes what is about the session; True when the role wants it too."""
        handler = {
            "WELCOME": self._welcome,
            "JOINED": self._joined,
            "PRESENCE": self._presence,
            "UNKNOWN": self._unknown,
            "REFUSED": self._refused,
        }.get(message.name)
        if handler is None:
            return message.name not in ("PONG", "PROBE")
        handler(message)
        return message.name in ("PRESENCE", "REFUSED")

    def _of_this_hello(self, message: Message) -> bool:
        return (message.sequence - self.first_hello) & 0xFFFFFFFF < 2**31

    def _welcome(self, message: Message) -> None:
        if self.session == 0 and self._of_this_hello(message):
            self.session = message.fields["session"]
            self.limit = message.fields["max_message_bytes"]
            self.pending, self.members = list(self.rooms), {}
            self.asked_at = -HELLO_EVERY

    def _joined(self, message: Message) -> None:
        room = message.fields["room"]
        if self.session and self._of_this_hello(message) and room in self.pending:
            self.pending.remove(room)
            self.members.setdefault(room, {}).update({one["session"]: one for one in message.fields["members"]})

    def _presence(self, message: Message) -> None:
        known, member = self.members.setdefault(message.fields["room"], {}), message.fields["member"]
        if message.fields["event"] == "joined":
            known[member["session"]] = member
        else:
            known.pop(member["session"], None)

    def _unknown(self, message: Message) -> None:
        if self.session and self._of_this_hello(message):
            self.session, self.first_hello, self.asked_at = 0, 0, -HELLO_EVERY
            self.pending, self.members = list(self.rooms), {}

    def _refused(self, message: Message) -> None:
        if self.session == 0:
            raise Refused(message.fields["code"], message.fields["text"])
        print(f"refused: {message.fields['code']}: {message.fields['text']}", flush=True)
