"""Which face a person at a terminal gets: the full screen, or plain prompts. Knows what each needs; asks nothing itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from active_learner.core.records import SampleSpec
from active_learner.oracles.base import Oracle
from active_learner.oracles.keys import make_keys
from active_learner.oracles.terminal import TerminalOracle

NOT_INSTALLED = (
    "the full screen needs the extra tui: pip install 'active-learner[tui]'; until then there are plain prompts "
    "(labeler.screen: plain, and this is not said)"
)


def make_terminal(
    *, spec: SampleSpec, screen: str = "auto", keys: Mapping[str, str] | None = None, **settings: Any
) -> Oracle:
    """`screen`: auto, or plain. Raises: ConfigError when two of `keys` are one."""
    table = make_keys(spec.classes, spec.class_names, keys)
    if screen == "plain" or "out" in settings or not is_terminal():
        return TerminalOracle(spec=spec, **settings)
    try:
        from active_learner.oracles.full_screen import FullScreen
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        plain = TerminalOracle(spec=spec, **settings)
        plain.notice(NOT_INSTALLED)
        return plain
    return FullScreen(spec=spec, keys=table, **settings)


def is_terminal() -> bool:
    """Somebody sees what we write and types what we read, and characters can be put anywhere on it."""
    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    try:
        both = sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):  # closed, or none at all
        return False
    return both and os.environ.get("TERM", "dumb") not in ("dumb", "unknown") and encoding.startswith("utf8")
