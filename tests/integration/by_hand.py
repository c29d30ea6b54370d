"""The user's own way, for tests: each process started by itself, watched by its lines and by status reports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Condition, Thread

from active_learner.config import loading
from active_learner.peer import Peer
from protocol.messages import StatusReport, StatusRequest
from tests.integration.up_process import COMMAND, ROOT, environment
from tests.ports import free_address

PATIENCE_S = 100.0
"""For whatever a test waits: machines that run tests are slow and busy."""

GATES = "GATES"
"""Environment variable with the folder of the gates (tests/integration/gated.py)."""


class Shell:
    """A command in a process group of its own; a thread collects what it writes."""

    def __init__(self, command: Sequence[str], cwd: Path, env: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._told, self._from = Condition(), 0
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self.lines.append(line)
                self._told.notify_all()
        self.process.stdout.close()
        with self._told:
            self._told.notify_all()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> str:
        """The first line with these words behind the one that was waited for last."""
        deadline = time.monotonic() + PATIENCE_S
        with self._told:
            while (found := self._next(words)) is None:
                left = deadline - time.monotonic()
                assert left > 0, f"not within {PATIENCE_S:.0f} s: {words!r} in:\n{self.text}"
                assert self._reader.is_alive(), f"it ended and never said {words!r}:\n{self.text}"
                self._told.wait(min(left, 0.5))
        return found

    def _next(self, words: str) -> str | None:
        for number in range(self._from, len(self.lines)):
            if words in self.lines[number]:
                self._from = number + 1
                return self.lines[number]
        return None

    def signal(self, number: signal.Signals) -> None:
        """To all of its group, as a terminal does with Ctrl-C."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As nobody can prepare for."""
        self.signal(signal.SIGKILL)
        self.ended()

    def interrupt(self) -> tuple[int, float]:
        """Ctrl-C: exit code, and seconds until it and all its children had closed their output."""
        began = time.monotonic()
        self.signal(signal.SIGINT)
        return self.ended(), time.monotonic() - began

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit code, when it has ended and all is read."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        assert not self._reader.is_alive(), f"something still holds the output of {self.process.args}"
        return code

    def clear_away(self) -> None:
        """Whatever its state, also of what it started."""
        if self.process.poll() is None or self._reader.is_alive():
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()


class Hand:
    """A person with a few shells open in one folder: one experiment, one broker's address."""

    def __init__(self, folder: Path, config: str = "digits", *sets: str, address: str = "") -> None:
        self.folder, self.config, self.address = folder, config, address or free_address()
        self.sets = [word for one in sets for word in ("--set", one)]
        self.shells: list[Shell] = []
        self.env = {**environment(), "ACTIVE_LEARNER__BROKER__ADDRESS": self.address, GATES: str(folder)}

    def start(self, command: str, *options: str, ready: bool = False) -> Shell:
        """`serve`, `evaluator`, `source` or `label`, of the experiment."""
        return self._open([*COMMAND, command, self.config, *self.sets, *options], self.folder, ready)

    def broker(self) -> Shell:
        return self._open([*COMMAND, "broker", "--address", self.address], self.folder, True)

    def make_broker(self) -> Shell:
        """`make run-broker`, with the environment in which this test runs, as it is."""
        venv = f"VENV={sys.prefix}"
        command = ["make", f"--old-file={sys.prefix}/.installed", venv, "run-broker", f"ARGS=--address {self.address}"]
        env = {name: value for name, value in self.env.items() if not name.startswith(("MAKE", "MFLAGS"))}
        return self._open(command, ROOT, True, env)

    def _open(self, command: Sequence[str], folder: Path, ready: bool, env: dict[str, str] | None = None) -> Shell:
        shell = Shell(command, folder, env or self.env)
        self.shells.append(shell)
        if ready:
            shell.wait_for("ready: ")
        return shell

    def clear_away(self) -> None:
        """What they had said is shown when the test has failed."""
        for shell in self.shells:
            shell.clear_away()
            print(f"--- {shell.process.args}: {shell.process.returncode}\n{shell.text}")

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / self.name

    @property
    def name(self) -> str:
        return loading.load(self.config, self.sets[1::2]).name

    def until(self, wanted: Callable[[StatusReport], bool]) -> StatusReport:
        """The first report for which it is true; asks now, and follows what the trainer tells."""
        return asyncio.run(self.report(wanted))

    async def report(self, wanted: Callable[[StatusReport], bool]) -> StatusReport:
        """As `until`, in a loop that runs."""
        last: StatusReport | None = None
        try:
            async with (
                asyncio.timeout(PATIENCE_S),
                Peer(experiment=self.name, role="watch", address=self.address, connect_timeout_s=PATIENCE_S) as peer,
            ):
                peer.on_presence = lambda room, member, here, why: ask() if here and member.role == "trainer" else None

                def ask() -> None:
                    peer.send("@trainer", StatusRequest("now"))

                await peer.join("control")
                async for received in peer:
                    if isinstance(received.message, StatusReport):
                        last = received.message
                        if wanted(last):
                            return last
        except TimeoutError:
            pass
        raise AssertionError(f"never so; the last report: {last}")


class Gate:
    """A place in one of the parts of gated.py where its process waits for the test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self._path = name, folder / name
        os.mkfifo(self._path)

    def reached(self) -> None:
        """Returns when a process stands before it."""
        reading = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        assert poll.poll(PATIENCE_S * 1000), f"nobody came to {self.name}"
        os.close(reading)

    def remove(self) -> None:
        """Who comes later passes; who was killed before it holds nobody up."""
        self._path.unlink()

    def open(self) -> None:
        """Let go on who waits, and later ones too. After `reached`: two who write wait for one another."""
        writing = os.open(self._path, os.O_WRONLY)
        self.remove()
        os.close(writing)


def children(pid: int) -> list[int]:
    """All processes of that group, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def result(shell: Shell) -> dict[str, str]:
    """The trainer's one-line result, as name and value."""
    return dict(re.findall(r"(\w+)=(\S+)", shell.wait_for("result: ")))
