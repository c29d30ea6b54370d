"""The public peer: joins rooms, hears and says typed messages, asks and is answered. Knows nothing of training."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType

from protocol.messages import Member, Message


class Received:
    """A message with where it came from: `room` ("" when direct), `sender` (Member, or None when not known any more)."""

    __slots__ = ("message", "room", "sender", "session")

    def __init__(self, message: Message, room: str, session: int, sender: Member | None) -> None:
        self.message, self.room, self.session, self.sender = message, room, session, sender


class Peer:
    """STUB of the contract; written by the transport work.

    async with Peer(experiment="digits", role="evaluator", address="tcp://127.0.0.1:5570") as peer:
        await peer.join("traininput")
        async for received in peer: ...
    """

    def __init__(
        self,
        *,
        experiment: str,
        role: str,
        address: str = "tcp://127.0.0.1:5570",
        name: str | None = None,
        exclusive: bool = False,
        connect_timeout_s: float | None = 10.0,
    ) -> None:
        """`name` None: the role, with random hex behind it unless exclusive. `connect_timeout_s` None: wait for ever."""

    async def open(self) -> None:
        """Connect and say HELLO. Raises: Unreachable (no broker, wrong version), LeaseHeld (role or name taken)."""

    async def close(self, why: str = "done") -> None:
        """BYE, flush for a bounded time, stop."""

    async def __aenter__(self) -> Peer: ...
    async def __aexit__(
        self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    async def join(self, room: str) -> tuple[Member, ...]:
        """Returns when nothing said in the room from now on is missed. Rooms are joined again after a reconnect, silently."""

    def send(self, room: str, message: Message) -> bool:
        """Say it in a room, or to "@name". Never waits. False: not sent (not connected, or the outbox is full): whoever
        needs it delivered sends again on the next tick or when presence says so."""

    def reply(self, received: Received, message: Message) -> bool:
        """Direct to the sender of `received`."""

    async def request(
        self,
        room: str,
        message: Message,
        answers: Callable[[Received], bool],
        timeout_s: float = 10.0,
        resend_s: float = 0.5,
    ) -> Received:
        """Send, and again (doubling, jittered) until a message for which `answers` is true comes; that one is not given
        to `on_message` or the iterator. Raises: Unreachable after `timeout_s`."""

    def present(self, room: str, role: str) -> Sequence[Member]:
        """Who of that role is in a room that we joined (ourselves not counted)."""

    on_message: Callable[[Received], None] | None
    """Set: every message is handed to it in the event loop's thread, at once (the services use this). None: iterate."""
    on_presence: Callable[[str, Member, bool, str], None] | None
    """room, member, here, why."""
    on_session: Callable[[bool], None] | None
    """True: (again) welcomed and all rooms joined again; False: the broker is lost."""

    def __aiter__(self) -> AsyncIterator[Received]: ...
    @property
    def connected(self) -> bool: ...
    @property
    def counters(self) -> dict[str, int]:
        """Bad frames, undelivered, dropped, re-sent, gaps of telemetry."""
