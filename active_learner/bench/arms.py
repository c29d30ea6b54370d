"""One arm of a comparison: the real service on the digits, watched until it ends. Knows the run folder; no strategy."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
    until_accuracy: float | None = None
    """It ends earlier when a round is that accurate."""

    def command(self) -> list[str]:
        keys = (
            f"name={self.folder.name}",
            f"run_dir={self.folder.absolute()}",
            f"seed={self.seed}",
            f"broker.address=tcp://127.0.0.1:{free_port()}",
            *self.sets,
        )
        sets = [word for key in keys for word in ("--set", key)]
        goal = [] if self.until_accuracy is None else ["--until-accuracy", str(self.until_accuracy)]
        return [*PROGRAM, "up", self.config, *sets, "--labels", str(self.labels), *goal, "--new"]


def run_arm(arm: Arm, on_round: OnRound | None = None, timeout_s: float = 300.0) -> list[RoundMetrics]:
    """Run it to its end; each round is told as it ends. An old run of that folder is kept aside.

    Raises: ActiveLearnerError when it fails or takes longer than `timeout_s`, with its last words.
    """
    _keep_aside(arm.folder)
    arm.folder.parent.mkdir(parents=True, exist_ok=True)
    log = arm.folder.parent / f"{arm.folder.name}.log"
    told = _Told(arm.folder / METRICS_FILE, on_round)
    run_command(arm.command(), log, timeout_s, told.look)
    return read(arm.folder / METRICS_FILE)


def run_command(command: list[str], log: Path, timeout_s: float, look: Callable[[], None] | None = None) -> None:
    """Run a command of ours to its end; what it says goes to `log`, which is removed when all was well. `look` is
    called while it runs and once after.

    Raises: ActiveLearnerError when it fails or takes too long, with its last words.
    """
    deadline = time.monotonic() + timeout_s
    with log.open("wb") as said, _started(command, said) as process:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(WATCH_S)
            if look is not None:
                look()
            if time.monotonic() > deadline:
                raise ActiveLearnerError(f"not done after {timeout_s:g} s: {shlex.join(command)}\n{_last_words(log)}")
    if process.returncode:
        words = _last_words(log)
        raise ActiveLearnerError(f"exit code {process.returncode}: {shlex.join(command)}\n{words}")
    log.unlink()


class _Told:
    """Tells each round of a metrics file once."""

    def __init__(self, path: Path, on_round: OnRound | None) -> None:
        self._path, self._on_round = path, on_round
        self._last = -1

    def look(self) -> None:
        for one in read(self._path) if self._on_round is not None else ():
            if one.round > self._last and self._on_round is not None:
                self._last = one.round
                self._on_round(one)


@contextlib.contextmanager
def _started(command: list[str], said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ended with us, whatever happens: by SIGTERM first, so that it ends its own children."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
        process.wait()


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_WORDS:])


def _keep_aside(folder: Path) -> None:
    """As FOLDER.1, .2, ...; only what is a run folder, and only when nobody runs in it."""
    from active_learner.commands.run_folders import keep_aside
    from active_learner.config import loading

    if not folder.exists():
        return
    if not (folder / loading.RESOLVED).is_file() and any(folder.iterdir()):
        raise ActiveLearnerError(f"{folder}: is no run folder; move it away first")
    keep_aside(folder)
