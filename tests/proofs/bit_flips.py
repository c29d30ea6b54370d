"""One flipped bit in a store or a checkpoint: noticed when it is opened, or harmless: everything that can be read is as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from active_learner.backends.checkpoint import read_checkpoint, write_checkpoint
from active_learner.bench.outcome import Goal
from active_learner.errors import ActiveLearnerError
from tests.proofs import store_scene as scene
from tests.proofs.base import Proof, Say, Tally

ANSWERS = 60
"""So many that the pages are full: a bit in an empty place is harmless."""


class Target(NamedTuple):
    """A file that is attacked, and the store that it belongs to."""

    variant: str
    files: scene.Files
    name: str
    content: list[object]


class BitFlips(Proof):
    title: ClassVar[str] = "Single flipped bits in store and checkpoint: none changes anything unseen"
    unit: ClassVar[str] = "flips"
    short: ClassVar[int] = 200
    long: ClassVar[int] = 5_000
    chunk: ClassVar[int] = 250

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        with scene.workplace() as folder:
            targets = _targets(folder, random.Random(f"targets {seed}"))
            checkpoint = _checkpoint(folder / "evaluator-0000000001.safetensors", random.Random(f"weights {seed}"))
            for unit in range(units):
                draw, which = random.Random(f"flip {seed + unit}"), unit % (len(targets) + 1)
                if which == len(targets):
                    name, outcome = "checkpoint", _flipped_checkpoint(checkpoint, draw)
                else:
                    name, outcome = targets[which].name, _attacked(targets[which], folder / "attacked", draw)
                tally.count(f"{name} {outcome.split(':')[0]}")
                tally.count(outcome.split(":")[0])
                if outcome.startswith("silent"):
                    tally.fail(f"{name}, unit {unit} of seed {seed}: {outcome}")
        say(f"noticed {tally.counts['noticed']}, harmless {tally.counts['harmless']}")
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        noticed, harmless = total.counts["noticed"], total.counts["harmless"]
        told = f"{noticed} noticed, {harmless} harmless of {units}"
        return [Goal("every flip noticed or harmless", told, noticed + harmless == units)]


def _targets(folder: Path, draw: random.Random) -> list[Target]:
    """Files of stores that were closed, and of one that was killed with its log full."""
    found = []
    for variant, killed, names in (
        ("sqlite", False, (scene.FILE, f"{scene.FILE}.mark")),
        ("sqlite", True, (scene.FILE, f"{scene.FILE}-wal")),
        ("csv", False, (f"{scene.FILE}.events", f"{scene.FILE}.pool", f"{scene.FILE}.mark")),
    ):
        place = folder / f"{variant}-{killed}"
        store = scene.opened(variant, place)
        scene.fill(store, ANSWERS, draw)
        content = scene.everything(store)
        if not killed:
            store.close()
        contents = scene.files(place)
        if killed:
            store.close()
        found += [Target(variant, contents, name, content) for name in names]
    return found


def _flip(content: bytes, draw: random.Random) -> bytes:
    flipped, bit = bytearray(content), draw.randrange(len(content) * 8)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def _attacked(target: Target, folder: Path, draw: random.Random) -> str:
    try:
        return _flipped_store(target, folder, draw)
    except Exception as error:  # whatever it is, nobody was told in words what is wrong
        return f"silent: {type(error).__name__}: {error}"


def _flipped_store(target: Target, folder: Path, draw: random.Random) -> str:
    """noticed, harmless, or silent and why."""
    scene.put(folder, {**target.files, target.name: _flip(target.files[target.name], draw)})
    reads = draw.random() < 0.5
    try:
        store = scene.opened(target.variant, folder, read_only=reads)
    except ActiveLearnerError:
        return "noticed"
    try:
        told, kept = list(store.warnings), scene.everything(store)
        if kept != target.content:
            lost_pool = kept[5] is None and kept[:5] + kept[6:] == target.content[:5] + target.content[6:]
            return "noticed" if lost_pool and told else _difference(kept, target.content)
        if not reads and not _goes_on(store):
            return "silent: it cannot be written to"
    finally:
        store.close()
    return "noticed" if told else "harmless"


def _difference(kept: list[object], content: list[object]) -> str:
    parts = ("run", "questions", "labels", "events", "plans", "pool", "quarantine")
    return "silent: differs in " + ", ".join(
        part for part, now, was in zip(parts, kept, content, strict=True) if now != was
    )


def _goes_on(store: scene.Store) -> bool:
    scene.ask(store, 99)
    return scene.answer(store, 99) == "stored" and store.next_term() == 2


def _checkpoint(path: Path, draw: random.Random) -> Path:
    numbers = np.random.default_rng(draw.randrange(2**32))
    arrays = {"network/weight": numbers.normal(size=(16, 8)).astype(np.float32), "step": np.array(7, np.int64)}
    write_checkpoint(path, arrays, {"step": 7, "run": "ab" * 16})
    return path


def _flipped_checkpoint(path: Path, draw: random.Random) -> str:
    arrays, facts = read_checkpoint(path)
    damaged = path.with_name("damaged.safetensors")
    damaged.write_bytes(_flip(path.read_bytes(), draw))
    try:
        read, told = read_checkpoint(damaged)
    except ValueError:
        return "noticed"
    same = told == facts and {name: array.tobytes() for name, array in read.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    return "harmless" if same else "silent: other weights"
