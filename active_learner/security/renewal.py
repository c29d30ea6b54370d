"""A peer's own key while it runs: rotated, it is another one in the same file. Knows files; no socket."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from active_learner.core.keys import Keys
from active_learner.errors import ConfigError
from active_learner.security.key_files import read_keys

LOG = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class Renewal:
    """Looks whether the file of `keys` has changed."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._stamp = self._look()

    def __call__(self) -> Keys | None:
        """The keys, when they are others than before. A file that cannot be used is told, and changes nothing."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            found = read_keys(Path(self._keys.file))
        except ConfigError as error:
            LOG.warning("the key stays what it was: %s", error)
            return None
        if found == self._keys:
            return None
        self._keys = found
        LOG.info("%s: another key, connecting by it", found.file)
        return found

    def _look(self) -> Stamp | None:
        try:
            found = os.stat(self._keys.file)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
