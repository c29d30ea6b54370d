"""One writer: an advisory lock on a file beside the one that is written. Knows processes; not what is stored."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from active_learner.errors import StoreError, StoreLocked


class WriterLock:
    """Held from construction until `release`, or until the process ends in any way.

    Raises: StoreLocked, naming the holder; StoreError when the file cannot be made.
    """

    def __init__(self, store: Path) -> None:
        path = store.with_name(f"{store.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(f"{store} is being written to by {_told(holder)}") from None
        self._say(f"{os.getpid()}\n")

    def release(self) -> None:
        """The file stays: to remove it would let two processes lock two files of one name."""
        self._say("")
        os.close(self._descriptor)

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk must not cost the lock: the text is only told to others
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode("ascii"), 0)


def _told(holder: str) -> str:
    if not holder.isdigit():
        return "another process"
    try:
        command = Path("/proc", holder, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return f"process {holder}"
    return f"process {holder} ({command})" if command else f"process {holder}"
