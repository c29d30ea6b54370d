"""Plays a melody by a command of the user's. Knows the command and the WAV file; a player that fails never ends anything."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from active_learner.core.records import Features
from active_learner.errors import BadSample

GRACE_S = 0.3
"""After SIGTERM; then SIGKILL."""


class Player:
    """`{}` in the command is the WAV file (without one, it is the last argument). No shell reads the command."""

    def __init__(self, command: str, tell: Callable[[str], None]) -> None:
        """`tell` is called with a sentence the first time that the command fails."""
        self._command, self._tell = command, tell
        self._told = False
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def play(self, genome: Features) -> None:
        """Start playing, from the beginning; what plays now is stopped."""
        await self.stop()
        try:
            wav = await asyncio.to_thread(self._write, genome)
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments(wav),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
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
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def close(self) -> None:
        """Remove the WAV file."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _write(self, genome: Features) -> Path:
        from active_learner.melody.wav import write_wav

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="melody-")
        path = Path(self._folder.name) / "melody.wav"
        write_wav(genome, path)
        return path

    def _arguments(self, wav: Path) -> list[str]:
        """Raises: ValueError when a quote is not closed or the command is empty."""
        words = shlex.split(self._command)
        if not words:
            raise ValueError("the command is empty")
        filled = [word.replace("{}", str(wav)) for word in words]
        return filled if filled != words else [*words, str(wav)]

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if code != 0:
            self._complain(f"it ended with code {code}")

    def _complain(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._tell(f"the melody cannot be played by {self._command!r}: {why}; the notes are shown (told once)")
