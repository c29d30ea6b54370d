"""The folder of a broker's keys: its own, the allow-list, and the files for the peers. Knows files; makes no key itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from active_learner.core.keys import KeyPair, Keys
from active_learner.durable.files import replace_file
from active_learner.errors import ActiveLearnerError, ConfigError
from active_learner.security.allow_list import AllowList, Entry
from active_learner.security.key_files import (
    FOLDER_MODE,
    check_mode,
    read_keys,
    read_pair,
    write_keys,
    write_pair,
)

FOLDER = "keys"
"""In the working directory, unless broker.key_folder says otherwise."""

LIST, BROKER, LOCK = "allowed.json", "broker.key", ".lock"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
"""As all names, without dots: `anna.1` is a peer of the key `anna`."""

NewPair = Callable[[], KeyPair]


class KeyFolder:
    """Keys are made by `new_pair`, which knows the curve."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file_of(self, name: str) -> Path:
        return self.path / f"{name}.key"

    @property
    def list_file(self) -> Path:
        return self.path / LIST

    # --- reading ---------------------------------------------------------------------------------------------------

    def allowed(self) -> AllowList:
        """Raises: ConfigError when there is none, or it cannot be read."""
        self._check_there()
        try:
            return AllowList.from_text(self.list_file.read_text(encoding="utf-8"), str(self.list_file))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{self.list_file}: {getattr(error, 'strerror', error)}"]) from None

    def broker_pair(self) -> KeyPair:
        """Raises: ConfigError when there is none, or others can read it."""
        self._check_there()
        check_mode(self.path, FOLDER_MODE)
        return read_pair(self.path / BROKER)

    # --- changes ---------------------------------------------------------------------------------------------------

    def new(
        self, name: str, role: str, new_pair: NewPair, experiments: Iterable[str] = (), rooms: Iterable[str] = ()
    ) -> Keys:
        """A key for `name`, in a file, and on the list. Raises: ConfigError (no name, wide permissions), ActiveLearnerError
        (it has one)."""
        self._check_name(name)
        with self._locked(new_pair) as allowed:
            if (known := allowed.current(name, _now())) is not None:
                raise ActiveLearnerError(f"{name} has a key since {known.since}: rotate or revoke that one")
            return self._made(allowed, name, role, new_pair(), tuple(experiments), tuple(rooms))

    def ensure(self, name: str, role: str, new_pair: NewPair, experiment: str, rooms: Iterable[str]) -> None:
        """`name` has a key for this experiment, its file is here, and it is on the list. Raises: ConfigError when it is another
        role's, or its file is missing."""
        with self._locked(new_pair) as allowed:
            known = allowed.current(name, _now())
            if known is None:
                self._made(allowed, name, role, new_pair(), (experiment,), tuple(rooms))
                return
            if known.role != role:
                raise ConfigError([f"{self.list_file}: {name} is a {known.role}'s key; a {role} needs another folder"])
            read_keys(self.file_of(name))
            wider = allowed.widened(name, (experiment,), rooms)
            if wider.entries != allowed.entries:
                self._write(wider)

    def revoke(self, name: str, only_old: bool = False) -> None:
        """Raises: ActiveLearnerError when there is nothing to revoke."""
        with self._locked() as allowed:
            try:
                self._write(allowed.revoked(name, _now(), only_old))
            except KeyError:
                what = "older key" if only_old else "key"
                raise ActiveLearnerError(f"{name} has no {what} that is let in") from None
            if not only_old:
                self.file_of(name).unlink(missing_ok=True)

    def rotate(self, name: str, new_pair: NewPair, overlap: timedelta) -> Keys:
        """Another key for `name`; the one of before is let in for `overlap` more. Raises: ActiveLearnerError when it has none."""
        with self._locked() as allowed:
            pair, broker = new_pair(), self.broker_pair()
            try:
                rotated = allowed.rotated(name, pair.public, _now(), overlap)
            except KeyError:
                raise ActiveLearnerError(f"{name} has no key that is let in: make one by `keys new`") from None
            keys = Keys(name, rotated.entries[-1].role, pair, broker.public)
            self._write(rotated)
            write_keys(self.file_of(name), keys)
            return keys

    def _made(
        self,
        allowed: AllowList,
        name: str,
        role: str,
        pair: KeyPair,
        experiments: tuple[str, ...],
        rooms: tuple[str, ...],
    ) -> Keys:
        keys = Keys(name, role, pair, self.broker_pair().public)
        write_keys(self.file_of(name), keys)  # first: an entry without a file would lock its owner out
        since = _now().isoformat(timespec="seconds")
        self._write(allowed.with_entry(Entry(name, role, pair.public, since, None, None, experiments, rooms)))
        return keys

    def _write(self, allowed: AllowList) -> None:
        replace_file(self.list_file, allowed.to_text().encode())

    @contextlib.contextmanager
    def _locked(self, new_pair: NewPair | None = None) -> Iterator[AllowList]:
        """One writer at a time. `new_pair`: makes folder and broker's key when there are none yet.

        Raises: ConfigError."""
        try:
            if new_pair is None:
                self._check_there()
            else:
                self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            with self._lock():
                if new_pair is not None and not (self.path / BROKER).exists():
                    check_mode(self.path, FOLDER_MODE)
                    write_pair(self.path / BROKER, new_pair())
                    self._write(AllowList())
                self.broker_pair()
                yield self.allowed()
        except OSError as error:
            raise ConfigError([f"{error.filename or self.path}: {error.strerror}"]) from None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _check_there(self) -> None:
        if not self.path.is_dir():
            raise ConfigError(
                [f"{self.path}: there are no keys; `active-learner keys new NAME --role ROLE` makes some"]
            )

    def _check_name(self, name: str) -> None:
        if NAME.fullmatch(name) is None or self.file_of(name).name == BROKER:
            raise ConfigError(
                [f"{name!r}: a key is called by 1 to 63 letters, digits, '_' and '-', and not `broker`, which has one"]
            )


def _now() -> datetime:
    return datetime.now(UTC)
