"""One arm of a comparison: the real service on the digits, watched until it ends. Knows the run folder; no strategy."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from active_learner.bench.processes import PROGRAM, free_port
from active_learner.errors import ActiveLearnerError
from active_learner.results.metrics import METRICS_FILE, RoundMetrics, read

WATCH_S = 0.1
"""Between two looks at metrics.jsonl: a round takes longer."""
STOP_S = 4.0
"""`up` promises to end within 3 s."""
LAST_WORDS = 15

OnRound = Callable[[RoundMetrics], None]


@dataclass(frozen=True, slots=True)
class Arm:
    """What is run: `up CONFIG --new` with these keys, in a folder and on a broker of its own."""

    folder: Path
    seed: int
    labels: int
    """It ends with so many."""
    sets: tuple[str, ...] = ()
    config: str = "digits"

    def command(self) -> list[str]:
        keys = (
            f"name={self.folder.name}",
            f"run_dir={self.folder.absolute()}",
            f"seed={self.seed}",
            f"broker.address=tcp://127.0.0.1:{free_port()}",
            *self.sets,
        )
        sets = [word for key in keys for word in ("--set", key)]
        return [*PROGRAM, "up", self.config, *sets, "--labels", str(self.labels), "--new"]


def run_arm(arm: Arm, on_round: OnRound | None = None, timeout_s: float = 300.0) -> list[RoundMetrics]:
    """Run it to its end; each round is told as it ends. An old run of that folder is removed.

    Raises: ActiveLearnerError when it fails or takes longer than `timeout_s`, with its last words.
    """
    _remove(arm.folder)
    arm.folder.parent.mkdir(parents=True, exist_ok=True)
    log = arm.folder.parent / f"{arm.folder.name}.log"
    with log.open("wb") as said, _started(arm.command(), said) as process:
        _watch(arm, process, on_round, time.monotonic() + timeout_s, log)
    if process.returncode:
        raise ActiveLearnerError(f"{arm.folder.name} ended with exit code {process.returncode}:\n{_last_words(log)}")
    log.unlink()
    return read(arm.folder / METRICS_FILE)


@contextlib.contextmanager
def _started(command: list[str], said: object) -> Iterator[subprocess.Popen[bytes]]:
    """Ended with us, whatever happens: by SIGTERM first, so that it ends its own children."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
        process.wait()


def _watch(arm: Arm, process: subprocess.Popen[bytes], on_round: OnRound | None, deadline: float, log: Path) -> None:
    told = -1
    ended = False
    while not ended:
        ended = process.poll() is not None
        for one in read(arm.folder / METRICS_FILE):
            if one.round > told:
                told = one.round
                if on_round is not None:
                    on_round(one)
        if time.monotonic() > deadline:
            raise ActiveLearnerError(f"{arm.folder.name} did not end in time:\n{_last_words(log)}")
        if not ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(WATCH_S)


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_WORDS:])


def _remove(folder: Path) -> None:
    """Only what is a run folder, and only when nobody runs in it."""
    import shutil

    from active_learner.config import loading, running

    if not folder.exists():
        return
    if running.running(folder) is not None:
        raise ActiveLearnerError(f"{folder}: a run is going on there")
    if not (folder / loading.RESOLVED).is_file() and any(os.scandir(folder)):
        raise ActiveLearnerError(f"{folder}: is no run folder; move it away first")
    shutil.rmtree(folder)
