"""Starts commands in a folder, reads their lines with a deadline, and always ends them; knows no protocol."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEER = str(ROOT / "tests" / "foreign_peer.py")
DEADLINE = 150.0


class Process:
    """One command, and the lines that it has said on stdout."""

    def __init__(self, folder: Path, *command: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.errors = (folder / f"{time.monotonic_ns()}.err").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.lines: list[str] = []
        self.waiting: queue.Queue[str | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.waiting.put(line.rstrip("\n"))
        self.waiting.put(None)

    def line(self, start: str) -> str:
        """The next line that begins so."""
        return next(self.until(start))

    def until(self, start: str) -> Iterator[str]:
        deadline = time.monotonic() + DEADLINE
        while True:
            line = self.waiting.get(timeout=max(0.0, deadline - time.monotonic()))
            assert line is not None, f"ended before {start!r}: {self.lines} {self.said_wrong()}"
            self.lines.append(line)
            if line.startswith(start):
                yield line

    def said_wrong(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def end(self) -> int:
        """Waits for its end; all its lines are then in `lines`."""
        code = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        while not self.waiting.empty():
            if line := self.waiting.get():
                self.lines.append(line)
        return code

    def kill(self) -> None:
        """As a power cut; what it had said by then is in `lines`."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        assert self.process.stdout
        self.process.stdout.close()
        self.errors.close()


class Processes:
    """All that a test starts in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Process] = []

    def start(self, *command: str) -> Process:
        self.all.append(Process(self.folder, *command))
        return self.all[-1]

    def close(self) -> None:
        for process in self.all:
            process.close()
