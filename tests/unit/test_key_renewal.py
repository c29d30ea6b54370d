"""A rotated key is noticed by who runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from active_learner.security.folder import KeyFolder
from active_learner.security.key_files import read_keys
from active_learner.security.renewal import Renewal
from active_learner.transport.zmq_curve import new_pair


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    folder.new("anna", "labeler", new_pair)
    return folder


def test_a_rotated_key_is_told_once(folder: KeyFolder) -> None:
    renewed = Renewal(read_keys(folder.file_of("anna")))
    assert renewed() is None
    rotated = folder.rotate("anna", new_pair, timedelta(hours=1))
    found = renewed()
    assert found is not None
    assert found.pair == rotated.pair
    assert renewed() is None


def test_a_file_that_cannot_be_used_changes_nothing_until_it_can(
    folder: KeyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder.file_of("anna")
    renewed = Renewal(read_keys(file))
    text = file.read_text()
    file.write_text("{")
    assert renewed() is None
    assert "is no key file" in caplog.text
    file.unlink()
    assert renewed() is None
    file.write_text(text)
    file.chmod(0o600)
    assert renewed() is None  # the same key again
    assert renewed() is None
