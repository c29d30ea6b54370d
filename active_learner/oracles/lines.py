"""Lines of a terminal, pipe or file, without a thread and without blocking the event loop. Knows no question."""

from __future__ import annotations

import asyncio
import os
import termios
from collections import deque

LONGEST_LINE = 4096
"""Bytes kept of one line: what a terminal's own line editor allows. The rest of a longer line is dropped."""


class Lines:
    """Reads ahead no further than one read of the system; a line that nobody took stays."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._partial = b""
        self._ended = False

    @property
    def interactive(self) -> bool:
        """A person types here."""
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    async def peek(self) -> str | None:
        """The next line, left where it is; None at the end. May be cancelled at any time."""
        while not self._lines and not self._ended:
            await self._readable()
            self._read()
        return self._lines[0] if self._lines else None

    async def take(self) -> str | None:
        """The next line; None at the end."""
        line = await self.peek()
        if line is not None:
            self._lines.popleft()
        return line

    def discard(self) -> None:
        """Forget what a person has typed so far, also half a line: it was meant for another question."""
        if self.interactive:
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            self._lines.clear()
            self._partial = b""

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_reader(self._descriptor, ready.set)
        except OSError:  # a plain file or /dev/null (never blocks), or a closed descriptor: the read tells
            return
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._descriptor)

    def _read(self) -> None:
        try:
            got = os.read(self._descriptor, LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone
            got = b""
        *whole, rest = (self._partial + got).split(b"\n")
        if not got:
            self._ended = True
            whole, rest = ([rest], b"") if rest else ([], b"")
        self._lines.extend(line[:LONGEST_LINE].decode("utf-8", errors="replace").strip() for line in whole)
        self._partial = rest[:LONGEST_LINE]
