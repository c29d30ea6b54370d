"""A process ends with its launcher, whatever it is doing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from active_learner.parent import PARENT_FD

ROOT = Path(__file__).parents[2]
START = "from active_learner import parent; import signal, time; parent.GRACE_S = 0.1;"


def ended(code: str) -> int:
    """Exit code of a process whose launcher ends as soon as it has said a line."""
    read, write = os.pipe()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), PARENT_FD: str(read)}
    command = [sys.executable, "-c", START + code]
    with subprocess.Popen(command, env=environment, pass_fds=(read,), stdout=subprocess.PIPE) as process:
        os.close(read)
        assert process.stdout is not None
        process.stdout.readline()
        assert process.poll() is None
        os.close(write)
        return process.wait(20)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("parent.watch(); print(flush=True); time.sleep(60)", -15),
        ("signal.signal(15, signal.SIG_IGN); parent.watch(); print(flush=True); time.sleep(60)", 1),
        ("parent.watch(); print(flush=True)\nwhile True: pass", -15),
    ],
    ids=["at rest", "deaf to SIGTERM", "busy"],
)
def test_a_process_ends_when_its_launcher_is_gone(code: str, expected: int) -> None:
    assert ended(code) == expected


def test_the_command_line_watches_before_it_imports_a_command() -> None:
    code = (
        "from active_learner import cli; import sys\n"
        "def slow(*_):\n    print(flush=True); time.sleep(60)\n"
        "cli.LazyGroup.get_command = slow; cli.main(['up', 'digits'])"
    )
    assert ended(code) == -15


def test_what_a_process_starts_itself_does_not_hear_of_the_launcher() -> None:
    read, write = os.pipe()
    code = START + f"import os; parent.watch(); raise SystemExit({PARENT_FD!r} in os.environ)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), PARENT_FD: str(read)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, pass_fds=(read,), check=False)
    os.close(read)
    os.close(write)
    assert done.returncode == 0
