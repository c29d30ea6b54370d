"""Server-sent events: who listens, what was said lately, who may have missed something. Knows no browser and no event's meaning."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

KEPT = 256
"""Events that are said again to a stream that was cut: a minute's worth. Who missed more is told to fetch all anew."""

WAITING = 256
"""Events for a stream whose browser does not read; then it is ended, and comes back with what it heard last."""

STREAMS = 16
"""At once for one annotator, a tab each; one more costs the oldest its place."""

COMMENT_S = 15.0
"""Nothing is said for that long: a comment, so that what lies between does not cut an idle connection."""

BACK_MS = 500
"""A browser that lost its stream tries again after that."""

ANEW = ("questions", "trainer", "status")
"""After these a page is right again, whatever it has missed: it fetches its questions, history and status."""


class Stream:
    """One open connection. Iterate it for the bytes to write; ends after `end`."""

    def __init__(self, who: str, page: str = "") -> None:
        """`page`: the id that a labeling page made for itself; "": another listener."""
        self.who, self.page = who, page
        self.is_welcome: Callable[[], bool] = lambda: True
        """Asked before each event and each comment: an annotator who was removed hears nothing any more."""
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, text: bytes) -> bool:
        """False: too much waits already."""
        if self._queue.qsize() >= WAITING:
            return False
        self._queue.put_nowait(text)
        return True

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield f"retry: {BACK_MS}\n\n".encode()
        while True:
            text = await self._next()
            if text is None or not self.is_welcome():
                return
            yield text

    async def _next(self) -> bytes | None:
        try:
            return await asyncio.wait_for(self._queue.get(), COMMENT_S)
        except TimeoutError:
            return b": still here\n\n"


class Streams:
    """All of a process. Events have an id, so that a stream that was cut goes on where it was."""

    def __init__(self) -> None:
        self._boot, self._number = secrets.token_hex(4), 0
        self._open: dict[Stream, None] = {}
        self._said: deque[tuple[int, str | None, bytes]] = deque(maxlen=KEPT)
        self._closed = False

    def say(self, kind: str, fields: dict[str, Any], who: str | None = None) -> None:
        """To all, or to one annotator's streams."""
        self._number += 1
        text = self._text(kind, fields)
        self._said.append((self._number, who, text))
        for stream in [one for one in self._open if who in (None, one.who)]:
            self._put(stream, text)

    def _text(self, kind: str, fields: dict[str, Any]) -> bytes:
        return (
            f"event: {kind}\nid: {self._boot}-{self._number}\ndata: {json.dumps(fields, allow_nan=False)}\n\n".encode()
        )

    def _put(self, stream: Stream, text: bytes) -> None:
        if not stream.put(text):
            self.leave(stream)
            stream.end()

    def open(self, who: str, last: str, now: list[tuple[str, dict[str, Any]]], page: str = "") -> Stream:
        """`last`: what the browser says it heard last. `now`: what a fresh page must know."""
        stream = Stream(who, page)
        own = [one for one in self._open if one.who == who]
        for oldest in own[: max(0, len(own) - STREAMS + 1)]:
            self.leave(oldest)
            oldest.end()
        missed = self._missed(who, last)
        for text in missed if missed is not None else [self._text(kind, fields) for kind, fields in now]:
            stream.put(text)
        if self._closed:
            stream.end()
        self._open[stream] = None
        return stream

    def _missed(self, who: str, last: str) -> list[bytes] | None:
        """What was said since; None: that cannot be known."""
        boot, _, number = last.rpartition("-")
        first = self._said[0][0] if self._said else self._number + 1
        if boot != self._boot or not number.isdecimal() or not first - 1 <= int(number) <= self._number:
            return None
        return [text for at, whom, text in self._said if at > int(number) and whom in (None, who)]

    def leave(self, stream: Stream) -> None:
        self._open.pop(stream, None)

    def pages(self, who: str) -> set[str]:
        """Of an annotator."""
        return {one.page for one in self._open if one.who == who and one.page}

    def close(self) -> None:
        """End all, those that come later too."""
        self._closed = True
        for stream in self._open:
            stream.end()

    def __len__(self) -> int:
        return len(self._open)
