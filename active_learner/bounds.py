"""What this process may take of the machine, and what is said when that is not enough. Knows limits; not the process's work.

A process that asks for more memory than its bound ends with exit 1 and a sentence; whoever started it starts it again, and what
it had confirmed is on its disk. Without a bound the whole machine would wait for it, or the kernel would choose who ends.
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_bound = ""
"""In words, once there is one."""


def bound_memory(key: str, memory_bytes: int | None) -> None:
    """Let this process take no more memory than `memory_bytes` beyond what it has now (RLIMIT_DATA), and end it where that is
    not enough. `key`: of the configuration that says so; None: no bound. Call it in the process's event loop.

    Not RLIMIT_AS: torch reserves gigabytes of addresses that it never uses. Only Linux can bound data alone; elsewhere nothing
    is done.
    """
    global _bound
    asyncio.get_running_loop().set_exception_handler(_end_if_exhausted)
    if memory_bytes is None:
        return
    with suppress(ImportError, OSError, StopIteration):
        import resource

        lines = Path("/proc/self/status").read_text().splitlines()
        used = 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmData:")))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or used + memory_bytes <= hard:
            resource.setrlimit(resource.RLIMIT_DATA, (used + memory_bytes, hard))
            _bound = f": {key} allows {memory_bytes} bytes beyond the {used} at its start"


def exhausted(error: BaseException) -> str | None:
    """What to tell a person when `error` says that memory or files ran out; None: it says something else."""
    number = getattr(error, "errno", None)
    no_memory = "can't allocate memory" in str(error) or "not enough memory" in str(error)  # torch's own RuntimeError
    if isinstance(error, MemoryError) or number == errno.ENOMEM or (isinstance(error, RuntimeError) and no_memory):
        return f"no memory left for this process{_bound}"
    if number in (errno.EMFILE, errno.ENFILE):
        return f"no more files and connections can be opened ({os.strerror(number)}): see ulimit -n"
    return None


def _end_if_exhausted(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback of the loop failed: a message may be half read, and nobody would hear of it."""
    error = context.get("exception")
    text = None if error is None else exhausted(error)
    if text is not None:
        os.write(2, f"error: {text}; it ends\n".encode())
        os._exit(1)
    loop.default_exception_handler(context)
