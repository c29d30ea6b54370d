"""The folder of keys: who may read it, what each command does to it, and what never shows."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from active_learner.cli import group
from active_learner.core.keys import KeyPair
from active_learner.core.rights import Grant
from active_learner.errors import ActiveLearnerError, ConfigError
from active_learner.security.allow_list import AllowList
from active_learner.security.folder import KeyFolder
from active_learner.security.key_files import read_keys
from active_learner.security.reach import is_public, needs_keys

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


_numbers = count(1)


def pair() -> KeyPair:
    number = next(_numbers)
    return KeyPair(f"public {number:033}", f"secret {number:033}")


def now() -> datetime:
    return datetime.now(UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_key_makes_the_folder_and_the_broker_s_own(folder: KeyFolder) -> None:
    before = os.umask(0)
    try:
        keys = folder.new("anna", "labeler", pair)
    finally:
        os.umask(before)
    assert mode(folder.path) == 0o700
    assert {path.name: mode(path) for path in folder.path.glob("*.key")} == {"broker.key": 0o600, "anna.key": 0o600}
    assert mode(folder.list_file) == 0o644
    assert keys.broker == folder.broker_pair().public
    assert read_keys(folder.file_of("anna")) == keys
    assert folder.allowed().grants(now()) == {keys.pair.public: Grant("anna", "labeler")}


def test_the_list_has_no_secret(folder: KeyFolder) -> None:
    keys = folder.new("anna", "labeler", pair)
    text = folder.list_file.read_text()
    assert keys.pair.public in text
    assert "secret" not in text


def test_a_name_has_one_key_until_it_is_revoked(folder: KeyFolder) -> None:
    folder.new("anna", "labeler", pair)
    with pytest.raises(ActiveLearnerError, match="anna has a key since"):
        folder.new("anna", "labeler", pair)
    folder.revoke("anna")
    assert folder.allowed().grants(now()) == {}
    assert not folder.file_of("anna").exists()
    folder.new("anna", "source", pair)
    assert [one.revoked is None for one in folder.allowed().entries] == [False, True]


@pytest.mark.parametrize("name", ["broker", "a.b", "", "../x", "-a", "ä", "a" * 64, ".lock"])
def test_a_name_that_could_be_taken_for_another_is_refused(folder: KeyFolder, name: str) -> None:
    with pytest.raises(ConfigError, match="a key is called by"):
        folder.new(name, "labeler", pair)


@pytest.mark.parametrize("wide", [0o604, 0o640, 0o660, 0o644])
def test_a_secret_that_others_can_read_is_refused_with_words(folder: KeyFolder, wide: int) -> None:
    folder.new("anna", "labeler", pair)
    for path, read in (
        (folder.file_of("anna"), read_keys),
        (folder.path / "broker.key", lambda _: folder.broker_pair()),
    ):
        path.chmod(wide)
        with pytest.raises(ConfigError, match=f"mode {wide:04o} lets others at a secret key; do: chmod 600 "):
            read(path)


def test_a_folder_that_others_can_enter_is_refused_with_words(folder: KeyFolder) -> None:
    folder.new("anna", "labeler", pair)
    folder.path.chmod(0o750)
    for act in (folder.broker_pair, lambda: folder.new("bob", "source", pair), lambda: folder.revoke("anna")):
        with pytest.raises(ConfigError, match="mode 0750 lets others at a secret key; do: chmod 700"):
            act()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "anna"}', '{"name": 1, "role": "x"}', "\udcff"])
def test_a_file_that_is_no_key_is_told_without_what_is_in_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.key"
    path.touch(0o600)
    path.write_bytes(text.encode("utf-8", "surrogateescape") + b" do not show me")
    with pytest.raises(ConfigError, match="is no key file") as caught:
        read_keys(path)
    assert "show me" not in str(caught.value)


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key can be read there: No such file"):
        read_keys(tmp_path / "x.key")


@pytest.mark.parametrize("act", ["allowed", "broker_pair", "revoke", "rotate"])
def test_without_any_key_yet_it_is_said_how_the_first_is_made(tmp_path: Path, act: str) -> None:
    folder = KeyFolder(tmp_path / "keys")
    acts: dict[str, Callable[[], object]] = {
        "allowed": folder.allowed,
        "broker_pair": folder.broker_pair,
        "revoke": lambda: folder.revoke("anna"),
        "rotate": lambda: folder.rotate("anna", pair, DAY),
    }
    with pytest.raises(ConfigError, match="there are no keys; `active-learner keys new NAME --role ROLE` makes some"):
        acts[act]()
    assert not folder.path.exists()


# --- rotation -----------------------------------------------------------------------------------------------------


def test_a_rotated_name_has_two_keys_until_the_old_one_ends(folder: KeyFolder) -> None:
    old = folder.new("anna", "labeler", pair, ["digits"], ["user"])
    new = folder.rotate("anna", pair, DAY)
    allowed = folder.allowed()
    grant = Grant("anna", "labeler", frozenset({"digits"}), frozenset({"user"}))
    assert allowed.grants(now()) == {old.pair.public: grant, new.pair.public: grant}
    assert allowed.grants(now() + 1.01 * DAY) == {new.pair.public: grant}
    end = allowed.next_end(now())
    assert end is not None
    assert timedelta(hours=23) < end - now() <= DAY
    assert "replaced, and at its end since" in allowed.refusal(old.pair.public, now() + 2 * DAY)
    assert read_keys(folder.file_of("anna")) == new


def test_the_old_key_can_be_ended_at_once(folder: KeyFolder) -> None:
    folder.new("anna", "labeler", pair)
    new = folder.rotate("anna", pair, DAY)
    folder.revoke("anna", only_old=True)
    assert set(folder.allowed().grants(now())) == {new.pair.public}
    assert folder.file_of("anna").exists()
    with pytest.raises(ActiveLearnerError, match="anna has no older key"):
        folder.revoke("anna", only_old=True)


def test_rotating_twice_does_not_lengthen_the_life_of_the_first(folder: KeyFolder) -> None:
    first = folder.new("anna", "labeler", pair)
    folder.rotate("anna", pair, timedelta(hours=1))
    folder.rotate("anna", pair, DAY)
    assert first.pair.public not in folder.allowed().grants(now() + timedelta(hours=2))


def test_revoking_ends_all_keys_of_a_name_and_says_when_there_is_none(folder: KeyFolder) -> None:
    folder.new("anna", "labeler", pair)
    folder.rotate("anna", pair, DAY)
    folder.revoke("anna")
    assert folder.allowed().grants(now()) == {}
    for act in (lambda: folder.revoke("anna"), lambda: folder.rotate("anna", pair, DAY)):
        with pytest.raises(ActiveLearnerError, match="has no key that is let in"):
            act()


# --- keys of up ---------------------------------------------------------------------------------------------------


def test_what_is_there_is_used_and_widened_to_another_experiment(folder: KeyFolder) -> None:
    for _ in range(2):
        folder.ensure("source", "source", pair, "digits", ["digits/evolution"])
    folder.ensure("source", "source", pair, "melody", ["melody/evolution"])
    [entry] = folder.allowed().entries
    assert entry.experiments == ("digits", "melody")
    assert entry.rooms == ("digits/evolution", "melody/evolution")


def test_a_key_for_any_experiment_stays_one(folder: KeyFolder) -> None:
    folder.new("trainer", "trainer", pair)
    folder.ensure("trainer", "trainer", pair, "digits", [])
    assert [one.experiments for one in folder.allowed().entries] == [()]


def test_a_name_that_is_another_role_s_is_told(folder: KeyFolder) -> None:
    folder.new("source", "labeler", pair)
    with pytest.raises(ConfigError, match="source is a labeler's key; a source needs another folder"):
        folder.ensure("source", "source", pair, "digits", [])


# --- the list as a file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "keys": []}',
        '{"format": 1, "keys": [{"name": "x"}]}',
        '{"format": 1, "keys": [{"name": "x", "role": 3, "public": "p", "since": "s", "experiments": [], "rooms": []}]}',
        '{"format": 1, "keys": [{"name": "x", "role": "y", "public": "p", "since": "s", "until": "tomorrow", '
        '"experiments": [], "rooms": []}]}',
        '{"format": 1, "keys": [{"name": "x", "role": "y", "public": "p", "since": "s", "until": "2026-01-01T00:00:00", '
        '"experiments": [], "rooms": []}]}',
    ],
)
def test_a_list_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed\.json: is no list of keys"):
        AllowList.from_text(text, "allowed.json")


# --- who needs keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("tcp://127.0.0.1:5570", False),
        ("tcp://127.8.8.8:5570", False),
        ("tcp://localhost:5570", False),
        ("memory://x", False),
        ("tcp://0.0.0.0:5570", True),
        ("tcp://*:5570", True),
        ("tcp://10.0.0.1:5570", True),
        ("tcp://eth0:5570", True),
        ("tcp://localhost.evil:5570", True),
    ],
)
def test_only_what_this_machine_alone_can_reach_needs_no_keys(address: str, public: bool) -> None:
    assert is_public(address) is public
    assert needs_keys(address, "auto") is public
    assert needs_keys(address, "on")
    if not public:
        assert not needs_keys(address, "off")
    else:
        with pytest.raises(ConfigError, match=r"broker\.keys: off, but .* can be reached from other machines"):
            needs_keys(address, "off")


# --- the command --------------------------------------------------------------------------------------------------


def run(folder: KeyFolder, *arguments: str) -> str:
    result = CliRunner().invoke(group, ["keys", *arguments, "--folder", str(folder.path)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_commands_make_list_rotate_and_revoke_and_show_no_secret(folder: KeyFolder) -> None:
    said = run(folder, "new", "anna", "--role", "labeler", "--experiment", "digits", "--room", "user")
    secrets = [read_keys(folder.file_of("anna")).pair.secret, folder.broker_pair().secret]
    said += run(folder, "rotate", "anna", "--overlap", "2")
    secrets.append(read_keys(folder.file_of("anna")).pair.secret)
    listed = run(folder, "list")
    assert [line.split()[:2] for line in listed.splitlines()] == [["anna", "labeler"], ["anna", "labeler"]]
    assert listed.count("digits user") == 2
    as_json = run(folder, "list", "--json")
    assert [one["name"] for one in json.loads(as_json)] == ["anna", "anna"]
    said += run(folder, "revoke", "anna")
    assert "revoked at" in run(folder, "list")
    assert not [secret for secret in secrets if secret in said + listed + as_json]


@pytest.mark.parametrize(
    ("options", "rooms"),
    [
        (["--role", "labeler"], ("user", "control")),
        (["--role", "source"], ("evolution", "control")),
        (["--role", "evaluator"], ("evolution", "traininput", "trainoutput", "control")),
        (["--role", "monitor"], ("control",)),
        (["--role", "trainer"], ()),
        (["--role", "front", "--stage"], ()),
        (["--role", "labeler", "--any-room"], ()),
        (["--role", "labeler", "--room", "people"], ("people",)),
    ],
    ids=" ".join,
)
def test_a_key_may_join_the_rooms_of_its_role_when_none_is_named(
    folder: KeyFolder, options: list[str], rooms: tuple[str, ...]
) -> None:
    run(folder, "new", "anna", *options)
    (entry,) = folder.allowed().entries
    assert entry.rooms == rooms


def test_any_room_and_some_rooms_are_wrong_usage(folder: KeyFolder) -> None:
    from click import UsageError

    with pytest.raises(UsageError, match="exclude each other"):
        run(folder, "new", "anna", "--role", "labeler", "--any-room", "--room", "user")


def test_a_role_that_is_no_name_is_wrong_usage(folder: KeyFolder) -> None:
    from click import UsageError

    with pytest.raises(UsageError, match="'no role' is no name"):
        run(folder, "new", "anna", "--role", "no role")
