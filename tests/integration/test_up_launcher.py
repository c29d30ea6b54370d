"""The launcher with small real processes: order, restarts, ends, and no orphan, even after SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from active_learner.crash_points import VARIABLE as CRASH_AT
from active_learner.services.child import Program
from active_learner.services.launcher import Launcher
from active_learner.services.restarts import End, Policy

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SERVICE = f"""
import asyncio, os, sys
sys.path.append({str(ROOT)!r})
from active_learner import parent
parent.watch()
from active_learner.services.shell import Service, run
class Idle(Service):
    async def start(self): return str(os.getpid())
    async def stop(self): print("said goodbye", flush=True)
async def main(): return await run(Idle())
sys.exit(asyncio.run(main()))
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready: deaf', flush=True); time.sleep(60)"


def program(name: str, code: str, policy: Policy | None = None) -> Program:
    return Program(name, (sys.executable, "-c", code), policy or Policy())


class Heard:
    """Lines of all processes; a callback may react to one."""

    def __init__(self, react: Callable[[Launcher, str, str], None] | None = None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.launcher: Launcher | None = None
        self._react = react

    def line(self, name: str, text: str) -> None:
        self.lines.append((name, text))
        if self._react is not None and self.launcher is not None:
            self._react(self.launcher, name, text)


def launch(*programs: Program, react: Callable[[Launcher, str, str], None] | None = None) -> tuple[End, Heard, float]:
    """How it ended, what was heard, and how long the end took."""
    heard = Heard(react)
    took = 0.0

    async def main() -> End:
        nonlocal took
        heard.launcher = Launcher(programs, heard.line, heard.notes.append)
        end = asyncio.ensure_future(heard.launcher.run())
        await asyncio.wait({heard.launcher._end}, timeout=30)
        started = time.monotonic()
        result = await end
        took = time.monotonic() - started
        return result

    return asyncio.run(main()), heard, took


def stop_when(count: int, word: str) -> Callable[[Launcher, str, str], None]:
    """Stop at the `count`-th line that begins with the word."""
    left = [count]

    def react(launcher: Launcher, _: str, text: str) -> None:
        if text.startswith(word):
            left[0] -= 1
            if left[0] == 0:
                launcher.stop()

    return react


def gone(pid: int) -> bool:
    """Ended, whether or not somebody has looked."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_each_is_ready_before_the_next_starts_and_all_end_gracefully_the_first_last() -> None:
    end, heard, took = launch(*(program(name, SERVICE) for name in "abc"), react=stop_when(3, "ready: "))
    assert end == End(0, "stopped")
    assert [name for name, text in heard.lines if text.startswith("ready")] == ["a", "b", "c"]
    goodbyes = [name for name, text in heard.lines if text == "said goodbye"]
    assert sorted(goodbyes) == ["a", "b", "c"]
    assert goodbyes[-1] == "a"
    assert took < 15.0  # three promised; the rest is for a busy machine


def test_what_ignores_sigterm_is_killed_within_three_seconds() -> None:
    end, heard, took = launch(program("a", SERVICE), program("deaf", DEAF), react=stop_when(2, "ready: "))
    assert end.code == 0
    assert took < 15.0  # the same
    assert ("a", "said goodbye") in heard.lines


def test_a_second_stop_kills_at_once() -> None:
    def react(launcher: Launcher, _: str, text: str) -> None:
        if text == "ready: deaf":
            launcher.stop()
            launcher.stop()

    _, _, took = launch(program("deaf", DEAF), react=react)
    assert took < 12.0  # at once, on a busy machine


def test_the_result_of_the_one_whose_end_is_the_end_is_kept_and_not_shown() -> None:
    code = "print('ready: x'); print('result: 3 rounds')"
    _, heard, _ = launch(program("trainer", code, Policy(ends_all=True)))
    assert heard.launcher is not None
    assert heard.launcher.result == "result: 3 rounds"
    assert heard.lines == [("trainer", "ready: x")]


def test_one_that_cannot_start_ends_all_with_its_code_and_its_message_last() -> None:
    bad = "import sys; print('a.yaml:1: seed: must be', file=sys.stderr); sys.exit(3)"
    end, heard, _ = launch(program("a", SERVICE), program("b", bad), program("c", SERVICE))
    assert end == End(3, "b did not start (exit code 3):\na.yaml:1: seed: must be")
    assert ("a", "said goodbye") in heard.lines
    assert "c" not in {name for name, _ in heard.lines}
    assert heard.notes == []


def test_all_are_not_called_ready_when_the_last_one_could_not_start() -> None:
    _, heard, _ = launch(program("a", SERVICE), program("b", "raise SystemExit(3)"))
    assert heard.notes == []


def test_a_killed_process_is_started_again() -> None:
    left = [2]

    def react(launcher: Launcher, name: str, text: str) -> None:
        if name == "b" and text.startswith("ready: "):
            left[0] -= 1
            if left[0]:
                os.kill(int(text.removeprefix("ready: ")), signal.SIGKILL)
            else:
                launcher.stop()

    end, heard, _ = launch(program("a", SERVICE), program("b", SERVICE), react=react)
    assert end == End(0, "stopped")
    assert "b ended with signal 9; starting it again in 0.1 s" in heard.notes


def test_one_that_finishes_is_left_alone_and_the_others_go_on() -> None:
    done = "print('ready: x'); print('last line without end', end='')"

    def react(launcher: Launcher, name: str, text: str) -> None:
        if name == "c":
            launcher.stop()

    end, heard, _ = launch(
        program("a", SERVICE), program("b", done, Policy(may_finish=True)), program("c", SERVICE), react=react
    )
    assert end == End(0, "stopped")
    assert ("b", "last line without end") in heard.lines


def test_a_line_without_end_is_shown_in_pieces() -> None:
    code = "import sys; print('ready: x', flush=True); sys.stdout.write('y' * 300_000)"
    _, heard, _ = launch(program("trainer", code, Policy(ends_all=True)))
    pieces = [text for _, text in heard.lines if text.startswith("y")]
    assert sum(map(len, pieces)) == 300_000
    assert max(map(len, pieces)) <= 2 * 64 * 1024


def test_no_orphan_is_left_when_the_launcher_is_killed() -> None:
    script = f"""
import asyncio, sys
sys.path.append({str(ROOT)!r})
from active_learner.crash_points import VARIABLE as CRASH_AT
from active_learner.services.child import Program
from active_learner.services.launcher import Launcher
async def main():
    programs = [Program(name, (sys.executable, "-c", {SERVICE!r})) for name in "ab"]
    await Launcher(programs, lambda name, text: print(text, flush=True), lambda note: None).run()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        children = [int(launcher.stdout.readline().removeprefix("ready: ")) for _ in "ab"]
        launcher.kill()
        launcher.stdout.read()  # ends when the last child has let go of nothing but its own pipes
    deadline = time.monotonic() + 15  # three promised; the rest is for a busy machine
    while not all(gone(pid) for pid in children):
        assert time.monotonic() < deadline, "a child outlived the launcher"
        os.sched_yield()


def test_an_option_of_the_first_start_is_not_given_to_the_second() -> None:
    """A trainer that went on with a store that was rolled back, and died: who starts it again has agreed to nothing."""
    code = "import sys; print('ready:', *sys.argv[1:], flush=True); sys.exit(7 if sys.argv[1:] else 0)"
    trainer = replace(program("trainer", code, Policy(ends_all=True)), once=("--accept-rollback",))
    end, heard, _ = launch(trainer)
    assert end == End(0, "")
    assert [line.strip() for _, line in heard.lines] == ["ready: --accept-rollback", "ready:"]


def test_a_crash_point_of_the_environment_is_for_the_first_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a process that is to die at its third answer dies at each third one, until it is given up."""
    monkeypatch.setenv(CRASH_AT, "any.ready")
    end, heard, _ = launch(program("a", SERVICE), react=stop_when(1, "ready: "))
    assert end == End(0, "stopped")
    assert [note for note in heard.notes if "signal 9" in note] == ["a ended with signal 9; starting it again in 0.1 s"]
