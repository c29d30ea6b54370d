"""The annotator at the full screen: starts it with the first question, gives the terminal back in every case. Knows no wire.

It is given back before the process says goodbye: what is told from then on is told in plain lines. Log lines are held while the
screen is there, and said after it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from active_learner.core.records import SampleSpec
from active_learner.oracles import screen
from active_learner.oracles.base import Oracle, Reply
from active_learner.oracles.keys import Keys
from active_learner.oracles.player import Player
from active_learner.oracles.sitting import Sitting
from active_learner.oracles.textual_app import LabelApp, TerminalDriver
from protocol.messages import AnswerReceipt, Question

LINES_HELD = 200
"""Log lines; the newest stay."""


class FullScreen(Oracle):
    """Asks on a terminal that is standard input and output; `q`, Ctrl-C and a terminal that is gone leave."""

    person = True

    def __init__(
        self,
        *,
        spec: SampleSpec,
        keys: Keys,
        base: Path = Path(),
        seed: int = 0,
        play: str | None = None,
        annotator: str = "terminal",
        now: Callable[[], float] = time.monotonic,
        headless: tuple[int, int] | None = None,
    ) -> None:
        """`base` and `seed` are what every oracle is given; a person needs neither. `headless`: columns and lines of a screen
        that nobody sees."""
        self.annotator = annotator
        self.sitting = Sitting(spec, keys, now)
        self.app = LabelApp(self.sitting, self._replied, self._replay, None if headless else TerminalDriver)
        self._player = Player(play, self.notice) if play and spec.media == "melody" else None
        self._replies: asyncio.Queue[Reply | BaseException | None] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._sounds: set[asyncio.Task[None]] = set()
        self._logs = HeldLogs(self.notice)
        self._over, self._headless = False, headless

    # --- the promise

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        await self._open()
        if self.sitting.asked(question, waiting):
            self._replay()
        self.app.paint()
        try:
            return await self._next()
        except asyncio.CancelledError:
            self.sitting.withdrawn()
            self.app.paint()
            raise
        finally:
            await self._silence()

    async def rest(self) -> Reply | None:
        await self._open()
        self.sitting.withdrawn()
        self.app.paint()
        return await self._next()

    async def receipt(self, receipt: AnswerReceipt) -> None:
        self.sitting.told(receipt)
        self._show_or_say()

    def notice(self, text: str) -> None:
        self.sitting.notice(text)
        self._show_or_say()

    async def leave(self) -> None:
        """Give the terminal back; what was logged meanwhile is said now."""
        self._over = True
        running, self._running = self._running, None
        if running is None:
            return
        try:
            self.app.exit()
            await asyncio.wait({running})
        finally:
            self._logs.stand_down()

    def close(self) -> None:
        if self._player is not None:
            self._player.close()
        decided = self.sitting.decided
        _say(f"goodbye: {decided.answered} answered, {decided.saved} saved")

    # --- the screen

    async def _open(self) -> None:
        """The first time; not again when the person has left."""
        if self._running is not None or self._over:
            return
        loop = asyncio.get_running_loop()
        before, ready = loop.get_task_factory(), asyncio.Event()
        self.app.when_ready = ready.set
        self._logs.stand_in()
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(lambda task: ready.set())
        await ready.wait()
        loop.set_task_factory(before)  # from Python 3.12 on textual sets one for the whole process

    async def _run(self) -> None:
        """Until it is told to exit, or ends otherwise: by a fault, or because the terminal is gone."""
        error: BaseException | None = None
        try:
            await self.app.run_async(mouse=False, headless=self._headless is not None, size=self._headless)
            error = self.app.fault
        except Exception as raised:
            error = raised
        if not self._over:
            self._replies.put_nowait(error)

    def _show_or_say(self) -> None:
        if self._running is not None:
            self.app.paint()
        elif self._over:
            _say(self.sitting.notices[-1])

    # --- replies

    def _replied(self, reply: Reply | None) -> None:
        self._replies.put_nowait(reply)

    async def _next(self) -> Reply | None:
        reply = await self._replies.get()
        if isinstance(reply, Reply):
            return reply
        await self.leave()
        if reply is not None:
            raise reply
        return None

    # --- sound

    def _replay(self) -> None:
        shown = self.sitting.shown
        if self._player is not None and shown is not None:
            self.sitting.look.plays += 1
            self._sound(self._player.play(shown.features))

    async def _silence(self) -> None:
        if self._player is not None:
            await self._player.hush()

    def _sound(self, playing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(playing)
        self._sounds.add(task)
        task.add_done_callback(self._sounds.discard)


class HeldLogs(logging.Handler):
    """While it stands in for the handlers of standard error, what is logged is kept; warnings are told at once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._lines: deque[str] = deque(maxlen=LINES_HELD)
        self._stands_for: list[logging.Handler] = []

    def stand_in(self) -> None:
        """Nothing to do where standard error is a file or a pipe."""
        root = logging.getLogger()
        found = [one for one in root.handlers if getattr(one, "stream", None) is sys.stderr]
        if found and sys.stderr.isatty():
            self._stands_for = found
            root.handlers[:] = [*(one for one in root.handlers if one not in found), self]
            self.setFormatter(found[0].formatter)

    def stand_down(self) -> None:
        if self._stands_for:
            root = logging.getLogger()
            root.handlers[:] = [*(one for one in root.handlers if one is not self), *self._stands_for]
            self._stands_for = []
            sys.stderr.write("".join(f"{line}\n" for line in self._lines))
            self._lines.clear()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))
        if record.levelno >= logging.WARNING:
            self._tell(record.getMessage())


def _say(text: str) -> None:
    try:
        sys.stdout.write(f"{screen.printable(text)}\n")
        sys.stdout.flush()
    except OSError:  # the terminal is gone; nobody is there to be told
        return
