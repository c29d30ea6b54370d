"""Where the stages of the network stand, and where they can meet. Knows positions; not plans or messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from active_learner.core.training_events import PositionHeard

ASKS = 4
"""Questions at once: two stages that come, a restoration, and one more. A POSITION does not say which question it answers, so
where messages are doubled or late an answer to an earlier one leads to the next question, and that to more answers: a storm.
Nor is what is heard an answer while the next question is held back: who went on by it would say a batch each time, and each
batch that does not fit is answered by positions too."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """These roles go back to `step`."""

    step: int
    roles: tuple[str, ...]


class Stages:
    """The roles that make up the network, input first, and what each last said of itself."""

    def __init__(self, roles: Sequence[str], width: int | None) -> None:
        self.roles = tuple(roles)
        self._width = width
        self._heard: dict[str, PositionHeard] = {}
        self._versions: dict[str, int] = {}
        self._asked: deque[float] = deque(maxlen=ASKS)
        self.is_asked = True
        """The last question is said, not held back: what is heard may answer it."""

    def may_ask(self, at: float, within_s: float) -> bool:
        """Fewer than ASKS questions were asked in this time; True counts as one."""
        may = len(self._asked) < ASKS or at >= self._asked[0] + within_s
        if may:
            self._asked.append(at)
        self.is_asked = may
        return may

    def asks_again(self) -> None:
        """The question is said (again): it was held back, or is not answered."""
        self.is_asked = True

    def forget(self) -> None:
        self._heard.clear()

    def hear(self, position: PositionHeard) -> None:
        self._heard[position.role] = position
        self._versions[position.role] = position.model_version

    def would_complete(self, position: PositionHeard) -> bool:
        return {*self._heard, position.role} == set(self.roles)

    @property
    def silent(self) -> tuple[str, ...]:
        """Roles that have not said yet where they stand."""
        return tuple(role for role in self.roles if role not in self._heard)

    @property
    def fused(self) -> bool:
        return all(position.fused for position in self._heard.values())

    def promoted(self, step: int) -> bool:
        """Every stage scores by the weights of that step."""
        return all(self._versions.get(role) == step for role in self.roles)

    def any_promoted(self, step: int) -> bool:
        return any(self._versions.get(role) == step for role in self.roles)

    def promote(self, step: int) -> None:
        self._versions = dict.fromkeys(self.roles, step)
        for role, position in self._heard.items():
            self._heard[role] = replace(position, restorable=(*position.restorable, step))

    def ahead_of(self, last: int) -> str:
        """Who has applied more than that last step of all plans; "": nobody."""
        ahead = next((position for position in self._heard.values() if position.applied > last), None)
        if ahead is None:
            return ""
        return (
            f"{ahead.role} stands at step {ahead.applied} of this run, the last plan in the store ends at step {last}"
        )

    def can_reach(self, step: int) -> bool:
        """Every stage has a checkpoint of it, as far as is known."""
        return all(step in (0, *position.restorable) for position in self._heard.values())

    def meet(self, limit: int) -> Restoration:
        """All go back to the last checkpoint up to `limit` that every stage has."""
        common = set.intersection(*({0, *position.restorable} for position in self._heard.values()))
        return Restoration(max(step for step in common if step <= limit), self.roles)

    def reconcile(self, last: int) -> int | Restoration | str:
        """The step where all stand; or who must go back and how far; or why it cannot be. `last`: of the last plan."""
        output = self._heard[self.roles[-1]]
        if self._width and output.width and output.width != self._width:
            return (
                f"{output.role} returns {output.width} numbers a sample, the loss wants {self._width} for these classes"
            )
        standing = {position.applied for position in self._heard.values()}
        if len(standing) == 1 and max(standing) <= last:
            return standing.pop()
        step = max(self._common(min(last, *standing)))
        return Restoration(step, tuple(role for role in self.roles if self._heard[role].applied != step))

    def _common(self, limit: int) -> set[int]:
        """Steps up to `limit` that every stage stands at or can go back to; 0 is always possible."""
        reachable = [{0, position.applied, *position.restorable} for position in self._heard.values()]
        return {step for step in set.intersection(*reachable) if step <= limit}
