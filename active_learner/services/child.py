"""One child process of `up`: its command, its pipe, its ready line, its end. Knows no policy."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import active_learner
from active_learner.config.layers import ENVIRONMENT
from active_learner.parent import PARENT_FD
from active_learner.services.restarts import Policy

READY, RESULT = "ready: ", "result: "

_LINE_BYTES = 64 * 1024
"""A longer line is shown in pieces, so that a child that never ends a line costs no more memory than this."""

OnLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """What to start and what its end means."""

    name: str
    command: tuple[str, ...]
    policy: Policy = field(default_factory=Policy)
    once: tuple[str, ...] = ()
    """Options of its first start alone."""
    stdin: bool = False
    """It reads our standard input."""
    terminal: bool = False
    """It talks to the person: standard input and output are ours, and so is its process group, so that it may read the
    terminal and hears Ctrl-C; it has no ready line for us."""


class Child:
    """A running Program. `on_line` gets its name and every line that it says, but for the result."""

    def __init__(self, program: Program, on_line: OnLine) -> None:
        self.program, self._on_line = program, on_line
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.result = ""
        self.last_words: deque[str] = deque(maxlen=20)
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._pipe = -1

    async def start(self, more: Mapping[str, str]) -> None:
        """Start it with `more` in its environment, in a process group of its own, with a pipe whose end tells it that we are gone."""
        read, self._pipe = os.pipe()
        own = None if self.program.terminal or self.program.stdin else asyncio.subprocess.DEVNULL
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.command,
                *self.program.once,
                stdin=own,
                stdout=None if self.program.terminal else asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**_environment(read), **more},
                pass_fds=(read,),
                process_group=None if self.program.terminal else 0,
            )
        finally:
            os.close(read)
        for stream, hear in ((self._process.stdout, self._said), (self._process.stderr, self._logged)):
            if stream is not None:
                self._readers.append(asyncio.create_task(_read(stream, hear)))
        if self.program.terminal:
            self.ready.set_result("")

    async def wait(self) -> int:
        """Its exit code, when all that it said was heard."""
        assert self._process is not None  # start() comes first
        code = await self._process.wait()
        await asyncio.wait(self._readers, timeout=0.5)  # a grandchild may keep the pipe open
        for reader in self._readers:
            reader.cancel()
        self.ready.cancel()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        return code

    async def gone(self) -> None:
        """Returns when the process has ended, or was never started."""
        if self._process is not None:
            await self._process.wait()

    def signal(self, number: int) -> None:
        """To it and all that it started; nothing when it has ended."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self.program.terminal:
                self._process.send_signal(number)
            else:
                os.killpg(self._process.pid, number)

    @property
    def pid(self) -> int:
        """0: not started."""
        return self._process.pid if self._process is not None else 0

    def _said(self, line: str) -> None:
        if line.startswith(READY) and not self.ready.done():
            self.ready.set_result(line.removeprefix(READY))
        elif line.startswith(RESULT):
            self.result = line
            return
        self._on_line(self.program.name, line)

    def _logged(self, line: str) -> None:
        self.last_words.append(line)
        self._on_line(self.program.name, line)


async def _read(stream: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    async for line in _lines(stream):
        hear(line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    rest = b""
    while chunk := await stream.read(_LINE_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_BYTES:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _environment(read: int) -> dict[str, str]:
    """Ours, without the overrides: they are in the resolved configuration already and must not be applied twice."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT)}
    source = Path(active_learner.__file__).resolve().parent.parent
    if (source / "pyproject.toml").is_file():  # a checkout, perhaps not installed
        kept["PYTHONPATH"] = os.pathsep.join([str(source), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, PARENT_FD: str(read), "PYTHONUNBUFFERED": "1"}
