"""The base of all machines: one table of (phase, trigger) -> row. Knows no machine in particular.

Illegal moves raise InvalidTransition and nothing happens (the anchor is h11's table of states).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from active_learner.errors import InvalidTransition

Event = TypeVar("Event")
Command = TypeVar("Command")

STORY_LENGTH = 20
"""Events told by InvalidTransition: enough to see a step and its re-sends."""


class Machine(ABC, Generic[Event, Command]):
    """Events in, commands out. A subclass has `TABLE`, `classify`, and one method a row.

    `TABLE[(phase, trigger)]` names the method that is called with the event and returns the commands. Stale and repeated
    messages are triggers of their own, with rows of their own. Rows that take a phase of "*" hold in every phase.
    """

    TABLE: ClassVar[dict[tuple[str, str], str]]
    observe: ClassVar[Callable[[str, str, str], None] | None] = None
    """Called with (machine, phase, trigger) before each row: the tests count rows by it."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self._story: deque[tuple[str, str, str]] = deque(maxlen=STORY_LENGTH)

    @abstractmethod
    def classify(self, event: Event) -> str:
        """The trigger that the event is now. Changes nothing."""

    def handle(self, event: Event) -> list[Command]:
        """Run the row of the event.

        Raises: InvalidTransition, with the state as it was.
        """
        trigger = self.classify(event)
        place = (self.phase, trigger)
        name = self.TABLE.get(place)
        if name is None:
            place = ("*", trigger)
            name = self.TABLE.get(place)
        if name is None:
            raise InvalidTransition(type(self).__name__, self.phase, trigger, self.story())
        observe = Machine.observe
        if observe is not None:
            observe(type(self).__name__, *place)
        self._story.append((self.phase, trigger, type(event).__name__))
        row: Callable[[Any], list[Command]] = getattr(self, name)
        return row(event)

    def story(self) -> list[str]:
        """The last events, oldest first."""
        return [f"{phase}: {trigger} ({event})" for phase, trigger, event in self._story]
