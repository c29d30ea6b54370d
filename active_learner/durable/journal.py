"""A file of JSON lines, each with a digest that chains over the one before. Knows lines; not what they say.

`{"digest":"<32 hex>", ...}`: BLAKE2b-128 of the digest before (32 zeros at the start) and of the line without its digest.
What a crash left torn at the end was never acknowledged: it is cut off. A line in the middle that does not fit is damage.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from active_learner.durable.files import AppendFile, replace_file, replaced, sync_folder
from active_learner.errors import WrongStore

Form = dict[str, Any]
"""What JSON can say of a record."""

START = "0" * 32
OPENING, CLOSING = b'{"digest":"', b'",'
PREFIX = len(OPENING) + len(START) + len(CLOSING)


def dumps(form: Form) -> str:
    """One line, the same for the same form."""
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False)


class Lines(NamedTuple):
    """The good lines of a journal."""

    forms: list[Form]
    length: int
    """In bytes."""
    digests: list[str]
    """Of each line."""

    @property
    def digest(self) -> str:
        """The last one."""
        return self.digests[-1] if self.digests else START


def read(path: Path) -> tuple[list[Form], int, str]:
    """The good lines, their length in bytes, and the last digest; as `read_lines`."""
    lines = read_lines(path)
    return lines.forms, lines.length, lines.digest


def read_lines(path: Path) -> Lines:
    """A file that is not there is empty. Raises: WrongStore when good lines follow a bad one."""
    content = path.read_bytes() if path.exists() else b""
    forms: list[Form] = []
    digests: list[str] = []
    length, digest = 0, START
    lines = content.split(b"\n")[:-1]
    for place, line in enumerate(lines):
        if not _fits(line, digest):
            _check_tail(path, lines, place, frozenset(digests))
            break
        digest = _claimed(line)
        form = json.loads(line)
        del form["digest"]
        forms.append(form)
        digests.append(digest)
        length += len(line) + 1
    return Lines(forms, length, digests)


def _fits(line: bytes, before: str) -> bool:
    framed = line.startswith(OPENING) and line[PREFIX - 2 : PREFIX] == CLOSING
    return framed and _claimed(line) == _digest(before, line[PREFIX:])


def _claimed(line: bytes) -> str:
    return line[len(OPENING) : len(OPENING) + len(START)].decode("ascii", "replace")


def _digest(before: str, body: bytes) -> str:
    return blake2b(before.encode("ascii", "replace") + body, digest_size=16).hexdigest()


def _line(before: str, form: Form) -> tuple[bytes, str]:
    """The line behind the digest `before`, and its own digest."""
    body = dumps(form)[1:].encode("utf-8")
    digest = _digest(before, body)
    return OPENING + digest.encode("ascii") + CLOSING + body + b"\n", digest


def _check_tail(path: Path, lines: list[bytes], bad: int, known: frozenset[str]) -> None:
    """Lines that are known are no sequel: a power cut can leave a piece of the same file behind its end."""
    for place in range(bad + 1, len(lines)):
        if _fits(lines[place], _claimed(lines[place - 1])) and _claimed(lines[place]) not in known:
            raise WrongStore(f"{path} line {bad + 1} is damaged, and good lines follow: restore it from a copy")


class Journal:
    """The writer's side. What was torn is kept in `NAME.torn` when it is cut off."""

    def __init__(self, path: Path, length: int, digest: str) -> None:
        """As told by `read`. Raises: OSError."""
        torn = path.read_bytes()[length:] if path.exists() else b""
        if torn:
            replace_file(path.with_name(f"{path.name}.torn"), torn)
        self._path, self._file = path, AppendFile(path, length)
        self._digest = digest
        self._before = (length, digest)

    @property
    def digest(self) -> str:
        """Of the last line."""
        return self._digest

    def alone(self) -> AbstractContextManager[None]:
        """No other process is in a block like this one."""
        return self._file.alone()

    def append(self, form: Form, synced: bool = True) -> None:
        """Returns when it is on the disk; `synced` as in AppendFile. Raises: OSError, with nothing kept; SyncError, with nothing
        promised."""
        line, digest = _line(self._digest, form)
        before = (self._file.length, self._digest)
        self._file.append(line, synced)
        self._digest, self._before = digest, before

    def rewrite(self, forms: Iterable[Form]) -> None:
        """These lines instead of all that were there, or, when it fails, all as it was. Raises: OSError; SyncError behind the
        replacement: it is gone on in the new file, and a power cut may bring back the one before."""
        content, digest = b"", START
        for form in forms:
            line, digest = _line(digest, form)
            content += line
        before, self._file = self._file, replaced(self._path, content)
        before.close()
        self._digest, self._before = digest, (len(content), digest)
        sync_folder(self._path.parent)

    def take_back(self) -> None:
        """Undo the last append. Raises: OSError."""
        length, self._digest = self._before
        self._file.take_back(length)

    def close(self) -> None:
        self._file.close()


def wait_for_writer(path: Path) -> None:
    """Another process's block in `alone` has ended. Raises: BlockingIOError when one stands in it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
