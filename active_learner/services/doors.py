"""Who is let in to a broker with keys: watches the allow-list, says why somebody is not. Knows files and time; no socket."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from active_learner.core.rights import Grant
from active_learner.errors import ConfigError
from active_learner.security.folder import KeyFolder
from active_learner.security.reach import is_public, needs_keys
from active_learner.transport.base import Doorman

LOG = logging.getLogger(__name__)


class Doors(Doorman):
    """The doorman of the router, and the source of the membership's grants.

    Raises: ConfigError when the folder has no key for the broker, or others can read it, or its list lets nobody in.
    """

    def __init__(self, folder: KeyFolder, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder, self._now = folder, now
        self._counters: Counter[str] = Counter()
        self._note: Callable[[str], None] = lambda text: None
        self.pair = folder.broker_pair()
        self._stamp = self._stat()
        self._allowed = folder.allowed()
        self._until = self._allowed.next_end(now())
        if not self.grants():
            raise ConfigError(
                [f"{folder.list_file}: lets nobody in; `active-learner keys new NAME --role ROLE` makes a key"]
            )

    def tell(self, counters: Counter[str], note: Callable[[str], None]) -> None:
        """Count and say from now on who is not let in; before, it is only the broker that tries its own doors."""
        self._counters, self._note = counters, note

    def grants(self) -> dict[str, Grant]:
        """By public key, as of now."""
        return self._allowed.grants(self._now())

    def look(self, surely: bool = False) -> bool:
        """Read the list again when it has changed (`surely`: in any case), or an entry's time is over. True: look at `grants`.

        A list that cannot be read changes nothing: what was allowed stays so, and it is said.
        """
        stamp = self._stat()
        if surely or stamp != self._stamp:
            self._stamp = stamp
            try:
                self._allowed = self._folder.allowed()
            except ConfigError as error:
                LOG.error("%s; the list of before stays in force", error)
                return False
            LOG.info("%s: read again, %d keys are let in", self._folder.list_file, len(self.grants()))
        elif self._until is None or self._until > self._now():
            return False
        self._until = self._allowed.next_end(self._now())
        return True

    def admits(self, public: str, address: str) -> bool:
        why = self._allowed.refusal(public, self._now())
        if not why:
            return True
        self._counters["refused.key"] += 1
        self._note(f"somebody at {address} was not let in: the key {public} {why}")
        return False

    def failed(self, why: str) -> None:
        self._counters[f"refused.{why}"] += 1
        self._note(f"somebody was not let in: {WORDS.get(why, why)}")

    def _stat(self) -> tuple[int, int, int]:
        """Changes with the file; zeros when it is not there."""
        try:
            found = os.stat(self._folder.list_file)
        except OSError:
            return 0, 0, 0
        return found.st_mtime_ns, found.st_ino, found.st_size


def doors_of(address: str, keys: str, folder: Path) -> Doors | None:
    """Of a broker at `address`, by the word in `broker.keys`; None: it needs none. Raises: ConfigError."""
    if not needs_keys(address, keys):
        return None
    try:
        return Doors(KeyFolder(folder))
    except ConfigError as error:
        if not is_public(address):
            raise
        first = f"broker.address: {address} can be reached from other machines, so it needs keys (`up` makes its own):"
        raise ConfigError([first, *error.problems]) from None


WORDS = {
    "no_key": "it has no key",
    "wrong_broker_key": "its file has another key of the broker",
    "garbled_handshake": "it speaks ZeroMQ, and not as it should",
    "broken_handshake": "it broke off before it said who it is, or speaks no ZeroMQ",
}
"""What ZeroMQ's handshakes end with (transport/zmq_handshakes.py), for the log."""
