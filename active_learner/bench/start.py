"""How long a fresh process takes, and how much memory: --help, and the broker to its ready line."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from active_learner.bench.outcome import Goal, Outcome, middle
from active_learner.bench.processes import PROGRAM, free_port

REPEATS = 5
GOAL_S, GOAL_MB = 0.5, 60.0
READY_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Started:
    seconds: float
    megabytes: float
    """Largest resident set, in 10**6 bytes."""


def bench(repeats: int = REPEATS) -> Outcome:
    """Median of `repeats` fresh processes each."""
    outcome = Outcome("start", ("fresh process", "seconds", "MB", "worst s"))
    for name, measure in (("active-learner --help", help_once), ("broker to its ready line", broker_once)):
        runs = [measure() for _ in range(repeats)]
        seconds, megabytes = middle([run.seconds for run in runs]), middle([run.megabytes for run in runs])
        worst = max(run.seconds for run in runs)
        outcome.rows.append((name, f"{seconds:.3f}", f"{megabytes:.1f}", f"{worst:.3f}"))
        outcome.figures[name] = {"seconds": [run.seconds for run in runs], "megabytes": [run.megabytes for run in runs]}
        met = seconds < GOAL_S and megabytes < GOAL_MB
        words = f"{name} under {GOAL_S} s and {GOAL_MB:.0f} MB"
        outcome.goals.append(Goal(words, f"{seconds:.3f} s, {megabytes:.1f} MB", met))
    return outcome


def help_once() -> Started:
    """From the start of the process to its end."""
    begun = time.perf_counter()
    process = subprocess.Popen([*PROGRAM, "--help"], stdout=subprocess.DEVNULL)
    ended = _ended(process, begun)
    if process.returncode:
        raise RuntimeError(f"active-learner --help ended with exit code {process.returncode}")
    return ended


def broker_once() -> Started:
    """From the start of the process to its ready line; then it is stopped."""
    address = f"tcp://127.0.0.1:{free_port()}"
    begun = time.perf_counter()
    command = [*PROGRAM, "broker", "digits", "--set", f"broker.address={address}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        _wait_ready(process)
        seconds = time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        ended = _ended(process, begun)
    return Started(seconds, ended.megabytes)


def _wait_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(READY_TIMEOUT_S) or not process.stdout.readline().startswith(b"ready:"):
            raise RuntimeError(f"the broker said no ready line in {READY_TIMEOUT_S} s")


def _ended(process: subprocess.Popen[bytes], begun: float) -> Started:
    """Waits by wait4: it tells this child's memory, getrusage only that of the largest child so far."""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stdout is not None:
        process.stdout.close()
    unit = 1 if sys.platform == "darwin" else 1024
    return Started(seconds, usage.ru_maxrss * unit / 1e6)
