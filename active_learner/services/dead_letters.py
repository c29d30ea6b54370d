"""Messages that a handler died of, remembered over restarts. Knows messages as bytes and a file; not what they say.

A message comes again until it is answered, from the same sender with the same ids. One that crashes its handler would
thus end the process again and again: after the second time it is left unheard, and told.
"""

from __future__ import annotations

import json
import logging
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from active_learner.durable.files import replace_file
from protocol.messages import Message

LOG = logging.getLogger(__name__)

FILE = "dead_letters.json"
CHANCES = 2
"""Once may have been the circumstances."""
LIMIT = 256
"""Remembered; the oldest are forgotten. A sender of more is a case for its key, not for this file."""


class DeadLetters:
    """`file`: in the run folder; it can be read by a person, and deleted to give all another chance."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, dict[str, Any]] = {}

    def open(self) -> None:
        """Read what earlier processes died of; a file that cannot be read is none."""
        try:
            self._known = dict(json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            LOG.warning("%s cannot be read and is left out: %s", self._file, error)

    def is_dead(self, message: Message) -> bool:
        """It is not to be handled any more. Costs nothing while nothing ever failed."""
        return bool(self._known) and self._known.get(fingerprint(message), {}).get("times", 0) >= CHANCES

    def blame(self, message: Message, sender: str, error: BaseException) -> None:
        """The handler of `message` failed. Returns when that is on the disk, if it can be."""
        mark = fingerprint(message)
        known = self._known.pop(mark, {"times": 0})
        self._known[mark] = {
            "times": known["times"] + 1,
            "kind": type(message).__name__,
            "sender": sender,
            "error": f"{type(error).__name__}: {error}"[:1000],
        }
        for oldest in list(self._known)[:-LIMIT]:
            del self._known[oldest]
        try:
            replace_file(self._file, json.dumps(self._known, indent=1).encode())
        except OSError as failed:
            LOG.warning("%s cannot be written: %s", self._file, failed)


def fingerprint(message: Message) -> str:
    """The same for the same message, said by whomever and whenever."""
    total = blake2b(type(message).__name__.encode(), digest_size=16)
    for field in fields(message):  # type: ignore[arg-type]
        value = getattr(message, field.name)
        if isinstance(value, np.ndarray):
            total.update(f"\0{field.name}\0{value.dtype.str}\0{value.shape}\0".encode())
            total.update(np.ascontiguousarray(value).tobytes())
        else:
            total.update(f"\0{field.name}\0{value!r}\0".encode())
    return total.hexdigest()
