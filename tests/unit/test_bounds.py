"""What a process says and does at the end of its memory and of its files."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from active_learner import bounds

PROGRAM = """
import asyncio
from active_learner.bounds import bound_memory
from active_learner import cli

async def work():
    bound_memory("trainer.memory_bytes", {limit})
    {how}
    await asyncio.sleep(60)

class Group:
    def main(self, *_, **__):
        asyncio.run(work())

cli.group = Group()
raise SystemExit(cli.run([]))
"""
MIB = 1024 * 1024
HOG = f"bytearray({400 * MIB})"


def ended(how: str, limit: int | None = 100 * MIB) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(how=how, limit=limit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds all data on Linux only")
@pytest.mark.parametrize("how", [HOG, f"asyncio.get_running_loop().call_soon(lambda: {HOG})"], ids=["task", "callback"])
def test_a_process_over_its_bound_ends_with_1_and_names_the_key(how: str) -> None:
    done = ended(how)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no memory left for this process: trainer.memory_bytes allows 104857600 bytes")
    assert "Traceback" not in done.stderr


def test_without_a_bound_nothing_is_set() -> None:
    done = ended(f"{HOG}; raise SystemExit(7)", None)
    assert done.returncode == 7, done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "no memory left"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory left"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "no memory left"),
        (OSError(errno.EMFILE, "Too many open files"), "no more files and connections can be opened"),
        (OSError(errno.ENFILE, "Too many open files in system"), "see ulimit -n"),
    ],
)
def test_what_ran_out_is_said(error: Exception, words: str) -> None:
    text = bounds.exhausted(error)
    assert text is not None
    assert words in text


@pytest.mark.parametrize("error", [ValueError("no memory"), OSError(errno.ENOSPC, "No space left"), RuntimeError("x")])
def test_anything_else_is_not_taken_for_it(error: Exception) -> None:
    assert bounds.exhausted(error) is None
