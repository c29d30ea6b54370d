"""Stores to attack: something in every table, numbered answers, files as bytes. Knows no attack."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from active_learner.core.records import AskedQuestion, LabelEvent, Plan, RoundResult, SampleSpec, content_key
from active_learner.stores import FORMS, open_store
from active_learner.stores.base import Store

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=4)
FILE = "labels"
SECTOR = 512
"""A disk writes each of these as a whole, or not; in any order until it is told to sync."""

Files = dict[str, bytes]


@contextmanager
def workplace() -> Iterator[Path]:
    """In memory where there is such a disk: what is attacked is what would be on the disk, byte by byte."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def opened(variant: str, folder: Path, **how: bool) -> Store:
    """Raises: as Store.open."""
    store = open_store(f"{FORMS[variant]}{FILE}", folder)
    store.open("digits", SPEC, **how)
    return store


def sample(number: int) -> np.ndarray:
    return np.array([number % 256, number // 256], np.uint8)


def ask(store: Store, number: int) -> None:
    features = sample(number)
    key = content_key(features)
    store.commit_questions([AskedQuestion(f"q{number}", key, features, 1, "margin", 0.5, 1, 0, False, 9, 1.0)])


def answer(store: Store, number: int) -> str:
    key = content_key(sample(number))
    return store.commit_event(LabelEvent(f"e{number}", f"q{number}", key, "ann", 0, "answer", number % 4, 5.0)).value


def answers(store: Store) -> list[str]:
    return [event.id for event in store.events()]


def fill(store: Store, answered: int, draw: random.Random) -> None:
    """Something in every table, and so many answers."""
    store.next_term()
    for number in range(answered):
        ask(store, number)
        answer(store, number)
        if draw.random() < 0.5:
            store.close_questions([f"q{number}"], "answered")
    store.add_labels(np.stack([sample(60_000), sample(60_001)]), [1, 2], "file", 2.0)
    store.quarantine(LabelEvent("stray", "q?", "", "bob", 0, "answer", 3, 5.0))
    plan = Plan(1, 1, tuple(label.key for label in store.labels()), (1,) * len(store.labels()), 7, 10, 20, "x", 0)
    store.commit_plan(plan)
    store.finish_plan(RoundResult(1, 10, "ab" * 32, 3, 0.5, 1.25, None, 1.5, 0.75, {"strategy": "margin"}))
    store.save_pool(draw.randbytes(400))


def everything(store: Store) -> list[object]:
    """All that can be read."""
    questions = [(repr(one), one.features.tobytes(), why) for one, why in store.questions()]
    labels = [(repr(label), label.features.tobytes()) for label in store.labels()]
    return [store.run, questions, labels, store.events(), store.plans(), store.load_pool(), store.quarantined()]


def files(folder: Path) -> Files:
    """All but the lock, and SQLite's index of its log, which it makes anew after a crash."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith((".lock", "-shm"))}


def put(folder: Path, contents: Files) -> None:
    """These and no others."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def cut(before: bytes, after: bytes, draw: random.Random, *, stale: bool = True) -> bytes:
    """What a power cut leaves of a file that was synced as `before` and was being written to `after`: of each sector
    that differs the old or the new one, the end somewhere, perhaps junk behind it; `stale`: older bytes of the file too."""
    if draw.random() < 0.3:  # in order, as far as it came
        mixed = bytearray(after[: draw.randint(min(len(before), len(after)), len(after))])
    else:
        mixed = bytearray(after if len(after) > len(before) else before)
        for place in range(0, len(mixed), SECTOR):
            old = before[place : place + SECTOR]
            if draw.random() < 0.5:
                mixed[place : place + len(old)] = old
                lost = min(SECTOR, len(mixed) - place) - len(old)
                mixed[place + len(old) : place + len(old) + lost] = bytes(lost)  # the length was written, the bytes not
    junk = [b"", bytes(draw.randint(1, 4096)), draw.randbytes(draw.randint(1, 4096))]
    return bytes(mixed) + draw.choice([*junk, *([before[-draw.randint(1, 4096) :]] if stale else [])])


# --- an fsync that really fails

SYSCALLS = {"x86_64": (74, 75, 317), "aarch64": (82, 83, 277)}
"""fsync, fdatasync, seccomp."""
ERRNO, ALLOW, EIO = 0x00050000, 0x7FFF0000, 5
NO_NEW_PRIVILEGES, SET_FILTER, ALL_THREADS = 38, 1, 1


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def break_syncs() -> bool:
    """From now on every fsync of this process fails with EIO, in SQLite too, by a filter of the kernel that cannot be taken
    off again. False: this kernel or machine has none."""
    numbers = SYSCALLS.get(platform.machine())
    if numbers is None:
        return False
    fsync, fdatasync, seccomp = numbers
    steps = [
        (0x20, 0, 0, 0),
        (0x15, 1, 0, fsync),
        (0x15, 0, 1, fdatasync),
        (0x06, 0, 0, ERRNO | EIO),
        (0x06, 0, 0, ALLOW),
    ]
    program = _Program(len(steps), (_Instruction * len(steps))(*(_Instruction(*step) for step in steps)))
    libc = ctypes.CDLL(None)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return libc.syscall(seccomp, SET_FILTER, ALL_THREADS, ctypes.byref(program)) == 0


def syncs_can_break() -> bool:
    """Tried in a child."""
    child = os.fork()
    if not child:
        os._exit(0 if break_syncs() else 1)
    return os.waitpid(child, 0)[1] == 0
