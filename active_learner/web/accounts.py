"""Who may come to the labeling page: annotators, their one-time links, tokens of scripts, sessions. Knows one file; no HTTP.

Everything secret is kept as its SHA-256, and is 256 random bits, so that neither the file nor a guess opens anything. The
command `annotator` and the page's process write the same file, each under a lock; what the other wrote counts at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from active_learner.durable.files import replace_file
from active_learner.errors import ConfigError

LINK_S = 7 * 24 * 3600.0
"""A one-time link that nobody has opened ends after that."""

IDLE_S = 8 * 3600.0
"""A session that is not used ends after that: a working day."""

SEEN_S = 300.0
"""Between two notes in the file that a session is in use."""

SESSIONS = 1000
"""Kept; the one that was used longest ago ends for one more."""

MODE = 0o600

Known = dict[str, dict[str, Any]]
PARTS = ("annotators", "links", "scripts", "sessions")


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def csrf_of(session: str) -> str:
    """Follows from the session's secret, so that it needs no place of its own; says nothing about it."""
    return hmac.new(session.encode("utf-8", "replace"), b"csrf", hashlib.sha256).hexdigest()


class Accounts:
    """The file of one experiment; it need not exist."""

    def __init__(self, path: Path, wall: Callable[[], float], always: str | None = None) -> None:
        """`always`: an annotator who needs no entry, on a machine of one's own. Raises: ConfigError when others can read it."""
        self._path, self._wall, self._always = path, wall, always
        self._read_as: tuple[int, ...] | None = None
        self._known: dict[str, Known] = {part: {} for part in PARTS}
        self._refresh()

    # --- the command

    def names(self) -> list[tuple[str, float]]:
        """Annotators and since when, by name."""
        self._refresh()
        return [(name, float(one["since"])) for name, one in sorted(self._known["annotators"].items())]

    def add(self, name: str) -> str:
        """The secret of a new one-time link; an annotator who is there already gets another."""
        with self._changing():
            self._known["annotators"].setdefault(name, {"since": self._wall()})
            return self._issue("links", {"annotator": name, "until": self._wall() + LINK_S})

    def add_script(self, name: str) -> str:
        """The secret of a token for scripts, which holds until the annotator is removed."""
        with self._changing():
            self._known["annotators"].setdefault(name, {"since": self._wall()})
            return self._issue("scripts", {"annotator": name})

    def remove(self, name: str) -> bool:
        """Links, tokens and sessions end with it. False: there is no such annotator."""
        with self._changing():
            found = self._known["annotators"].pop(name, None)
            for part in ("links", "scripts", "sessions"):
                kept = {key: one for key, one in self._known[part].items() if one["annotator"] != name}
                self._known[part] = kept
            return found is not None

    # --- the page

    def enter(self, link: str) -> str | None:
        """The annotator of a one-time link, which ends with that; None: it is none, or used, or too old."""
        if not self._is_there("links", link):
            return None
        with self._changing():
            found = self._known["links"].pop(digest(link), None)
        return str(found["annotator"]) if found and found["until"] >= self._wall() else None

    def begin(self, name: str) -> str:
        """The secret of a new session."""
        with self._changing():
            sessions = self._known["sessions"]
            for old in sorted(sessions, key=lambda key: sessions[key]["seen"])[: len(sessions) - SESSIONS + 1]:
                del sessions[old]
            return self._issue("sessions", {"annotator": name, "seen": self._wall()})

    def end(self, session: str) -> None:
        """Signed out."""
        if self._is_there("sessions", session):
            with self._changing():
                self._known["sessions"].pop(digest(session), None)

    def of_session(self, session: str) -> str | None:
        found = self._find("sessions", session)
        if found is None or found["seen"] < self._wall() - IDLE_S:
            return None
        if found["seen"] < self._wall() - SEEN_S:
            with contextlib.suppress(OSError), self._changing():  # a full disk must not end a session
                self._known["sessions"].get(digest(session), found)["seen"] = self._wall()
        return str(found["annotator"])

    def of_script(self, token: str) -> str | None:
        found = self._find("scripts", token)
        return None if found is None else str(found["annotator"])

    # --- the file

    def _issue(self, part: str, entry: dict[str, Any]) -> str:
        secret = new_secret()
        self._known[part][digest(secret)] = entry
        return secret

    def _is_there(self, part: str, secret: str) -> bool:
        self._refresh()
        return digest(secret) in self._known[part]

    def _find(self, part: str, secret: str) -> dict[str, Any] | None:
        self._refresh()
        found = self._known[part].get(digest(secret))
        if found is None or found["annotator"] not in (*self._known["annotators"], self._always):
            return None
        return found

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """The file is ours alone; what is changed in the block is on the disk behind it. Raises: OSError, with the file as it was."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh()
            try:
                yield
                self._drop_old()
                replace_file(self._path, json.dumps(self._known, indent=1).encode(), MODE)
            finally:
                self._read_as = None
        finally:
            os.close(lock)

    def _drop_old(self) -> None:
        at = self._wall()
        self._known["links"] = {key: one for key, one in self._known["links"].items() if one["until"] >= at}
        kept = {key: one for key, one in self._known["sessions"].items() if one["seen"] >= at - IDLE_S}
        self._known["sessions"] = kept

    def _refresh(self) -> None:
        """Read it again when it is another than before."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._known, self._read_as = {part: {} for part in PARTS}, None
            return
        read_as = (found.st_ino, found.st_mtime_ns, found.st_size)
        if read_as == self._read_as:
            return
        if found.st_mode & 0o077:
            raise ConfigError([f"{self._path}: others can read it; chmod 600 it"])
        self._known, self._read_as = self._read(), read_as

    def _read(self) -> dict[str, Known]:
        try:
            known = json.loads(self._path.read_bytes())
            return {part: {str(name): dict(one) for name, one in known[part].items()} for part in PARTS}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                [f"{self._path} is no file of annotators ({error}); remove it and add them again"]
            ) from None
