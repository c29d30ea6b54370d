"""The public peer: joins rooms, hears and says typed messages, asks and is answered. Knows nothing of training.

It runs the session machine (core/session.py) over a link. Messages of rooms do not pass through the machine: between socket
and `on_message` lie only the codec and a look at who sent it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType

from active_learner import __version__
from active_learner.core import session_events as machine
from active_learner.core.admission import FIRST_ROOM_KIND
from active_learner.core.gaps import Gaps
from active_learner.core.keys import Keys
from active_learner.core.resends import Resends
from active_learner.core.session import Session
from active_learner.errors import ActiveLearnerError, Unreachable
from active_learner.received import Received
from active_learner.security.key_files import read_keys
from active_learner.security.renewal import Renewal
from active_learner.transport import link_to, no_broker, refused
from active_learner.transport.base import Link
from protocol import PROTOCOL_VERSION
from protocol.codec import decode_message, encode
from protocol.envelope import LOWEST_VERSION, Envelope, inspect
from protocol.errors import RefusalCode, RemoteProtocolError
from protocol.limits import MAX_MESSAGE_BYTES
from protocol.messages import Hello, LogLine, Member, Message, Refused, StatusReport, Undelivered
from protocol.rooms import check_name, direct, qualified

__all__ = ["Peer", "Received"]

TICK_S = 0.05
"""Between two looks at what is due; a re-send is late by no more."""

MAX_UNREAD = 10_000
"""Messages kept for the iterator; beyond it the oldest is dropped and counted."""

SOFTWARE = f"active-learner {__version__}"

NUMBERED = (StatusReport, LogLine)
"""Telemetry, in which a lost message shows as a gap."""


class _Asked:
    """A request under way."""

    __slots__ = ("answer", "answers", "message", "room")

    def __init__(self, room: str, message: Message, answers: Callable[[Received], bool]) -> None:
        self.room, self.message, self.answers = room, message, answers
        self.answer: asyncio.Future[Received] = asyncio.get_running_loop().create_future()


class Peer:
    """A member of an experiment on a broker.

    async with Peer(experiment="digits", role="evaluator", address="tcp://127.0.0.1:5570") as peer:
        await peer.join("traininput")
        async for received in peer: ...
    """

    on_message: Callable[[Received], None] | None = None
    """Set: every message is handed to it in the event loop's thread, at once (the services use this). None: iterate."""
    listeners: list[Callable[[Received], None]]
    """Told every message too, before it is handed over (an Outbox hears LEASED so)."""
    on_presence: Callable[[str, Member, bool, str], None] | None = None
    """room, member, here, why. Called with here=True for those found in a room when it is joined (again) too, and with
    here=False for all when the broker is lost."""
    on_session: Callable[[bool], None] | None = None
    """True: (again) welcomed and all rooms joined again; False: the broker is lost."""
    refusal: ActiveLearnerError | None = None
    """Why the last HELLO was refused; None when it was not. After `open` it is said again until it is welcomed."""

    def __init__(
        self,
        *,
        experiment: str,
        role: str,
        address: str = "tcp://127.0.0.1:5570",
        name: str | None = None,
        exclusive: bool = False,
        keys: Keys | Path | str | None = None,
        connect_timeout_s: float | None = 10.0,
    ) -> None:
        """`name` None: the role, when exclusive; else with random hex behind it, or behind the name of the key.
        `keys`: what `active-learner keys new` wrote, or the file; None: a broker without keys. `connect_timeout_s` None: wait for ever.

        Raises: LocalProtocolError when a name is not allowed, ConfigError when the file cannot be used.
        """
        own = read_keys(Path(keys)) if isinstance(keys, str | Path) else keys
        some = f"{role}-" if own is None else f"{own.name}."
        given = name or (role if exclusive else some + secrets.token_hex(4))
        for text in (experiment, role, given):
            check_name(text)
        self.experiment, self.role, self.name, self.address = experiment, role, given, address
        self._timeout_s = connect_timeout_s
        instance = secrets.token_hex(8)
        self._session = Session(
            Hello(LOWEST_VERSION, PROTOCOL_VERSION, experiment, given, role, exclusive, instance, SOFTWARE)
        )
        self._link: Link = link_to(address, role, own, Renewal(own) if own is not None and own.file else None)
        self._link.on_live = lambda: self._handle(machine.Connected())
        self._counters: Counter[str] = Counter()
        self._resends = Resends(lambda: random.uniform(0.8, 1.2))
        self._asked: dict[int, _Asked] = {}
        self._joins: dict[str, list[asyncio.Future[tuple[Member, ...]]]] = {}
        self._qualified: dict[str, str] = {}
        self._plain: dict[str, str] = {}
        self._members: dict[int, Member] = {}
        self._gaps = Gaps()
        self.listeners = []
        self._unread: deque[Received] = deque()
        self._arrived = asyncio.Event()
        self._changed = asyncio.Event()
        self._closed = self._rejected = False
        self._timer: asyncio.TimerHandle | None = None

    # --- session ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and say HELLO; to a broker that is full again every second. Raises: Unreachable (no broker, full for
        `connect_timeout_s`, wrong version), LeaseHeld (role or name taken)."""
        self._loop = asyncio.get_running_loop()
        await self._link.open(self._heard)
        self._tick()
        try:
            async with asyncio.timeout(self._timeout_s):
                while not self.connected and not self._rejected:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.refusal = self.refusal or no_broker(self.address, self._timeout_s or 0.0, self.trouble)
        except BaseException:
            await self.close("cancelled")
            raise
        if self.refusal is not None and not self.connected:
            await self.close("refused")
            raise self.refusal

    async def close(self, why: str = "done") -> None:
        """BYE, flush for a bounded time, stop."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._handle(machine.Finish(why))
        self._arrived.set()
        gone = Unreachable("the peer was closed")
        for asked in self._asked.values():
            _fail(asked.answer, gone)
        for joins in self._joins.values():
            for join in joins:
                _fail(join, gone)
        await self._link.close()

    async def __aenter__(self) -> Peer:
        await self.open()
        return self

    async def __aexit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        await self.close("done" if e is None else f"failed: {type(e).__name__}")

    @property
    def connected(self) -> bool:
        """Welcomed, and all rooms are joined."""
        return self._session.phase == "ready"

    @property
    def trouble(self) -> str:
        """Why the broker does not let us in, as far as the connection knows; empty: nothing is known."""
        return self._link.trouble

    @property
    def counters(self) -> dict[str, int]:
        """Bad frames, undelivered, dropped, re-sent, refused, gaps of telemetry, sessions lost."""
        return dict(self._counters)

    # --- rooms -----------------------------------------------------------------------------------------------------

    async def join(self, room: str) -> tuple[Member, ...]:
        """Returns when nothing said in the room from now on is missed. Rooms are joined again after a reconnect, silently.

        Raises: Unreachable when the broker refuses the room.
        """
        joined: asyncio.Future[tuple[Member, ...]] = asyncio.get_running_loop().create_future()
        address = self._address_of(room)
        self._plain[address] = room
        self._joins.setdefault(address, []).append(joined)
        self._handle(machine.Want(address, self._loop.time()))
        return await joined

    def leave(self, room: str) -> None:
        """Hear no more of it. A `join` that still waits raises Unreachable."""
        address = self._address_of(room)
        for join in self._joins.pop(address, []):
            _fail(join, Unreachable(f"{room!r} was left before it was joined"))
        self._handle(machine.Unwant(address))
        self._count_members()

    def present(self, room: str, role: str) -> Sequence[Member]:
        """Who of that role is in a room that we joined (ourselves not counted)."""
        members = self._session.rooms.get(self._address_of(room), {})
        return [member for member in members.values() if member.role == role]

    # --- saying ----------------------------------------------------------------------------------------------------

    def send(self, room: str, message: Message) -> bool:
        """Say it in a room, or to "@name". Never waits. False: not sent (not connected, or the outbox is full): whoever
        needs it delivered sends again on the next tick or when presence says so.

        Raises: LocalProtocolError when the protocol does not allow the message.
        """
        session = self._session
        if session.number == 0:
            self._counters["not_connected"] += 1
            return False
        frames = encode(
            message,
            room=self._qualified.get(room) or self._address_of(room),
            session=session.number,
            sequence=session.next_sequence(),
            limit=session.max_message_bytes,
        )
        if self._link.send(frames):
            return True
        self._counters["outbox_full"] += 1
        return False

    def reply(self, received: Received, message: Message) -> bool:
        """Direct to the sender of `received`. False: not sent, or the sender is not known any more."""
        return received.sender is not None and self.send("@" + received.sender.name, message)

    async def request(
        self,
        room: str,
        message: Message,
        answers: Callable[[Received], bool],
        timeout_s: float | None = 10.0,
        resend_s: float = 0.5,
    ) -> Received:
        """Send, and again (doubling, jittered, at once when somebody comes to the room) until a message for which `answers`
        is true comes; that one is not given to `on_message` or the iterator. Raises: Unreachable after `timeout_s`
        (None: never)."""
        asked = _Asked(room, message, answers)
        number = self._resends.add(self._address_of(room), resend_s, self._loop.time())
        self._asked[number] = asked
        try:
            self.send(room, message)
            async with asyncio.timeout(timeout_s):
                return await asked.answer
        except TimeoutError:
            where = f"{room!r} of {self.experiment!r}"
            raise Unreachable(f"no answer to {type(message).__name__} in {where} for {timeout_s or 0:g} s") from None
        finally:
            del self._asked[number]
            self._resends.remove(number)

    def _address_of(self, room: str) -> str:
        found = self._qualified.get(room)
        if found is None:
            build, name = (direct, room[1:]) if room.startswith("@") else (qualified, room)
            found = self._qualified[room] = build(self.experiment, name)
        return found

    # --- hearing ---------------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[Received]:
        while not self._closed:
            while self._unread:
                yield self._unread.popleft()
            self._arrived.clear()
            if not self._closed:
                await self._arrived.wait()

    def _heard(self, frames: list[memoryview]) -> None:
        """A message from the link."""
        session = self._session
        session.heard_at = self._loop.time()
        try:
            envelope = inspect(frames, MAX_MESSAGE_BYTES)
            message = decode_message(envelope, frames)
        except RemoteProtocolError:
            self._counters["bad_frames"] += 1
            return
        if envelope.kind < FIRST_ROOM_KIND:
            self._session_kind(envelope, message)
        elif not self._closed:
            room = "" if envelope.room.startswith("@") else self._plain.get(envelope.room, envelope.room)
            received = Received(message, room, envelope.session, self._members.get(envelope.session))
            if isinstance(message, NUMBERED):
                missed = self._gaps.missed(envelope.session, envelope.kind, message.number)
                self._counters.update({"gaps": missed} if missed else {})
            if not (self._asked and self._answered(received)):
                self._hand_over(received)

    def _answered(self, received: Received) -> bool:
        for asked in self._asked.values():
            if not asked.answer.done() and asked.answers(received):
                asked.answer.set_result(received)
                return True
        return False

    def _hand_over(self, received: Received) -> None:
        for listener in self.listeners:
            listener(received)
        if self.on_message is not None:
            self.on_message(received)
            return
        if len(self._unread) >= MAX_UNREAD:
            self._unread.popleft()
            self._counters["dropped"] += 1
        self._unread.append(received)
        self._arrived.set()

    def _session_kind(self, envelope: Envelope, message: Message) -> None:
        if isinstance(message, Undelivered):
            self._counters["undelivered"] += 1
        elif isinstance(message, Refused):
            self._counters[f"refused.{message.code}"] += 1
        self._handle(machine.Heard(message, envelope.sequence, self._loop.time()))

    # --- the machine's commands ------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK_S, self._tick)
        at = self._loop.time()
        self._handle(machine.Tick(at))
        if not self._asked or not self.connected:
            return
        for number in self._resends.due(at):
            asked = self._asked[number]
            self._counters["re-sent"] += 1
            self.send(asked.room, asked.message)

    def _handle(self, event: machine.Event) -> None:
        for command in self._session.handle(event):
            self._run(command)

    def _run(self, command: machine.Command) -> None:
        match command:
            case machine.Say(message, session, sequence):
                self._link.send(encode(message, session=session, sequence=sequence))
            case machine.Seen(room, member, here, why):
                self._seen(room, member, here, why)
            case machine.RoomJoined(room, members):
                for join in self._joins.pop(room, []):
                    if not join.done():
                        join.set_result(members)
            case machine.RoomRefused(room, code, text):
                for join in self._joins.pop(room, []):
                    _fail(join, Unreachable(f"the broker refuses room {room} ({code}): {text}"))
            case machine.Rejected(code, text):
                self.refusal = refused(code, text)
                self._rejected = code != RefusalCode.LIMIT  # a full broker may have a place in a second
                self._changed.set()
            case machine.Up():
                self._up()
            case machine.Down():
                self._counters["sessions_lost"] += 1
                self._count_members()
                if self.on_session is not None:
                    self.on_session(False)

    def _up(self) -> None:
        self.refusal = None
        self._changed.set()
        self._resends.hurry(self._loop.time())
        if self.on_session is not None:
            self.on_session(True)

    def _seen(self, room: str, member: Member, here: bool, why: str) -> None:
        if here:
            self._members[member.session] = member
            self._resends.hurry(self._loop.time(), room, direct(self.experiment, member.name))
        else:
            self._count_members()
        if self.on_presence is not None:
            self.on_presence(self._plain.get(room, room), member, here, why)

    def _count_members(self) -> None:
        """Those that we share a room with; who shares none any more is forgotten."""
        self._members = {number: one for members in self._session.rooms.values() for number, one in members.items()}
        self._gaps.forget(self._members)


def _fail(
    future: asyncio.Future[object] | asyncio.Future[Received] | asyncio.Future[tuple[Member, ...]], error: Exception
) -> None:
    if not future.done():
        future.set_exception(error)
