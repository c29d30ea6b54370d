"""Plays a melody by a command of the user's. Knows the command and the WAV file; a player that fails never ends anything."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from active_learner.core.records import Features
from active_learner.errors import BadSample

GRACE_S = 0.3
"""After SIGTERM; then SIGKILL."""
LOOK_S = 0.02
"""How often the player is looked at. asyncio's own processes are not used: its watcher and a signal race for the exit code of
a player that just ended, and a line about an unknown child lands in the person's terminal."""
FILES_KEPT = 3
"""A player that put itself into the background may still read an older one; a sitting of hours must not fill the disk."""


class Player:
    """`{}` in the command is the WAV file (without one, it is the last argument). No shell reads the command."""

    def __init__(self, command: str, tell: Callable[[str], None]) -> None:
        """`tell` is called with a sentence the first time that the command fails."""
        self._command, self._tell = command, tell
        self._told = False
        self._process: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: deque[Path] = deque()
        self._played = 0

    async def play(self, genome: Features) -> None:
        """Start playing, from the beginning; what plays now is stopped."""
        await self.stop()
        try:
            wav = await asyncio.to_thread(self._write, genome)
            self._process = self._started(self._arguments(wav))
        except (OSError, ValueError, BadSample) as error:
            self._complain(str(error))
            return
        self._watching = asyncio.create_task(self._watch(self._process))

    async def stop(self) -> None:
        """Silence. Nothing is left behind."""
        process, self._process = self._process, None
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
        if process is None:
            return
        try:
            process.terminate()
            await _ended(process, GRACE_S)
        finally:
            _kill(process)

    async def hush(self) -> None:
        """As `stop`; who is cancelled while it waits here goes on: what a person has decided is not lost while the sound ends."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self.stop())

    def close(self) -> None:
        """Silence at once, and no WAV file left."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
            self._files.clear()

    def _write(self, genome: Features) -> Path:
        """A file of its own for each playing: one that is still being read is never changed."""
        from active_learner.melody.wav import write_wav

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="melody-")
        while len(self._files) >= FILES_KEPT:
            self._files.popleft().unlink(missing_ok=True)
        self._played += 1
        path = Path(self._folder.name) / f"melody-{self._played}.wav"
        self._files.append(path)
        write_wav(genome, path)
        return path

    def _started(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        """Raises: OSError, ValueError."""
        nothing = subprocess.DEVNULL
        return subprocess.Popen(arguments, stdin=nothing, stdout=nothing, stderr=nothing)

    def _arguments(self, wav: Path) -> list[str]:
        """Raises: ValueError when a quote is not closed or the command is empty."""
        words = shlex.split(self._command)
        if not words:
            raise ValueError("the command is empty")
        filled = [word.replace("{}", str(wav)) for word in words]
        return filled if filled != words else [*words, str(wav)]

    async def _watch(self, process: subprocess.Popen[bytes]) -> None:
        code = await _ended(process)
        if code != 0:
            self._complain(f"it ended with code {code}")

    def _complain(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._tell(f"the melody cannot be played by {self._command!r}: {why}; the notes are shown (told once)")


async def _ended(process: subprocess.Popen[bytes], within_s: float | None = None) -> int | None:
    """Its exit code; None: it still runs after `within_s`."""
    deadline = None if within_s is None else time.monotonic() + within_s
    while (code := process.poll()) is None:
        if deadline is not None and time.monotonic() >= deadline:
            break
        await asyncio.sleep(LOOK_S)
    return code


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Also what has ended is waited for: nothing is left behind. SIGKILL takes effect at once."""
    process.kill()
    process.wait()
