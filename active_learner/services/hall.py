"""Where `up` shows the way to the labeling page: its address stands by itself, below all lines of the start. Knows ready lines."""

from __future__ import annotations

import re
import webbrowser
from collections.abc import Callable
from threading import Thread

from active_learner.services.child import READY
from active_learner.services.screen import Screen

PAGE = re.compile(r"labeling page at ([^\s,]+)")


class Hall:
    """A screen that looks for the address."""

    def __init__(self, screen: Screen, opens: bool, browse: Callable[[str], object] = webbrowser.open) -> None:
        """`opens`: show the first one in a browser too."""
        self._screen, self._opens, self._browse = screen, opens, browse

    def line(self, name: str, text: str) -> None:
        self._screen.line(name, text)
        found = PAGE.search(text) if text.startswith(READY) else None
        if found is None:
            return
        for words in ("", f"    Label here: {found[1]}", ""):
            self._screen.note(words)
        if self._opens:
            self._opens = False
            Thread(target=self._browse, args=(found[1],), daemon=True).start()
