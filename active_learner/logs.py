"""Logs of every process: to stderr, coloured on a terminal, JSON lines on request. Knows no service."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

FORMATS = ("plain", "json")

_COLOURS = {logging.DEBUG: 32, logging.INFO: 32, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31}


def set_up(log_format: str = "plain", verbose: bool = False) -> None:
    """One handler for all loggers of the process; calling it again replaces the first."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else PlainLines(coloured()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)


class PlainLines(logging.Formatter):
    """ "13:36:47 [info     ] broker stopped", and a traceback below it."""

    def __init__(self, coloured: bool = False) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._coloured = coloured

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the standard library's name
        time, level = self.formatTime(record, self.datefmt), f"{record.levelname.lower():<9}"
        if not self._coloured:
            return f"{time} [{level}] {record.message}"
        colour = _COLOURS.get(record.levelno, 32)
        return f"\033[2m{time}\033[0m [\033[{colour}m\033[1m{level}\033[0m] \033[1m{record.message}\033[0m"

    def usesTime(self) -> bool:  # noqa: N802 the standard library's name
        return True


class JsonLines(logging.Formatter):
    """{"event": ..., "level": ..., "timestamp": ...} and "exception", a line each; the time is UTC."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        told = {"event": record.getMessage(), "level": record.levelname.lower(), "timestamp": at}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


def coloured() -> bool:
    """stderr is a terminal and nobody asked for no colours."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
