"""`active-learner label` and `up` at a full screen: real processes on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

import pytest

from active_learner.config.schema import BrokerConfig
from active_learner.services.broker import Broker
from active_learner.transport import router_at
from tests.integration.test_labeler_processes import MELODY, TrainerScript

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
LEFT_S = 15.0
"""Give the terminal back, deliver, say goodbye: a second on a quiet machine, three promised."""
GIVEN_BACK = "\x1b[?1049l"
WITHOUT_TEXTUAL = "raise ModuleNotFoundError('no textual here', name='textual')\n"


class Terminal:
    """A pseudo-terminal of 80 columns and 24 lines with a child on it; what the child writes is kept."""

    def __init__(self, folder: Path, *arguments: str, path: Path | None = None) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        found = os.pathsep.join(map(str, filter(None, (path, ROOT))))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "active_learner", *arguments],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, cwd=folder, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": found},
        )  # fmt: skip
        self.raw, self._from = b"", 0
        self._changed, self._loop = asyncio.Event(), asyncio.get_running_loop()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            self._loop.call_soon_threadsafe(self._add, got)

    def _add(self, got: bytes) -> None:
        self.raw += got
        self._changed.set()

    @property
    def text(self) -> str:
        """Without the sequences that move the cursor and choose colours, but for the one that gives the terminal back."""
        plain = self.raw.decode(errors="replace").replace(GIVEN_BACK, "<given back>")
        return re.sub(r"\x1b(\[[0-9;?<>]*[ -/]*[@-~]|\][^\x07]*\x07)", "", plain)

    async def sees(self, words: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while words not in self.text[self._from :]:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{words!r} is not in {self.text[self._from :]!r}") from None
        self._from = self.text.index(words, self._from) + len(words)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    async def ends(self) -> int:
        """The exit code. The terminal is as it was."""
        code = await asyncio.to_thread(self.process.wait, PATIENCE_S)
        assert termios.tcgetattr(self.slave) == self.before
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@asynccontextmanager
async def at_work(folder: Path) -> AsyncIterator[tuple[Terminal, TrainerScript]]:
    """A broker, a trainer that confirms what it hears, and a person at a full screen."""
    config = BrokerConfig(address="tcp://127.0.0.1:0")
    broker = Broker(config, router_at(config.address, config.max_message_bytes))
    address = (await broker.start()).removeprefix("broker ")
    trainer = TrainerScript(address)
    await trainer.start()
    terminal = Terminal(folder, "label", "tunes.yaml", "--set", f"broker.address={address}")
    try:
        await asyncio.wait_for(trainer.here.wait(), PATIENCE_S)
        yield terminal, trainer
    finally:
        terminal.close()
        await trainer.peer.close()
        await broker.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tunes.yaml").write_text(MELODY)
    return tmp_path


def test_answers_undo_change_and_leave_by_control_c(folder: Path) -> None:
    async def run() -> None:
        async with at_work(folder) as (terminal, trainer):
            for rank, name in enumerate(("q1", "q2", "q3"), 1):
                trainer.ask(name, rank)
            await terminal.sees("number 1")
            await asyncio.sleep(0.3)  # a person needs to see it first: keys are not taken before
            terminal.type("3")
            assert await trainer.hears() == ("q1", "answer", 3, 0, "ann")
            await terminal.sees("saved: 3")
            terminal.type("\x7f")
            assert await trainer.hears() == ("q1", "undo", None, 1, "ann")
            await terminal.sees("undone")
            await asyncio.sleep(0.3)
            terminal.type("4")
            assert await trainer.hears() == ("q1", "answer", 4, 2, "ann")
            await terminal.sees("saved: 4")
            terminal.type("\x1b[A")
            await terminal.sees("Your last answers")
            terminal.type("\r")
            await terminal.sees("You said 4")
            terminal.type("5")
            assert await trainer.hears() == ("q1", "revise", 5, 3, "ann")
            await terminal.sees("saved: 5")
            began = time.monotonic()
            terminal.type("\x03")
            await terminal.sees("<given back>")
            await terminal.sees("goodbye: 1 answered, 1 saved")
            assert await terminal.ends() == 0
            assert time.monotonic() - began < LEFT_S
            assert trainer.answers.empty()

    asyncio.run(run())


def test_a_process_that_is_told_to_end_gives_the_terminal_back(folder: Path) -> None:
    async def run() -> None:
        async with at_work(folder) as (terminal, trainer):
            trainer.ask("q1", 1)
            await terminal.sees("number 1")
            terminal.process.send_signal(signal.SIGTERM)
            await terminal.sees("<given back>")
            await terminal.sees("goodbye: 0 answered, 0 saved")
            assert await terminal.ends() == 0

    asyncio.run(run())


def test_without_the_extra_the_same_terminal_has_plain_prompts(folder: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "textual").mkdir(parents=True)
    (hidden / "textual" / "__init__.py").write_text(WITHOUT_TEXTUAL)

    async def run() -> None:
        terminal = Terminal(folder, "label", "tunes.yaml", "--prelabel", "2", path=hidden)
        try:
            await terminal.sees("the full screen needs the extra tui: pip install 'active-learner[tui]'")
            await terminal.sees("label> ")
            terminal.type("q\n")
            await terminal.sees("0 of 2 labeled")
            assert await terminal.ends() == 0
            assert GIVEN_BACK.encode() not in terminal.raw
        finally:
            terminal.close()

    asyncio.run(run())


def test_up_with_a_person_at_the_full_screen_ends_when_the_person_leaves(folder: Path) -> None:
    async def run() -> None:
        small = ("--set", "trainer.pool_size=20", "--set", "trainer.query_size=2")
        terminal = Terminal(folder, "up", "tunes.yaml", *small)
        try:
            await terminal.sees("number 1")
            await asyncio.sleep(0.3)
            terminal.type("3")
            await terminal.sees("saved: 3")
            terminal.type("q")
            await terminal.sees("<given back>")
            assert await terminal.ends() == 0
        finally:
            terminal.close()
        assert "trainer" in (folder / "runs" / "tunes" / "up.log").read_text()

    asyncio.run(run())
