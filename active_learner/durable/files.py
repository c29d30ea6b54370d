"""Writing files so that a power cut leaves the old or the new. Knows bytes and paths only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class AppendFile:
    """A file that only grows, and is back at its last good length when growing failed."""

    def __init__(self, path: Path, length: int) -> None:
        """`length`: what is good of it; anything behind is cut off. Raises: OSError."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.length = length
        self._trim()
        sync_folder(path.parent)

    def append(self, chunk: bytes, synced: bool = True) -> None:
        """Returns when it is on the disk; not `synced`: when the system has it, which a power cut may undo, a kill not. Raises:
        OSError, with the file as it was."""
        self._trim()
        try:
            self._write(chunk)
            if synced:
                os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # what cannot be cut now is cut before the next write
                self._trim()
            raise
        self.length += len(chunk)

    def take_back(self, length: int) -> None:
        """Be as long as before the last append. Raises: OSError."""
        self.length = length
        self._trim()

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, chunk: bytes) -> None:
        view, at = memoryview(chunk), self.length
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written

    def _trim(self) -> None:
        if os.fstat(self._descriptor).st_size > self.length:
            os.ftruncate(self._descriptor, self.length)
            os.fsync(self._descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Atomic and durable. Raises: OSError, with the file as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replaced(path: Path, content: bytes) -> AppendFile:
    """As `replace_file`, to go on behind the content; the file is open already when it gets its name, so that what is appended
    can never go to the one before. Raises: OSError, with the file as it was."""
    temporary = path.with_name(f".{path.name}.new")
    file = AppendFile(temporary, 0)
    try:
        file.append(content)
        temporary.replace(path)
    except OSError:
        file.close()
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return file


def sync_folder(folder: Path) -> None:
    """Make names in it durable. Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
