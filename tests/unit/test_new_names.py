"""A file that gets its name when it is whole: its content is on the disk before, and the name before anybody is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from active_learner.backends.checkpoint import write_checkpoint
from active_learner.durable.files import replace_file, replaced

WRITERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": lambda path: write_checkpoint(path, {"w": np.ones(2, np.float32)}, {"step": 1}),
    "replace_file": lambda path: replace_file(path, b"content"),
    "replaced": lambda path: replaced(path, b"content").close(),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_content_then_name_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    path = tmp_path / "file"
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        what = os.fstat(descriptor)
        is_own = what.st_ino == tmp_path.stat().st_ino
        synced.append(("folder" if stat.S_ISDIR(what.st_mode) and is_own else "file", path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    WRITERS[writer](path)
    assert synced[-1] == ("folder", True)
    assert ("file", False) in synced[:-1]
