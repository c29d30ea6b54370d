"""A file that gets its name when it is whole: its content is on the disk before, and the name before anybody is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from active_learner.backends.checkpoint import write_checkpoint
from active_learner.durable.files import replace_file
from active_learner.durable.journal import START, Journal

WRITERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": lambda path: write_checkpoint(path, {"w": np.ones(2, np.float32)}, {"step": 1}),
    "replace_file": lambda path: replace_file(path, b"content"),
}


class Syncs:
    """What is synced in a folder, and whether the file there was whole by then."""

    def __init__(self, path: Path, is_whole: Callable[[], bool]) -> None:
        self.seen: list[tuple[str, bool]] = []
        self._folder, self._is_whole, self._fsync = path.parent, is_whole, os.fsync

    def __call__(self, descriptor: int) -> None:
        what = os.fstat(descriptor)
        is_own = what.st_ino == self._folder.stat().st_ino
        kind = "folder" if stat.S_ISDIR(what.st_mode) and is_own else "file"
        self.seen.append((kind, self._is_whole()))
        self._fsync(descriptor)


@pytest.mark.parametrize("writer", WRITERS)
def test_content_then_name_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    path = tmp_path / "file"
    syncs = Syncs(path, path.exists)
    monkeypatch.setattr(os, "fsync", syncs)
    WRITERS[writer](path)
    assert syncs.seen[-1] == ("folder", True)
    assert ("file", False) in syncs.seen[:-1]


def test_a_journal_that_is_written_anew_is_synced_before_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, 0, START)
    journal.append({"number": 1})
    syncs = Syncs(path, lambda: b'"number":2' in path.read_bytes().replace(b" ", b""))
    monkeypatch.setattr(os, "fsync", syncs)
    journal.rewrite([{"number": 2}])
    assert syncs.seen[-2:] == [("file", False), ("folder", True)]
    journal.close()
