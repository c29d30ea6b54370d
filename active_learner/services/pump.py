"""Feeds one machine and runs its commands. Knows neither: a command is handed to whoever does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic

from active_learner.core.machine import Command, Event, Machine
from protocol.messages import Message


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a shell around a machine may do outside of itself."""

    say: Callable[[str, Message], object]
    """Room or "@name", message."""
    note: Callable[[str, str], None]
    """Level and text, for a person."""
    spawn: Callable[[Awaitable[None]], None]
    """Work that takes longer than a turn of the loop; its failure ends the process."""
    fail: Callable[[BaseException], None]
    """Ends the process."""


class Pump(Generic[Event, Command]):
    """Events one at a time, each with all its commands before the next, also those that come while one is handled."""

    def __init__(
        self,
        machine: Machine[Event, Command],
        do: Callable[[Command], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`fail` gets what a machine or a command raises: callers are callbacks of the loop, where it would only be logged
        and the process would go on with half a transition done."""
        self._machine, self._do, self._fail = machine, do, fail
        self._events: deque[Event] = deque()
        self._is_running = False

    def handle(self, event: Event) -> None:
        """Feed it now, or, from within a command, as soon as that one's event is done with."""
        self._events.append(event)
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._events:
                for command in self._machine.handle(self._events.popleft()):
                    self._do(command)
        except Exception as error:  # whatever it is, it must end the process
            self._events.clear()
            self._fail(error)
        finally:
            self._is_running = False
