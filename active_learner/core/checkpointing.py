"""When an evaluator keeps its state in the middle of a round. Knows steps and seconds; no file and no message.

The clock is an argument.
"""

from __future__ import annotations

CHECKPOINT = "checkpoint"
"""`ticket` of a FORWARD `train` between two stages: whoever hears it keeps its state after that step too."""


class CheckpointRule:
    """After `steps` steps, or when the first step that is not kept was begun `seconds` ago: no death costs more."""

    def __init__(self, steps: int, seconds: float) -> None:
        self._steps, self._seconds = steps, seconds
        self._kept = 0
        self._since: float | None = None

    def begin(self, step: int, at: float) -> bool:
        """`step` is begun; True: the state after it is to be kept."""
        self._since = at if self._since is None else self._since
        return step - self._kept >= self._steps or at - self._since >= self._seconds

    def kept(self, step: int) -> None:
        """The state after `step` is kept, or was tried to be: counting begins again."""
        self._kept, self._since = step, None
