"""Starts `active-learner up` for tests, and knows which processes belong to it. Knows no experiment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-P", "-m", "active_learner")


def environment() -> dict[str, str]:
    """Without OMP_NUM_THREADS: a user's shell has none, and the bits must be the same."""
    plain = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return {**plain, "PYTHONPATH": str(ROOT)}


def call(*arguments: str, cwd: Path, timeout_s: float = 200) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Up:
    """`up` under way; its log lines are read until one has the wanted words."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*COMMAND, "up", *arguments],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, words: str) -> str:
        """The first further line with these words; the test's own time limit ends a wait for ever."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"up ended before it said {words!r}:\n{''.join(self.lines)}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def ended(self) -> tuple[int, str, float]:
        """Exit code, the rest of stdout, and seconds until all was closed."""
        started = time.monotonic()
        out, err = self._process.communicate(timeout=60)
        self.lines.append(err)
        return self._process.returncode, out, time.monotonic() - started


def descendants(pid: int) -> list[int]:
    """Children, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def wait_until_gone(pids: list[int], seconds: float) -> None:
    """Raises AssertionError when one lives on."""
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if not _gone(pid)]:
        assert time.monotonic() < deadline, f"still alive: {alive}"
        signal.sigtimedwait([], 0.02)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
