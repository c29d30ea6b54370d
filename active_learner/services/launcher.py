"""Starts programs in order of readiness, restarts what may be restarted, ends all. Knows processes; not what they do."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from active_learner.crash_points import VARIABLE as CRASH_AT
from active_learner.services.child import Child, OnLine, Program
from active_learner.services.restarts import Again, End, Over, Restarts, said

READY_TIMEOUT_S = 120.0
"""A cold disk needs up to half a minute to import torch; nothing needs two."""

GRACE_S = 2.7
"""`up` promises to end all within 3 s; what lives after this is killed."""

LAST_GRACE_S = 1.8
"""The first program (the broker) is ended when the others have said goodbye through it, or after this."""


@dataclass(frozen=True, slots=True)
class Lives:
    """Who follows the lives of the programs from outside."""

    environment: Callable[[str], Mapping[str, str]] = lambda program: {}
    """What a life of it that begins now has in its environment beside ours."""
    ended: Callable[[str, int, Sequence[str]], None] = lambda program, code, last_words: None
    """A life has ended with that code, and with these lines."""


class Launcher:
    """Runs the programs until the work is done, one cannot go on, or it is told to stop."""

    def __init__(
        self, programs: Sequence[Program], on_line: OnLine, note: Callable[[str], None], lives: Lives | None = None
    ) -> None:
        self._programs, self._on_line, self._note = programs, on_line, note
        self._lives = lives or Lives()
        self._children: dict[str, Child] = {}
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.any_ready = False
        """False: not even the first program came up."""
        self.all_ready = asyncio.Event()
        self.result = ""
        """The line that the program whose end ends all has said."""

    async def run(self) -> End:
        """Start all, wait for the end, stop all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        starting = asyncio.create_task(self._start_all())
        try:
            either: list[asyncio.Future[Any]] = [starting, self._end]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            return await self._end
        finally:
            starting.cancel()
            await self._stop_all()

    def stop(self) -> None:
        """End all gently; called again: at once."""
        if self._end.done():
            _signal(list(self._children.values()), signal.SIGKILL)
        self._finish(End(0, "stopped"))

    def signal(self, program: str, number: int) -> None:
        """To the life of it that there is; nothing when there is none."""
        if program in self._children:
            self._children[program].signal(number)

    def _finish(self, end: End) -> None:
        if not self._end.done():
            self._end.set_result(end)

    async def _start_all(self) -> None:
        for program in self._programs:
            up = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._watched(program, up)))
            await up.wait()
            if self._end.done():  # it did not come up, or another has ended all meanwhile
                return
        self.all_ready.set()
        self._note("all are ready")

    async def _watched(self, program: Program, up: asyncio.Event) -> None:
        try:
            await self._supervise(program, up)
        except Exception as error:  # a fault of ours must end the run, not hang it
            self._finish(End(1, f"{program.name}: {type(error).__name__}: {error}"))

    async def _supervise(self, program: Program, up: asyncio.Event) -> None:
        restarts = Restarts(program.name, program.policy)
        pause: float | None = 0.0
        again = False
        while pause is not None:
            await asyncio.sleep(pause)
            child = self._children[program.name] = Child(program, self._on_line)
            code = await self._one_life(child, restarts, up, is_first=not again)
            self._lives.ended(program.name, code, child.last_words)
            pause = self._after(restarts.ended(code, asyncio.get_running_loop().time()), child, code)
            program, again = replace(program, once=()), True
        up.set()

    async def _one_life(self, child: Child, restarts: Restarts, up: asyncio.Event, *, is_first: bool) -> int:
        """Start it, say when it is ready, return its exit code."""
        no_more = {} if is_first else {CRASH_AT: ""}  # who asked for a death wants to see what comes of it
        await child.start({**no_more, **self._lives.environment(child.program.name)})
        if self._stopping:  # the stop came while it was being started
            child.signal(signal.SIGKILL)
        ended = asyncio.create_task(child.wait())
        if await self._became_ready(child, ended):
            self.any_ready = True
            restarts.ready()
            up.set()
        return await ended

    def _after(self, step: End | Again | Over, child: Child, code: int) -> float | None:
        """Seconds to the next start, or None for never."""
        if self._stopping:
            return None
        self.result = child.result or self.result
        if isinstance(step, End):
            self._finish(_with_last_words(step, child))
            return None
        name = child.program.name
        if isinstance(step, Over):
            self._note(f"{name} is done")
            return None
        self._note(f"{name} ended with {said(code)}; starting it again in {step.delay_s:g} s")
        return step.delay_s

    async def _became_ready(self, child: Child, ended: asyncio.Task[int]) -> bool:
        either: list[asyncio.Future[Any]] = [child.ready, ended]
        await asyncio.wait(either, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not child.ready.done() and not ended.done():
            self._note(f"{child.program.name} is not ready after {READY_TIMEOUT_S:.0f} s: killed")
            child.signal(signal.SIGKILL)
        return child.ready.done() and not child.ready.cancelled()

    async def _stop_all(self) -> None:
        """Everything ends within GRACE_S, the first program last."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE_S
        children = list(self._children.values())
        _signal(children[1:], signal.SIGTERM)
        await _gone(children[1:], loop.time() + LAST_GRACE_S)
        _signal(children[:1], signal.SIGTERM)
        await _gone(children, deadline)
        _signal(children, signal.SIGKILL)
        for task in self._tasks:
            task.cancel()
        await _gone(children, loop.time() + 1.0)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _signal(children: Sequence[Child], number: int) -> None:
    for child in children:
        child.signal(number)


async def _gone(children: Sequence[Child], deadline: float) -> None:
    """Wait until all have ended, or the deadline."""
    waiting = [asyncio.create_task(child.gone()) for child in children]
    if waiting:
        await asyncio.wait(waiting, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    for task in waiting:
        task.cancel()


def _with_last_words(end: End, child: Child) -> End:
    """The message of a program that could not start is what the person must read last."""
    words = [line for line in child.last_words if line.strip()]
    return End(end.code, "\n".join([f"{end.text}:", *words[-8:]]) if end.code and words else end.text)
