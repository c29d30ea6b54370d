"""Who broke the rules too often, and is not heard for a while. Knows connections and keys by name; no rule, no clock."""

from __future__ import annotations

STRIKES = 3

IGNORE_S = 10.0
"""Of a connection. Long enough that junk costs its sender more than us, short enough for a peer that was repaired."""

SUSPEND_S = 60.0
"""Of a key. It has an owner who is told in the log, and connecting again would not help it; so it may be longer."""

FORGET_S = 60.0
"""A strike counts for that long: three accidents in a week are no attack."""

MAX_STRUCK = 4096
"""Offenders that are remembered; ZeroMQ never tells that a connection has ended."""

Offender = bytes | str
"""A connection, or, on a broker with keys, a key: that of somebody who connects again stays the same."""


class Strikes:
    """Counts offences and forgets them."""

    def __init__(self) -> None:
        self.ignored: dict[Offender, float] = {}
        """Who is not heard -> until when."""
        self._struck: dict[Offender, tuple[int, float]] = {}

    def ignores(self, connection: bytes, key: str) -> bool:
        return connection in self.ignored or key in self.ignored

    def struck(self, offender: Offender, at: float) -> float:
        """One more. Returns for how many seconds the offender is not heard from now on: 0, or a while at the third."""
        number, since = self._struck.pop(offender, (0, at))
        number = 1 if at - since > FORGET_S else number + 1
        if number < STRIKES:
            self._struck[offender] = number, at
            if len(self._struck) > MAX_STRUCK:
                del self._struck[next(iter(self._struck))]
            return 0.0
        silent_s = IGNORE_S if isinstance(offender, bytes) else SUSPEND_S
        self.ignored[offender] = at + silent_s
        return silent_s

    def forget(self, connection: bytes) -> None:
        """The connection is gone. What was ignored stays so: its name may be that of another's junk."""
        self._struck.pop(connection, None)

    def forgive(self, at: float) -> None:
        """Hear those again whose time is over."""
        for offender in [one for one, until in self.ignored.items() if until <= at]:
            del self.ignored[offender]
