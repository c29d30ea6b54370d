"""Runs the engine's work one piece at a time: training first, in the loop when it is quick. Knows no engine.

A thread hop costs 0.1 to 0.3 ms, as much as a whole step of a small network, so quick work runs in the event loop. Slow work
runs in one thread of its own, so that the loop keeps answering. Which it is, is measured for each kind of work.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

INLINE_LIMIT_S = 0.002
"""Ten times a thread hop: above it the hop is lost in the work, and a message that waits for the loop would notice."""


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: str
    work: Callable[[], Any]
    done: Callable[[Any, Exception | None], None]


class EngineLane:
    """`submit` may run the work before it returns; `done(result, error)` is called in the loop's thread."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._costs: dict[str, tuple[float, ...]] = {}
        self._urgent: deque[_Piece] = deque()
        self._patient: deque[_Piece] = deque()
        self._is_busy = False
        self._is_closed = False
        self._turn: asyncio.Handle | None = None

    def submit(
        self,
        kind: str,
        work: Callable[[], Any],
        done: Callable[[Any, Exception | None], None],
        *,
        urgent: bool = True,
    ) -> None:
        """`urgent`: before everything that is not. What is not urgent leaves the loop free between two pieces."""
        piece = _Piece(kind, work, done)
        if urgent and not self._is_busy and not self._urgent:
            self._start(piece)
            return
        (self._urgent if urgent else self._patient).append(piece)
        self._take_turn()

    def close(self) -> None:
        """Starts nothing more; what runs ends by itself and is not told."""
        self._is_closed = True
        self._urgent.clear()
        self._patient.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take_turn(self) -> None:
        if self._turn is None and not self._is_busy:
            self._turn = self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._turn = None
        if self._is_busy or self._is_closed:
            return
        if self._urgent:
            self._start(self._urgent.popleft())
        elif self._patient:
            self._start(self._patient.popleft())
        if self._urgent or self._patient:
            self._take_turn()

    def _start(self, piece: _Piece) -> None:
        self._is_busy = True
        # The quicker of the last two runs counts: one that a neighbour on the processor held up proves nothing.
        if min(self._costs.get(piece.kind, (INLINE_LIMIT_S,))) < INLINE_LIMIT_S:
            self._finish(piece, *self._measured(piece))
            return
        running = self._loop.run_in_executor(self._thread, self._measured, piece)
        running.add_done_callback(lambda future: self._finish(piece, *future.result()))

    def _measured(self, piece: _Piece) -> tuple[Any, Exception | None]:
        began = self._clock()
        try:
            result, error = piece.work(), None
        except Exception as caught:  # told to whoever submitted it
            result, error = None, caught
        took = self._clock() - began
        self._costs[piece.kind] = (took, self._costs.get(piece.kind, (took,))[0])
        return result, error

    def _finish(self, piece: _Piece, result: Any, error: Exception | None) -> None:
        self._is_busy = False
        if self._is_closed:
            return
        piece.done(result, error)
        if self._urgent or self._patient:
            self._take_turn()
