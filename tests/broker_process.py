"""Real brokers and peers as processes, for integration tests. `python -m tests.broker_process ...` is the peer."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from active_learner.peer import Peer, Received
from protocol.messages import Control

ROOT = Path(__file__).parent.parent


class Process:
    """Killed at the end, if it is still there."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        )

    def ready(self) -> str:
        """What stands behind "ready: " on its first line; blocks until then."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line.startswith("ready: "), f"{line!r}; {self.end(signal.SIGKILL)}"
        return line.removeprefix("ready: ").strip()

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 30.0) -> tuple[int, str]:
        """Exit code and stderr."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        _, errors = self.popen.communicate(timeout=timeout_s)
        return self.popen.returncode, errors


@contextmanager
def process(*arguments: str) -> Iterator[Process]:
    started = Process(*arguments)
    try:
        yield started
    finally:
        started.end(signal.SIGKILL)


@contextmanager
def broker(address: str = "tcp://127.0.0.1:0", *options: str) -> Iterator[tuple[Process, str]]:
    """A ready broker and its address."""
    with process("-m", "active_learner", "broker", *options, "--address", address) as started:
        found = re.fullmatch(r"broker (tcp://127\.0\.0\.1:\d+)", started.ready())
        assert found is not None
        yield started, found[1]


@contextmanager
def peer(address: str, name: str, role: str = "other", exclusive: bool = False) -> Iterator[Process]:
    """A peer that is in the room control of digits: answers "echo", sleeps without mercy at "sleep"."""
    with process("-m", "tests.broker_process", address, name, role, "exclusive" if exclusive else "shared") as started:
        started.ready()
        yield started


async def _peer(address: str, name: str, role: str, exclusive: bool) -> None:
    async with Peer(experiment="digits", role=role, name=name, exclusive=exclusive, address=address) as peer:

        def heard(received: Received) -> None:
            message = received.message
            if isinstance(message, Control) and message.command.startswith("sleep "):
                time.sleep(float(message.command.split()[1]))
            elif isinstance(message, Control):
                peer.reply(received, message)

        peer.on_message = heard
        await peer.join("control")
        sys.stdout.write(f"ready: {name}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_peer(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "exclusive"))
