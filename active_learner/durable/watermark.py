"""How far a store had come, in a small file beside it, so that an older copy of the store shows. Knows a number and a digest.

STORE.mark is written after each commit, without fsync: after a power cut it may lag behind its store, it never leads. So
a store that does not have what its mark names was replaced by an older one, or has lost its end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from active_learner.errors import WrongStore

RECORD_BYTES = 128
"""All in one sector, so that a power cut leaves the old or the new."""


class Mark(NamedTuple):
    number: int
    """Changes that the store had; 0: none."""
    digest: str
    """Of the last one."""


class Watermark:
    """The mark of one store. Reading changes nothing."""

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(f"{store.name}.mark")
        self._store = store
        self._descriptor: int | None = None

    def write(self, mark: Mark) -> None:
        """What cannot be written (a full disk) only lets the mark lag."""
        with contextlib.suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.pwrite(self._descriptor, _record(mark), 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def forget(self) -> None:
        """The store is about to be made anew: until the next `write` nothing is compared with it. Raises: OSError."""
        self.close()
        self.path.unlink(missing_ok=True)

    def read(self) -> Mark | None:
        """None: there is none. Raises: ValueError when it cannot be read."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self.path}: {error.strerror}") from error
        fields = content.decode("ascii", "replace").split()
        if len(fields) != 4 or not fields[1].isdigit() or _record(Mark(int(fields[1]), fields[2])) != content:
            raise ValueError(f"{self.path} is damaged")
        return Mark(int(fields[1]), fields[2])

    def remembered(self) -> tuple[Mark | None, str]:
        """As `read`, and what is wrong with it in words. To be called before the store is read, which a writer may
        bring on meanwhile."""
        try:
            return self.read(), ""
        except ValueError as error:
            return None, str(error)

    def lost(self, mark: Mark, last: int, digest_of: Callable[[int], str | None]) -> str:
        """What the store that has `last` changes lacks, in words; "": nothing. `digest_of`: of one of its changes."""
        if last < mark.number:
            return (
                f"{self._store} was rolled back: it ends at change {last}, and change {mark.number} had been committed"
            )
        if mark.number and digest_of(mark.number) != mark.digest:
            return f"{self._store} was rolled back and gone on with: its change {mark.number} is another than was committed"
        return ""


def refusal(lost: str) -> WrongStore:
    """For the person."""
    return WrongStore(f"{lost}; restore the newest copy of it, or go on without what is lost: --accept-rollback")


def _record(mark: Mark) -> bytes:
    body = f"mark {mark.number:020d} {mark.digest}"
    check = blake2b(body.encode("ascii", "replace"), digest_size=16).hexdigest()
    return f"{body} {check}".ljust(RECORD_BYTES - 1).encode("ascii", "replace") + b"\n"
