"""Whether somebody is there who could answer. Knows open pages and when something was last asked for or said; not who asks, nor
how."""

from __future__ import annotations

GONE_S = 5.0
"""After its last page closed: one that is loaded again, or lost its connection, is back within that time."""

PAGE_S = 180.0
"""A page that asks for nothing for so long is gone, whatever its connection: a hidden one still asks once a minute."""


class Occupancy:
    """Of one annotator. A page is there while it is open, a script as long as its questions are leased after each use."""

    def __init__(self) -> None:
        self._pages = 0
        self._used_at, self._closed_at = float("-inf"), float("inf")

    def use(self, at: float) -> None:
        """Somebody asked for questions, or answered."""
        self._used_at, self._closed_at = at, float("inf")

    def look(self, at: float, pages: int) -> None:
        """So many pages are open now."""
        if self._pages and not pages:
            self._closed_at = at
        self._pages = pages

    def is_there(self, at: float, seconds: float) -> bool:
        """`seconds`: what a lease lasts."""
        if self._pages:
            return at < self._used_at + PAGE_S
        return at < min(self._used_at + seconds, self._closed_at + GONE_S)
