"""Virtual time: one heap of all that will happen, and an event loop a process that puts its work there. Knows no process.

Services run on it unchanged: it is the asyncio loop that they see. Time passes only from one entry of the heap to the next.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from random import Random
from typing import Any

LOOK_S = 1.0
"""Timers up to this long are looks at what is due. They come more and more seldom while nothing happens: an idle hour
would otherwise cost a million of them."""

LONGEST_LOOK_S = 60.0

ALERT_S = 0.5
"""Between two looks at most while something is not answered: a silence must not look like a sleep of one's own."""

LATER = 1.0
"""The next look comes when the quiet time so far has passed again, times this."""

Entry = tuple[float, int, "ProcessLoop", Any, bool]


class Killed(BaseException):
    """The process ends here and now, wherever it stands. No `except Exception` sees it."""


class VirtualTime:
    """`at` is when, `run` is now. Of entries of one moment the one that was put in first comes first."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = self.loops = 0
        self._heap: list[Entry] = []
        self._numbers = count()

    def put(self, at: float, loop: ProcessLoop, work: Any, look: bool = False) -> None:
        heapq.heappush(self._heap, (at if at > self.now else self.now, next(self._numbers), loop, work, look))

    def run(self, until: float, seen: Callable[[ProcessLoop], None], limit: int = 1 << 60) -> bool:
        """All that happens up to `until`; `seen` is told after each event. False: `limit` events came first."""
        heap, limit = self._heap, self.events + limit
        while heap and heap[0][0] <= until:
            if self.events >= limit:
                return False
            self.now, _, loop, work, look = heapq.heappop(heap)
            if loop.do(work, look):
                self.events += 1
                seen(loop)
        self.now = max(self.now, until)
        return True


class ProcessLoop(asyncio.BaseEventLoop):
    """The loop of one process, from its start to its end. Work that is due while it is paused waits; after its death nothing
    is done any more."""

    def __init__(self, time: VirtualTime, name: str, random: Random, failed: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._virtual, self.name, self.random, self._failed = time, name, random, failed
        self.dead = self.paused = self.alert = False
        self.number = time.loops = time.loops + 1
        """Of all loops of a run, in the order of their beginning."""
        self.wall_offset = 0.0
        """What the wall clock shows more than it should."""
        self.seconds_of: Callable[[], float] = lambda: 0.0005
        """How long a piece of work in another thread takes."""
        self.process: Any = None
        """Whose loop it is; None: nature's."""
        self.dies_after: int | None = None
        """Events until this process is killed."""
        self._context = copy_context()
        self._deferred: deque[tuple[Any, bool]] = deque()
        self._looks: dict[asyncio.Handle, float] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._woken_at = self._paused_at = time.now
        self._threads: dict[Any, float] = {}
        """Until when each is busy."""

    # --- what services see

    def time(self) -> float:
        return self._virtual.now

    def wall(self) -> float:
        """Seconds since 1970, as this process sees them."""
        return 1.7e9 + self._virtual.now + self.wall_offset

    def is_closed(self) -> bool:
        """Never: there is nothing to close, and nothing to warn of."""
        return True

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context or self._context)
        self._virtual.put(self._virtual.now, self, handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        delay = when - self._virtual.now
        look = 0.0 < delay <= LOOK_S
        due = self._virtual.now + self._stretched(delay) if look else when
        handle = asyncio.TimerHandle(due, callback, args, self, context or self._context)
        if look:
            self._looks[handle] = delay
        self._virtual.put(due, self, handle, look)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._virtual.now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._looks.pop(handle, None)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Another thread of the process: it works at the end of the time that it takes, and is heard in the next event. One
        executor does one piece after the other; None is a thread for each."""
        future = self.create_future()
        begins = max(self._virtual.now, self._threads.get(executor, 0.0)) if executor is not None else self._virtual.now
        ends = begins + self.seconds_of()
        if executor is not None:
            self._threads[executor] = ends
        self.after(ends - self._virtual.now, lambda: self._worked(future, func, args))
        return future

    def _worked(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = func(*args)
        except Exception as error:  # handed to whoever awaits it, as a thread pool does
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def after(self, delay: float, work: Callable[[], object]) -> None:
        """Do it exactly then: never a look."""
        self._virtual.put(self._virtual.now + delay, self, work)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self.dead and error is not None:
            self._failed(error)

    # --- what the simulation does with it

    def do(self, work: Any, look: bool) -> bool:
        """One event. False: nothing came of it."""
        if self.dead or (look and self._looks.pop(work, None) is None):
            return False
        if self.paused:
            self._deferred.append((work, look))
            if look:
                self._looks[work] = LOOK_S
            return False
        if self.dies_after is not None and self._is_last():
            return False
        self.run_now(work)
        return True

    def _is_last(self) -> bool:
        assert self.dies_after is not None
        self.dies_after -= 1
        if self.dies_after < 0:
            self._failed(Killed())
        return self.dead

    def run_now(self, work: Any) -> None:
        """Inside this process."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            if isinstance(work, asyncio.Handle):
                if not work.cancelled():
                    work._run()
            else:
                work()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if not self.dead:
                self._failed(error)
        finally:
            events._set_running_loop(before)

    def wake(self) -> None:
        """Something happened: looks are frequent again."""
        now = self._virtual.now
        quiet, self._woken_at = now - self._woken_at, now
        if quiet > LOOK_S:
            for handle, delay in self._looks.items():
                self._virtual.put(now + delay, self, handle, look=True)

    def _stretched(self, delay: float) -> float:
        longest = ALERT_S if self.alert else LONGEST_LOOK_S
        return max(delay, min(longest, LATER * (self._virtual.now - self._woken_at)))

    def pause(self) -> None:
        if not self.paused:
            self.paused, self._paused_at = True, self._virtual.now

    def silent_for(self) -> float:
        """Seconds since it last ran, or could have."""
        if self.dead:
            return float("inf")
        return self._virtual.now - self._paused_at if self.paused else 0.0

    def resume(self) -> None:
        self.paused = False
        self.wake()
        deferred, self._deferred = self._deferred, deque()
        for work, look in deferred:
            self._virtual.put(self._virtual.now, self, work, look)

    def die(self) -> None:
        """Whatever it was about to do is not done."""
        self.dead = True
        tasks, self._tasks = list(self._tasks), {}
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            if task is not asyncio.tasks._current_tasks.get(self):  # type: ignore[attr-defined]
                _end(task.get_coro())
        self._looks.clear()
        self._deferred.clear()


def _end(coroutine: Any) -> None:
    """Its `finally` clauses run in a dead process, where nothing has an effect; what they still wait for never comes."""
    try:
        coroutine.close()
    except (RuntimeError, ValueError):
        return
