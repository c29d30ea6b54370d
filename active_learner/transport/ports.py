"""Who holds a TCP port, as far as Linux tells. Knows /proc only."""

from __future__ import annotations

import os
from pathlib import Path

LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def holder_of(port: int) -> str | None:
    """ "process 4711 (active-learner broker)"; None when it cannot be known (no /proc, another user's process)."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    for directory in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            links = [os.readlink(entry) for entry in (directory / "fd").iterdir()]
            if inodes.isdisjoint(links):
                continue
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # gone meanwhile, or not ours to look at
            continue
        return f"process {directory.name} ({command[:200]})"
    return None


def _listening(port: int) -> list[str]:
    """Inodes of the sockets that listen on `port`."""
    inodes = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, rows):
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.append(fields[9])
    return inodes
