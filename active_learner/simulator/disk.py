"""A process's disk: what was not synced is lost or torn by a crash; it may be full, or fail to sync. Knows names and records.

Names behave as files in one folder. A record is any object that is not changed afterwards; a torn one is TORN.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from active_learner.durable.files import SyncError

TORN = object()
"""What is left of a record that was cut off in the middle."""


@dataclass(slots=True)
class Lines:
    """A file that grows by records."""

    records: list[Any] = field(default_factory=list)
    synced: int = 0


class SimulatedDisk:
    """`step` is called between the parts of a write: the process may die there."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.is_full = self.sync_fails = False
        self.is_older = False
        """What stands here was put back from a backup, and nobody has said yet that this is meant."""
        self.step: Callable[[], None] = lambda: None
        self.torn = 0
        self.locked_by: Any = None
        """Who holds the lock of the store."""
        self.files: dict[str, Any] = {}
        self.lines: dict[str, Lines] = {}
        self._unsynced: dict[str, Any] = {}
        """Names of which a crash may bring back what stood there before."""

    # --- files that grow

    def append(self, name: str, record: Any) -> None:
        """Returns when it is durable. Raises: OSError, with the file as it was; SyncError: nobody knows."""
        lines = self.lines.setdefault(name, Lines())
        self._refuse_when_full()
        lines.records.append(record)
        self.step()
        if self.sync_fails:
            raise SyncError(errno.EIO, "input/output error")  # the record is in memory, and perhaps on the disk
        self.step()
        lines.synced = len(lines.records)
        self.step()

    def read(self, name: str) -> list[Any]:
        """The good records; what is torn at the end is cut off."""
        lines = self.lines.setdefault(name, Lines())
        if lines.records and lines.records[-1] is TORN:
            lines.records.pop()
        lines.synced = len(lines.records)
        return list(lines.records)

    # --- files that are written whole

    def replace(self, name: str, content: Any) -> None:
        """Temporary file, sync, rename, sync of the folder: the old or the new, whole. Raises: OSError, as it was."""
        self._refuse_when_full()
        temporary = f"{name}.tmp"
        self.files[temporary] = TORN
        self.step()
        if self.sync_fails:
            del self.files[temporary]
            raise SyncError(errno.EIO, "input/output error")
        self.files[temporary] = content
        self.step()
        self._unsynced.setdefault(name, self.files.get(name))
        self.files[name] = self.files.pop(temporary)
        self.step()
        self._unsynced.pop(name, None)

    def _refuse_when_full(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space left on device")

    # --- what a crash leaves

    def crash(self) -> None:
        """Of what was not synced a part is there, and the next record may be torn; a rename may be undone."""
        for lines in self.lines.values():
            kept = self._random.randint(lines.synced, len(lines.records))
            is_torn = kept < len(lines.records) and self._random.random() < 0.5
            del lines.records[kept:]
            if is_torn:
                self.torn += 1
                lines.records.append(TORN)
        for name, before in self._unsynced.items():
            if self._random.random() < 0.5:
                self.files.pop(name)
                if before is not None:
                    self.files[name] = before
        self._unsynced.clear()


class DiskPath:
    """A name on a disk, with the part of pathlib.Path that services use."""

    def __init__(self, disk: SimulatedDisk, name: str = "") -> None:
        self.disk, self.name = disk, name

    def __truediv__(self, name: str) -> DiskPath:
        return DiskPath(self.disk, name)

    def with_suffix(self, suffix: str) -> DiskPath:
        return DiskPath(self.disk, self.name.rpartition(".")[0] + suffix)

    def is_dir(self) -> bool:
        return not self.name

    def iterdir(self) -> Iterator[DiskPath]:
        return (DiskPath(self.disk, name) for name in list(self.disk.files))

    def glob(self, pattern: str) -> Iterator[DiskPath]:
        """`pattern` is START*END."""
        start, _, end = pattern.partition("*")
        return (path for path in self.iterdir() if path.name.startswith(start) and path.name.endswith(end))

    def unlink(self, missing_ok: bool = False) -> None:
        if missing_ok:
            self.disk.files.pop(self.name, None)
        else:
            del self.disk.files[self.name]

    def replace(self, target: DiskPath) -> DiskPath:
        self.disk.files[target.name] = self.disk.files.pop(self.name)
        return target

    def write(self, content: Any) -> None:
        """Atomic and durable. Raises: OSError."""
        self.disk.replace(self.name, content)

    def read(self) -> Any:
        """Raises: KeyError."""
        return self.disk.files[self.name]

    def read_text(self, encoding: str) -> str:
        """Raises: FileNotFoundError."""
        if self.name not in self.disk.files:
            raise FileNotFoundError(self.name)
        return str(self.disk.files[self.name], encoding)
