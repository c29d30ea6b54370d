"""Where numbered telemetry has gaps. Knows sessions, kinds and numbers; not what is said."""

from __future__ import annotations

from collections.abc import Container


class Gaps:
    """The last number of each sender and kind."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], int] = {}

    def missed(self, session: int, kind: int, number: int) -> int:
        """How many between the one before and this one. The first tells nothing."""
        before = self._last.get((session, kind), number - 1)
        self._last[session, kind] = number
        return max(0, number - before - 1)

    def forget(self, here: Container[int]) -> None:
        """Those that are not here any more."""
        self._last = {key: number for key, number in self._last.items() if key[0] in here}
