"""The transport's promise: frames to and from one broker. Knows frames; not what they say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from active_learner.core.keys import KeyPair
from active_learner.core.relay import Sent

Frame = bytes | bytearray | memoryview
Frames = Sequence[Frame]
OnFrames = Callable[[list[memoryview]], None]


class Link(ABC):
    """A peer's connection. `on_frames` is called in the event loop's thread for every message, in order; an exception
    from it is the caller's bug. A lost connection is made again by the link itself, silently: sessions are above it."""

    trouble: str = ""
    """Why the broker does not let us in, or why it cannot be ours, as far as the transport knows; empty: nothing is known."""

    on_live: Callable[[], None] | None = None
    """Set before `open`: called for each new connection, which may take messages only a little later."""

    @abstractmethod
    async def open(self, on_frames: OnFrames) -> None:
        """Start. Does not wait for the other side."""

    @abstractmethod
    def send(self, frames: Frames) -> bool:
        """Hand over one message without waiting. False: the outbox is full, nothing was sent."""

    @abstractmethod
    async def close(self) -> None:
        """Flush for a bounded time, then stop. Twice is once."""


OnMessage = Callable[[bytes, list[Frame], str], None]
"""Connection, frames, and the public key that its owner has proven (empty on a router without keys)."""


class Doorman(ABC):
    """Decides who may connect to a router with keys."""

    pair: KeyPair
    """The broker's own."""

    @abstractmethod
    def admits(self, public: str, address: str) -> bool:
        """Whether the owner of this key, proven, may connect from there."""

    @abstractmethod
    def failed(self, why: str) -> None:
        """A connection did not come about, for another reason than `admits`."""


class Router(ABC):
    """The broker's side of all links. Connections are named by bytes of the router's own making, a new name for each."""

    @abstractmethod
    async def open(self, on_message: OnMessage, on_turn: Callable[[], None]) -> str:
        """Bind; returns the address with the port in it. `on_message` is called in the event loop's thread for each
        message, in order; `on_turn` when a turn of messages is over, and when a full connection may take more.
        Raises: AddressInUse, Unreachable; Unguarded when there are keys and strangers get in all the same."""

    @abstractmethod
    def send(self, connection: bytes, frames: Frames) -> Sent:
        """Hand over one message without waiting. The frames may be those of a received message."""

    @abstractmethod
    async def close(self) -> None:
        """Stop; what is not sent yet is lost. Twice is once."""
