"""The transport's promise: frames to and from one broker. Knows frames; not what they say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

Frame = bytes | memoryview
Frames = Sequence[Frame]
OnFrames = Callable[[list[memoryview]], None]


class Link(ABC):
    """A peer's connection. `on_frames` is called in the event loop's thread for every message, in order; an exception
    from it is the caller's bug. A lost connection is made again by the link itself, silently: sessions are above it."""

    @abstractmethod
    async def open(self, on_frames: OnFrames) -> None:
        """Start. Does not wait for the other side."""

    @abstractmethod
    def send(self, frames: Frames) -> bool:
        """Hand over one message without waiting. False: the outbox is full, nothing was sent."""

    @abstractmethod
    async def close(self) -> None:
        """Flush for a bounded time, then stop. Twice is once."""
