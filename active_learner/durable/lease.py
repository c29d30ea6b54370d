"""Who holds a store, told in its lock file: a holder, and when it last said that it is at work. Knows no store and no lock.

Two records in one file, each written as a whole: who holds it (once, when it is taken) and a renewal by that holder (again
and again). A renewal names its holder, so one that comes late, of a process that was stopped meanwhile, counts for nothing.
Times are of the machine's monotonic clock since its boot, which is named: no clock that a person sets matters.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HOLDER_BYTES, RENEWAL_BYTES = 384, 64
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that took the lock."""

    pid: int
    token: str
    boot: str
    started: str
    """Of the process, in the kernel's ticks: a number that is used again is told from it."""

    @property
    def is_alive(self) -> bool:
        """On this machine, since this boot."""
        return self.boot == boot() and self.started == _started(self.pid) != ""

    def told(self) -> str:
        """Process and command."""
        command = _command(self.pid) if self.is_alive else ""
        return f"process {self.pid} ({command})" if command else f"process {self.pid}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a lock file says."""

    holder: Holder
    renewed: float | None
    """None: it never said so; then only the lock itself counts."""

    def age(self) -> float:
        """Seconds since the last renewal."""
        return float("inf") if self.renewed is None else time.monotonic() - self.renewed


def this_process() -> Holder:
    return Holder(os.getpid(), secrets.token_hex(8), boot(), _started(os.getpid()))


def write_holder(descriptor: int, holder: Holder) -> bool:
    """False: the disk is full."""
    text = json.dumps(asdict(holder)).ljust(HOLDER_BYTES - 1) + "\n"
    try:
        return os.pwrite(descriptor, text.encode("ascii"), 0) == HOLDER_BYTES
    except OSError:
        return False


def write_renewal(descriptor: int, holder: Holder) -> None:
    text = f"{holder.token} {time.monotonic():.6f}".ljust(RENEWAL_BYTES - 1) + "\n"
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, text.encode("ascii"), HOLDER_BYTES)


def read(path: Path) -> Seen | None:
    """None: nobody, or it cannot be read."""
    try:
        content = path.read_bytes().decode("ascii")
        holder = Holder(**json.loads(content[:HOLDER_BYTES]))
    except (OSError, ValueError, TypeError):
        return None
    token, _, at = content[HOLDER_BYTES:].strip().partition(" ")
    try:
        return Seen(holder, float(at) if token == holder.token else None)
    except ValueError:
        return Seen(holder, None)


def boot() -> str:
    """Names this boot of this machine."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """ "" when there is no such process any more."""
    try:
        fields = (
            Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _command(pid: int) -> str:
    try:
        raw = Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()
