"""Logs of every process: to stderr, coloured on a terminal, JSON lines on request. Knows no service."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog

FORMATS = ("plain", "json")


def set_up(log_format: str = "plain", verbose: bool = False) -> None:
    """One chain for structlog and for the standard library's loggers; calling it again replaces the first."""
    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if log_format == "json"
        else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(log_format))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _rendering(log_format: str) -> list[Any]:
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        return [clean, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [clean, structlog.dev.ConsoleRenderer(colors=coloured(), pad_event_to=0, sort_keys=False)]


def coloured() -> bool:
    """stderr is a terminal and nobody asked for no colours."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
