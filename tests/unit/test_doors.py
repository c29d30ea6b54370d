"""The doorman of a broker: watches the list, says who is not let in, and never opens by mistake."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from active_learner.errors import ConfigError
from active_learner.security.folder import KeyFolder
from active_learner.services.doors import Doors, doors_of
from tests.unit.test_key_folder import pair


class Clock:
    at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    folder.new("anna", "labeler", pair)
    return folder


def test_a_change_of_the_list_is_seen_once(folder: KeyFolder) -> None:
    doors = Doors(folder)
    assert not doors.look()
    bob = folder.new("bob", "source", pair)
    assert doors.look()
    assert bob.pair.public in doors.grants()
    assert not doors.look()
    assert doors.look(surely=True)


def test_a_rotated_key_ends_by_itself(folder: KeyFolder) -> None:
    folder.rotate("anna", pair, timedelta(hours=1))
    clock = Clock()
    doors = Doors(folder, clock)
    assert len(doors.grants()) == 2
    assert not doors.look()
    clock.at += timedelta(hours=2)
    assert doors.look()
    assert len(doors.grants()) == 1
    assert not doors.look()


@pytest.mark.parametrize("ruin", [lambda path: path.write_text("{"), os.unlink], ids=["cut short", "gone"])
def test_a_list_that_cannot_be_read_changes_nothing(folder: KeyFolder, ruin, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    doors = Doors(folder)
    before = doors.grants()
    ruin(folder.list_file)
    assert not doors.look()
    assert doors.grants() == before
    assert "the list of before stays in force" in caplog.text
    caplog.clear()
    assert not doors.look()
    assert caplog.text == ""


def test_who_is_not_let_in_is_counted_and_told_by_reason(folder: KeyFolder) -> None:
    anna = next(iter(folder.allowed().grants(datetime.now(UTC))))
    doors, counters, notes = Doors(folder), Counter[str](), list[str]()
    assert not doors.admits("before anybody listens", "::1")
    doors.tell(counters, notes.append)
    assert doors.admits(anna, "10.0.0.7")
    folder.revoke("anna")
    folder.new("bob", "source", pair)
    doors.look()
    assert not doors.admits(anna, "10.0.0.7")
    assert not doors.admits("x" * 40, "10.0.0.8")
    doors.failed("no_key")
    assert counters == {"refused.key": 2, "refused.no_key": 1}
    assert notes[0].startswith(f"somebody at 10.0.0.7 was not let in: the key {anna} of anna is revoked at 20")
    assert notes[1:] == [
        f"somebody at 10.0.0.8 was not let in: the key {'x' * 40} is not on the list",
        "somebody was not let in: it has no key",
    ]


def test_a_public_address_without_keys_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        doors_of("tcp://0.0.0.0:5570", "auto", tmp_path / "keys")
    assert caught.value.exit_code == 3
    assert "can be reached from other machines, so it needs keys" in str(caught.value)
    assert "`active-learner keys new NAME --role ROLE`" in str(caught.value)
    assert doors_of("tcp://127.0.0.1:5570", "auto", tmp_path / "keys") is None


def test_a_list_that_lets_nobody_in_is_refused(folder: KeyFolder) -> None:
    folder.revoke("anna")
    with pytest.raises(ConfigError, match="lets nobody in"):
        doors_of("tcp://127.0.0.1:5570", "on", folder.path)
