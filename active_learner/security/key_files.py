"""Secret keys in files that only their owner can read. Knows JSON and permissions; not who is allowed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from active_learner.core.keys import KeyPair, Keys
from active_learner.durable.files import replace_file
from active_learner.errors import ConfigError

SECRET_MODE, FOLDER_MODE = 0o600, 0o700
Z85_LENGTH = 40


def write_keys(path: Path, keys: Keys) -> None:
    """A peer's file: with it, and the broker's address, a peer can come in from anywhere. Raises: OSError."""
    form = {"name": keys.name, "role": keys.role, "public": keys.pair.public, "broker": keys.broker}
    _write(path, {**form, "secret": keys.pair.secret})


def read_keys(path: Path) -> Keys:
    """Raises: ConfigError when it is not there, others can read it, or it is no key."""
    form = _read(path, ("name", "role", "public", "secret", "broker"))
    return Keys(form["name"], form["role"], KeyPair(form["public"], form["secret"]), form["broker"], str(path))


def write_pair(path: Path, pair: KeyPair) -> None:
    """The broker's own. Raises: OSError."""
    _write(path, {"public": pair.public, "secret": pair.secret})


def read_pair(path: Path) -> KeyPair:
    """Raises: as `read_keys`."""
    form = _read(path, ("public", "secret"))
    return KeyPair(form["public"], form["secret"])


def check_mode(path: Path, allowed: int) -> None:
    """Raises: ConfigError when others than the owner have a way in."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~allowed:
        raise ConfigError([f"{path}: mode {mode:04o} lets others at a secret key; do: chmod {allowed:o} {path}"])


def _write(path: Path, form: dict[str, str]) -> None:
    replace_file(path, (json.dumps(form, indent=2) + "\n").encode(), SECRET_MODE)


def _read(path: Path, fields: tuple[str, ...]) -> dict[str, str]:
    try:
        check_mode(path, SECRET_MODE)
        form: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: no key can be read there: {error.strerror}"]) from None
    except ValueError:  # its text would show what is in the file
        raise ConfigError([f"{path}: is no key file"]) from None
    if not isinstance(form, dict) or not all(isinstance(form.get(one), str) for one in fields):
        raise ConfigError([f"{path}: is no key file: it must have {', '.join(fields)}"])
    if any(len(form[one]) != Z85_LENGTH for one in fields if one in ("public", "secret", "broker")):
        raise ConfigError([f"{path}: has a key that is not {Z85_LENGTH} characters long"])
    return form
