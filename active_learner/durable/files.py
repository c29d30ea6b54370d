"""Writing files so that a power cut leaves the old or the new. Knows bytes and paths only."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

REWRITTEN = 1024 * 1024
"""Bytes at the end of a file that are written once more when it is opened: more than one append has (an import of 5,000 labels)."""


class SyncError(OSError):
    """An fsync failed: what is on the disk is not known, and a second fsync would succeed without having written anything
    (the kernel marks the pages as clean). So nobody may try again: end, and read the disk anew."""


class AppendFile:
    """A file that only grows, and is back at its last good length when growing failed."""

    def __init__(self, path: Path, length: int) -> None:
        """`length`: what is good of it; anything behind is cut off. Raises: OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.length = length
        try:
            self._trim()
            self._write_end_again()
            sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, chunk: bytes, synced: bool = True) -> None:
        """Returns when it is on the disk; not `synced`: when the system has it, which a power cut may undo, a kill not. Raises:
        OSError, with the file as it was; SyncError, with nothing promised."""
        self._trim()
        try:
            self._write(chunk)
        except OSError:
            with contextlib.suppress(OSError):  # what cannot be cut now is cut before the next write
                self._trim()
            raise
        if synced:
            sync(self._descriptor)
        self.length += len(chunk)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other process is in a block like this one. Raises: OSError."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def take_back(self, length: int) -> None:
        """Be as long as before the last append. Raises: OSError."""
        self.length = length
        self._trim()

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, chunk: bytes, behind: int = 0) -> None:
        view, at = memoryview(chunk), self.length - behind
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written

    def _trim(self) -> None:
        if os.fstat(self._descriptor).st_size > self.length:
            os.ftruncate(self._descriptor, self.length)
            sync(self._descriptor)

    def _write_end_again(self) -> None:
        """Where the process before us ended by a SyncError, what we read may be in memory only."""
        behind = min(self.length, REWRITTEN)
        self._write(os.pread(self._descriptor, behind, self.length - behind), behind)
        sync(self._descriptor)


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Atomic and durable. `mode`: of the file, from its first byte on. Raises: OSError, with the file as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replaced(path: Path, content: bytes) -> AppendFile:
    """As `replace_file`, to go on behind the content; the file is open already when it gets its name, so that what is appended
    can never go to the one before. The name is durable after `sync_folder`. Raises: OSError, with the file as it was."""
    temporary = path.with_name(f".{path.name}.new")
    file = AppendFile(temporary, 0)
    try:
        file.append(content)
        temporary.replace(path)
    except OSError:
        file.close()
        temporary.unlink(missing_ok=True)
        raise
    return file


def sync_folder(folder: Path) -> None:
    """Make names in it durable. Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Raises: SyncError."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise SyncError(error.errno, f"fsync failed: {error.strerror}") from error
