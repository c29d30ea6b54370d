"""Which browser the pages are tried and measured in. Knows names and places; starts nothing."""

from __future__ import annotations

import os
import shutil

VARIABLE = "ACTIVE_LEARNER_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = f"no Chromium: install one (Debian: apt install chromium) or name it in {VARIABLE}"


def find() -> str | None:
    """The path of a Chromium: what the environment names, then the common names. None: there is none."""
    named = os.environ.get(VARIABLE)
    return shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)


def arguments() -> list[str]:
    """Root has no sandbox. Never one that lets sound play before a press: that is what is tried."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []
