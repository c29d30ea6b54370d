"""Power cuts, failing fsyncs and full disks: of what was acknowledged nothing is lost, and nothing appears that was not said.

A power cut is modelled: the bytes that were synced, and of those that were under way any sectors, with junk behind. The
failing fsync of SQLite is real (the kernel refuses it), that of CSV, its short writes and the full disks are too.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from unittest import mock

from active_learner.bench.outcome import Goal
from active_learner.errors import ActiveLearnerError, DiskFailed, StoreError
from active_learner.stores.base import Store
from tests.proofs import store_scene as scene
from tests.proofs.base import Proof, Say, Tally

ANSWERS = 12
"""In a scene: more than one page of each table."""
ATTACKS_A_SCENE = 25
Attack = Callable[["Scene", Path, random.Random], str]
"""Returns what went wrong, "" for nothing."""


class Scene:
    """Both kinds of store around each of some commits: what was on the disk before and behind it. Every second is an answer."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.commits: dict[str, list[tuple[scene.Files, scene.Files]]] = {}
        self.closed: dict[str, scene.Files] = {}
        for variant in ("sqlite", "csv"):
            self.commits[variant] = list(self._commits(variant, folder / variant, draw))
            self.closed[variant] = scene.files(folder / variant)

    def _commits(self, variant: str, place: Path, draw: random.Random) -> Iterator[tuple[scene.Files, scene.Files]]:
        store = scene.opened(variant, place)
        store.next_term()
        for number in range(ANSWERS):
            if draw.random() < 0.2:  # a restart: SQLite's log is in its database, the next one begins anew
                store.close()
                store = scene.opened(variant, place)
            for commit in (scene.ask, scene.answer):
                before = scene.files(place)
                commit(store, number)
                yield before, scene.files(place)
        store.close()

    def acknowledged(self, commits: int) -> list[str]:
        return [f"e{number}" for number in range(commits // 2)]


def _judged(variant: str, folder: Path, acknowledged: list[str], under_way: list[str]) -> str:
    """Open it as a trainer would, and go on."""
    try:
        store = scene.opened(variant, folder)
    except ActiveLearnerError as error:
        return f"not opened: {error}"
    try:
        kept = scene.answers(store)
        if kept[: len(acknowledged)] != acknowledged:
            return f"lost: {sorted({*acknowledged} - {*kept})}"
        if kept[len(acknowledged) :] not in ([], under_way):
            return f"phantom: {kept[len(acknowledged) :]}"
        scene.ask(store, 99)
        if scene.answer(store, 99) != "stored":
            return "could not go on"
    finally:
        store.close()
    store = scene.opened(variant, folder, read_only=True)
    try:
        return "" if scene.answers(store) == [*kept, "e99"] else "what was said after it is not there"
    finally:
        store.close()


# --- power cuts


def _power_cut(variant: str, name: str, synced: str = "") -> Attack:
    """While `name` is written; what is written before it, `synced`, is there in full.

    Behind the tutorial's table nothing stale is put: its rows are text that people may add to, so that old rows which turn up
    again cannot be told from theirs. The file systems of Linux show zeros there.
    """

    def attack(stage: Scene, folder: Path, draw: random.Random) -> str:
        commits = stage.commits[variant]
        step = draw.randrange(len(commits))
        before, after = commits[step]
        left = {**before, name: scene.cut(before.get(name, b""), after.get(name, b""), draw, stale=not synced)}
        if synced:
            left[synced] = after[synced]
        lagging, _ = commits[draw.randint(max(0, step - 3), step)]
        scene.put(folder, {**left, f"{scene.FILE}.mark": lagging[f"{scene.FILE}.mark"]})
        answered = stage.acknowledged(step)
        return _judged(variant, folder, answered, stage.acknowledged(step + 1)[len(answered) :])

    return attack


def _checkpoint_cut(stage: Scene, folder: Path, draw: random.Random) -> str:
    """The log is whole, the database is being written from it."""
    last, closed = stage.commits["sqlite"][-1][1], stage.closed["sqlite"]
    mixed = bytearray(scene.cut(last[scene.FILE], closed[scene.FILE], draw))
    pages = max(len(last[scene.FILE]), len(closed[scene.FILE]))
    scene.put(folder, {**last, scene.FILE: bytes(mixed[:pages])})
    return _judged("sqlite", folder, stage.acknowledged(2 * ANSWERS), [])


# --- an fsync that fails


def _csv_sync_fails(stage: Scene, folder: Path, draw: random.Random) -> str:
    """The n-th from now; nothing is acknowledged behind it."""
    scene.put(folder, stage.closed["csv"])
    store, left, acknowledged = scene.opened("csv", folder), draw.randint(1, 8), stage.acknowledged(2 * ANSWERS)
    real = os.fsync

    def counted(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(5, "Input/output error")
        real(descriptor)

    with mock.patch("os.fsync", counted):
        under_way, wrong = _said_until_it_fails(store, acknowledged)
    store.close()
    return wrong or _judged("csv", folder, acknowledged, under_way)


def _said_until_it_fails(store: Store, acknowledged: list[str], limit: int = 10) -> tuple[list[str], str]:
    """Answers from 50 on, the acknowledged ones appended; returns the one that failed, and what was wrong."""
    for number in range(50, 50 + limit):
        try:
            scene.ask(store, number)
        except DiskFailed:
            return [], _nothing_more(store, number)
        try:
            scene.answer(store, number)
        except DiskFailed:
            return [f"e{number}"], _nothing_more(store, number)
        acknowledged.append(f"e{number}")
    return [], f"no failure within {limit} answers"


def _nothing_more(store: Store, number: int) -> str:
    for write in (lambda: scene.ask(store, number), lambda: store.save_pool(b""), store.next_term):
        try:
            write()
        except DiskFailed:
            continue
        return "written to after an fsync had failed"
    return ""


def _sqlite_sync_fails(stage: Scene, folder: Path, draw: random.Random) -> str:
    """In a child process, where the kernel refuses every fsync from a moment on."""
    scene.put(folder, stage.closed["sqlite"])
    answered = draw.randint(0, 2)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer_until_syncs_break(folder, answered, writing)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = told.read().split()
    os.waitpid(child, 0)
    if lines[-1:] != ["failed"]:
        return f"an fsync failed, and the store said {lines}"
    acknowledged = [*stage.acknowledged(2 * ANSWERS), *(line for line in lines if line.startswith("e"))]
    return _judged("sqlite", folder, acknowledged, [f"e{50 + answered}"])


def _answer_until_syncs_break(folder: Path, answered: int, told: int) -> None:
    try:
        store = scene.opened("sqlite", folder)
        for number in range(50, 50 + answered + 1):
            scene.ask(store, number)
            if number == 50 + answered:
                scene.break_syncs()
            scene.answer(store, number)
            os.write(told, f"e{number}\n".encode())
    except DiskFailed:
        os.write(told, b"failed\n" if not _nothing_more(store, 99) else b"went_on\n")
    finally:
        os._exit(0)


# --- no room


def _csv_short_write(stage: Scene, folder: Path, draw: random.Random) -> str:
    """The n-th write of the journal or the table is cut short; then there is room again."""
    scene.put(folder, stage.closed["csv"])
    store, left = scene.opened("csv", folder), draw.randint(1, 4)
    real = os.pwrite

    def short(descriptor: int, chunk: bytes, at: int) -> int:
        nonlocal left
        if len(chunk) == scene_mark_bytes():
            return real(descriptor, chunk, at)
        left -= 1
        if left == 0:
            real(descriptor, chunk[: draw.randrange(len(chunk))], at)
            raise OSError(28, "No space left on device")
        return real(descriptor, chunk, at)

    acknowledged = stage.acknowledged(2 * ANSWERS)
    try:
        with mock.patch("os.pwrite", short):
            refused = _refused_once(store, acknowledged)
        wrong = _goes_on(store, acknowledged, refused)
    finally:
        store.close()
    return wrong or _judged("csv", folder, acknowledged, [])


def scene_mark_bytes() -> int:
    """The mark may fail unseen; what is attacked here is what counts."""
    from active_learner.durable.watermark import RECORD_BYTES

    return RECORD_BYTES


def _refused_once(store: Store, acknowledged: list[str], limit: int = 40) -> int:
    """Answers from 50 on until one is refused for lack of room; returns its number."""
    for number in range(50, 50 + limit):
        try:
            scene.ask(store, number)
            scene.answer(store, number)
        except DiskFailed:
            raise
        except StoreError:
            return number
        acknowledged.append(f"e{number}")
    return 0


def _goes_on(store: Store, acknowledged: list[str], refused: int) -> str:
    """With room again."""
    if not refused:
        return "nothing was refused"
    if scene.answers(store) != acknowledged:
        return f"a refused answer changed the store: {scene.answers(store)[len(acknowledged) :]}"
    scene.ask(store, refused)
    if scene.answer(store, refused) != "stored":
        return "it did not recover"
    acknowledged.append(f"e{refused}")
    return ""


def _no_room(limited: Callable[[Store, Path, random.Random], Iterator[None]]) -> Attack:
    def attack(stage: Scene, folder: Path, draw: random.Random) -> str:
        scene.put(folder, stage.closed["sqlite"])
        store, acknowledged = scene.opened("sqlite", folder), stage.acknowledged(2 * ANSWERS)
        try:
            with contextmanager(limited)(store, folder, draw):
                refused = _refused_once(store, acknowledged)
            wrong = _goes_on(store, acknowledged, refused)
        finally:
            store.close()
        return wrong or _judged("sqlite", folder, acknowledged, [])

    return attack


def _file_limit(store: Store, folder: Path, draw: random.Random) -> Iterator[None]:
    """No file of this process grows beyond some bytes more than the log has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = folder / f"{scene.FILE}-wal"
    size = max(log.stat().st_size if log.exists() else 0, (folder / scene.FILE).stat().st_size)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + draw.randint(0, 60_000), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _page_limit(store: Store, folder: Path, draw: random.Random) -> Iterator[None]:
    """SQLite finds no page, as on a full disk: SQLITE_FULL."""

    def pages(number: int) -> None:
        with store._database.transaction() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"PRAGMA max_page_count={number}")

    pages(1)  # what it has already, at least
    try:
        yield
    finally:
        pages(1_000_000)


ATTACKS: dict[str, Attack] = {
    "sqlite log cut": _power_cut("sqlite", f"{scene.FILE}-wal"),
    "sqlite checkpoint cut": _checkpoint_cut,
    "csv journal cut": _power_cut("csv", f"{scene.FILE}.events"),
    "csv table cut": _power_cut("csv", scene.FILE, synced=f"{scene.FILE}.events"),
    "csv fsync fails": _csv_sync_fails,
    "sqlite fsync fails": _sqlite_sync_fails,
    "csv short write": _csv_short_write,
    "sqlite file limit": _no_room(_file_limit),
    "sqlite disk full": _no_room(_page_limit),
}


def _attacked(attack: Attack, stage: Scene, folder: Path, draw: random.Random) -> str:
    try:
        return attack(stage, folder, draw)
    except Exception as error:  # what nobody expected is a failure of the store, not of the proof
        return f"{type(error).__name__}: {error}"


class Torn(Proof):
    title: ClassVar[str] = (
        "Torn writes: power cuts, failing fsyncs, full disks; acknowledged labels lost, phantom labels"
    )
    unit: ClassVar[str] = "faults"
    short: ClassVar[int] = 200
    long: ClassVar[int] = 10_000
    chunk: ClassVar[int] = 500

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        kinds = [name for name in ATTACKS if name != "sqlite fsync fails" or scene.syncs_can_break()]
        with scene.workplace() as folder:
            for unit in range(units):
                draw = random.Random(f"torn {seed + unit}")
                if unit % ATTACKS_A_SCENE == 0:
                    stage = Scene(folder / f"scene-{unit}", random.Random(f"scene {seed + unit}"))
                name = kinds[(seed + unit) % len(kinds)]
                wrong = _attacked(ATTACKS[name], stage, folder / "attacked", draw)
                tally.count(name)
                if wrong:
                    tally.fail(f"{name}, unit {unit} of seed {seed}: {wrong}")
        say(", ".join(f"{number} {name}" for name, number in tally.counts.items()))
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        done = {name: total.counts[name] for name in ATTACKS}
        least = units // len(ATTACKS) - 1
        told = ", ".join(f"{name} {number}" for name, number in done.items())
        return [Goal("every kind of fault", told, all(number >= least for number in done.values()))]
