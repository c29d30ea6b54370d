"""How much one peer may say: token buckets for messages and bytes. Knows numbers and times; no message."""

from __future__ import annotations

RATE_MESSAGES = 30_000
"""A second. Half of what the broker relays in all on the machine it was measured on (60,000), and more than any honest peer
needs: a training step takes 4 messages and about 2 ms."""

RATE_BYTES = 512 * 1024 * 1024
"""A second: four times what a gigabit network carries, so only a process on the broker's own machine can reach it."""

BURST_S = 2.0
"""An idle peer may say at once what the rate allows in that time: a backlog after a reconnect is no flood."""

TELL_S = 1.0
"""Between two words to the same sender about what was dropped."""


class Bucket:
    """Tokens that come back at `rate` a second, at most `burst` of them.

    They are only counted anew when none are left, which costs honest senders nothing; in any time T no more than
    2 x burst + rate x T are taken.
    """

    __slots__ = ("_at", "_burst", "_rate", "left")

    def __init__(self, rate: float, burst: float, at: float) -> None:
        self._rate, self._burst = rate, burst
        self.left, self._at = burst, at

    def take(self, number: int, at: float) -> bool:
        """False: so many are not there, and none was taken. More than the whole burst is lent when the bucket is full."""
        self.left -= number
        if self.left >= 0:
            return True
        before = self.left + number
        full = min(self._burst, before + self._rate * (at - self._at))
        self._at = at
        taken = full >= number or full == self._burst
        self.left = full - number if taken else full
        return taken


class Budget:
    """The buckets of one peer, and what was dropped because they were empty. Rates are a second's."""

    __slots__ = ("_bytes", "_messages", "dropped", "told_at")

    def __init__(self, messages: float, size_bytes: float, at: float) -> None:
        self._messages = Bucket(messages, messages * BURST_S, at)
        self._bytes = Bucket(size_bytes, size_bytes * BURST_S, at)
        self.dropped = 0
        """Since its sender was told."""
        self.told_at = at - TELL_S

    def allows(self, size_bytes: int, at: float) -> bool:
        """One more message of that size. False: it must be dropped, and is counted."""
        messages, sizes = self._messages, self._bytes
        if messages.left >= 1 and sizes.left >= size_bytes:  # what honest senders cost
            messages.left -= 1
            sizes.left -= size_bytes
            return True
        if messages.take(1, at) and sizes.take(size_bytes, at):
            return True
        self.dropped += 1
        return False

    def due(self, at: float) -> int:
        """How many were dropped, when it is time to say so; else 0."""
        if not self.dropped or at - self.told_at < TELL_S:
            return 0
        told, self.dropped, self.told_at = self.dropped, 0, at
        return told
