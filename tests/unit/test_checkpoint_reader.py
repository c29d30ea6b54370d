"""Hostile checkpoint files: whatever they hold is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner.backends import checkpoint


def test_facts_that_are_nested_too_deeply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = b"[" * 100_000 + checkpoint.MARK + checkpoint.BLANK
    (tmp_path / "deep.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    monkeypatch.setattr(checkpoint, "_verify", lambda path, contents: None)
    with pytest.raises(ValueError, match=r"deep\.safetensors is none of ours"):
        checkpoint.read_checkpoint(tmp_path / "deep.safetensors")
