"""Who runs in a run folder: `up.json`, locked as long as its `up` lives. Knows the file, not the processes."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any

from active_learner.errors import LeaseHeld

FILE = "up.json"

_LOCK_PATIENCE_S = 0.5
"""A reader that looks whether the file is stale holds it for microseconds; a live `up` holds it for ever."""


class Running:
    """This process's claim on a run folder. The lock goes with the process, so a file left by SIGKILL blocks nobody."""

    def __init__(self, folder: Path, file: IO[str]) -> None:
        self._path, self._file = folder / FILE, file

    @classmethod
    def claim(cls, folder: Path, address: str) -> Running:
        """Raises: LeaseHeld naming the process that runs there."""
        path = folder / FILE
        while True:
            file = path.open("a+", encoding="utf-8")
            _wait_for(file, folder)
            if _is_at(file, path):
                break
            file.close()  # its owner has removed it while we waited; the next claim would be of another file
        file.truncate(0)
        json.dump({"pid": os.getpid(), "address": address}, file)
        file.flush()
        return cls(folder, file)

    def release(self) -> None:
        """Remove the file and the lock."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def running(folder: Path) -> dict[str, Any] | None:
    """{pid, address} of the `up` that runs in this folder now, or None; a stale file counts as none."""
    try:
        file = (folder / FILE).open("r", encoding="utf-8")
    except OSError:
        return None
    with file:
        return None if _lock(file, fcntl.LOCK_SH) else _read(file) or None


def _wait_for(file: IO[str], folder: Path) -> None:
    """Take the lock. Raises: LeaseHeld naming the process that keeps it, with the file closed."""
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while not _lock(file, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            other = _read(file)
            file.close()
            raise LeaseHeld(f"{folder}: `up` runs here already, process {other.get('pid', 'unknown')}")
        time.sleep(0.01)


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        content = json.loads(file.read())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
