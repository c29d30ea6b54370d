"""Candidates as JSON lines from a file, a FIFO or standard input, live. Knows lines; not who writes them.

A line is an array of numbers in the shape of a sample (or flat), or an object with such an array as "features". A line
that cannot be read is reported with its number and counted; the others are not affected. Reading never waits.
"""

from __future__ import annotations

import json
import math
import os
import select
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from active_learner.core.records import Features, SampleSpec, canonical
from active_learner.errors import ConfigError
from active_learner.sources.base import Source

if TYPE_CHECKING:
    from active_learner.config.schema import JsonlSource

STANDARD_INPUT = "-"
CHUNK_BYTES = 256 * 1024
LINE_BYTES = 16 * 1024 * 1024
"""A longer line is bad: a sample of a million float64 in decimal text. Bounds the memory that a writer can take."""
PROBLEMS_KEPT = 20
"""Of one reading; the rest is only counted."""


class JsonLines(Source):
    """Proposes what has arrived; ended at the end of the input, with `follow` never."""

    def __init__(self, section: JsonlSource, spec: SampleSpec, seed: int, base: Path | None = None) -> None:
        """A relative path is looked up in `base`, then in the working directory. `seed` is not used.

        Raises: ConfigError when the file cannot be opened.
        """
        self._spec, self._section = spec, section
        self._descriptor = _opened(section.path, base)
        self._mode = os.fstat(self._descriptor).st_mode
        self._problems: list[str] = []
        self._bad_lines = 0
        self._forget()

    def _forget(self) -> None:
        self._buffer = bytearray()
        self._ready: list[Features] = []
        self._line = 0
        self._too_long = self._began = self._at_end = False

    @property
    def bad_lines(self) -> int:
        """Lines that could not be read, since the start."""
        return self._bad_lines

    @property
    def ended(self) -> bool:
        return self._at_end and not self._ready

    def propose(self) -> Features | None:
        """The samples that have arrived, at most `batch` of them; None when there are none yet."""
        while len(self._ready) < self._section.batch and self._read_more():
            pass
        rows, self._ready = self._ready[: self._section.batch], self._ready[self._section.batch :]
        return np.stack(rows) if rows else None

    def problems(self) -> list[str]:
        found, self._problems = self._problems, []
        return found

    def restart(self) -> None:
        """A file is read again from its beginning; what came through a pipe is gone."""
        if stat.S_ISREG(self._mode):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._forget()

    def close(self) -> None:
        if self._section.path != STANDARD_INPUT and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_more(self) -> bool:
        """Take in what can be had without waiting; False: nothing right now."""
        if self._at_end or not select.select([self._descriptor], [], [], 0)[0]:
            return False
        chunk = os.read(self._descriptor, CHUNK_BYTES)
        if not chunk:
            return self._reached_end()
        self._began = True
        self._buffer += chunk
        self._split()
        return True

    def _reached_end(self) -> bool:
        waiting_for_writer = stat.S_ISFIFO(self._mode) and not self._began and self._section.path != STANDARD_INPUT
        if self._section.follow or waiting_for_writer:
            self._restart_if_shortened()
            return False
        self._at_end = True
        if self._buffer or self._too_long:
            self._take(bytes(self._buffer))
            self._buffer.clear()
        return False

    def _restart_if_shortened(self) -> None:
        """A followed file that is shorter than what we read was written anew."""
        if stat.S_ISREG(self._mode):
            size = os.fstat(self._descriptor).st_size
            if size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
                self.restart()

    def _split(self) -> None:
        *lines, rest = self._buffer.split(b"\n")
        for line in lines:
            self._take(bytes(line))
        if len(rest) > LINE_BYTES:
            self._too_long, rest = True, bytearray()
        self._buffer = rest

    def _take(self, line: bytes) -> None:
        self._line += 1
        if self._too_long or len(line) > LINE_BYTES:
            self._too_long = False
            self._bad(f"is longer than {LINE_BYTES} bytes")
        elif line.strip():
            try:
                self._ready.append(_sample(line, self._spec))
            except (ValueError, RecursionError, OverflowError) as error:
                self._bad(str(error))

    def _bad(self, why: str) -> None:
        self._bad_lines += 1
        if len(self._problems) < PROBLEMS_KEPT:
            self._problems.append(f"{self._section.path}, line {self._line}: {why}")


def _opened(path: str, base: Path | None) -> int:
    if path == STANDARD_INPUT:
        return sys.stdin.fileno()
    beside = (base or Path()) / path
    try:
        return os.open(beside if beside.exists() else path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError([f"source.path: {path}: {error.strerror}"]) from None


def _sample(line: bytes, spec: SampleSpec) -> Features:
    """One line as a sample of the experiment. Raises: ValueError that says what is wrong with it."""
    try:
        said: Any = json.loads(line)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if isinstance(said, dict):
        if "features" not in said:
            raise ValueError(f'has no "features", only {", ".join(sorted(said)) or "nothing"}')
        said = said["features"]
    if not isinstance(said, list):
        raise ValueError(f'must be an array or an object with "features", not {type(said).__name__}')
    try:
        given = np.array(said)
    except ValueError:
        raise ValueError("is a ragged array") from None
    return _fitted(given, spec)


def _fitted(given: Features, spec: SampleSpec) -> Features:
    if given.dtype.kind not in "biuf":
        raise ValueError("has values that are not numbers")
    if given.shape not in (spec.shape, (math.prod(spec.shape),)):
        raise ValueError(f"has shape {given.shape}, must be {spec.shape}")
    return canonical(given.reshape(spec.shape), spec)
