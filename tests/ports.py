"""Ports for what a test starts. Nobody else takes one between the look and the start, or while its process is dead.

They lie below those that the kernel gives to connections (from 32768), where any peer that connects could meet them, and each
process of pytest-xdist has its own.
"""

from __future__ import annotations

import os
import random
import re
import socket
from itertools import count

FIRST, LAST = 10_240, 32_000
WORKERS = 16
_WORKER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % WORKERS
_PLACES = (LAST - FIRST) // WORKERS
_next = count(random.SystemRandom().randrange(_PLACES))
"""Another run of tests on this machine begins elsewhere."""


def free_port() -> int:
    """The next of this process's own ports that nobody on this machine has."""
    for place in _next:
        port = FIRST + WORKERS * (place % _PLACES) + _WORKER
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError


def free_address() -> str:
    """For a broker on this machine."""
    return f"tcp://127.0.0.1:{free_port()}"
