"""Ends this process when the launcher that started it is gone. Knows a pipe and a process; no service.

It is told by a thread that is started before anything heavy is imported: a process that is still importing, or whose
event loop is blocked, must not outlive its launcher either.
"""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT_FD = "ACTIVE_LEARNER_PARENT_FD"
"""Environment variable with the read end of a pipe whose write end only the launcher holds: at its end the launcher is gone."""

GRACE_S = 2.8
"""`up` promises to end all within 3 s; a stop that is blocked for longer must not leave an orphan."""


def watch() -> None:
    """SIGTERM to ourselves when the launcher ends, even by SIGKILL, and the end of us GRACE_S later. Nothing when no launcher
    started us."""
    text = os.environ.pop(PARENT_FD, None)  # it is not for the processes that we start
    if text is not None:
        threading.Thread(target=_wait, args=(int(text),), name="parent", daemon=True).start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, 64):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
