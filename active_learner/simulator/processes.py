"""The processes of a simulated experiment: what each is made of, how it starts, ends, dies and comes back. Knows the real
services; not the faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from active_learner.errors import ActiveLearnerError
from active_learner.services.shell import STOP_TIMEOUT_S, Service
from active_learner.simulator.clock import Killed, ProcessLoop, VirtualTime
from active_learner.simulator.disk import SimulatedDisk

RESTART_S = (0.3, 3.0)
"""As the launcher, which starts again what ended."""

Build = Callable[["Process"], Service]


@dataclass(slots=True)
class Ends:
    """How processes ended."""

    killed: int = 0
    by_themselves: list[tuple[str, str]] = field(default_factory=list)
    """Name and what was raised."""
    broken: list[tuple[str, BaseException]] = field(default_factory=list)
    """Those that must never be: our bugs. One list for all processes of a world."""


class Process:
    """One place in the experiment; each start is a new process with a new loop, on the disk of the one before."""

    def __init__(
        self, time: VirtualTime, name: str, seed: str, build: Build, nature: ProcessLoop, tell: Callable[[str], None]
    ) -> None:
        """`seed`: of this place alone; what stands behind its first "/" names the process. `tell`: a line of the story."""
        self.time, self.name, self.seed, self._build, self._nature, self.tell = time, name, seed, build, nature, tell
        self.ends = Ends()
        self.disk = SimulatedDisk(Random(f"{seed}/disk"))
        self.disk.step = self._write_goes_on
        self.starts = 0
        self.loop: ProcessLoop | None = None
        self.service: Any = None
        self.comes_back = True
        self.dies_in_write: int | None = None
        """Parts of writes until it is killed."""
        self.slow = False
        """Its threads take longer than a loop can wait."""
        self.away_until = 0.0
        """Nobody starts it again before."""
        self.wall_offset = 0.0

    @property
    def is_up(self) -> bool:
        return self.loop is not None and not self.loop.dead

    # --- beginning and end

    def start(self) -> None:
        if self.is_up:
            return
        self.starts += 1
        random = Random(f"{self.seed}/{self.starts}")
        loop = self.loop = ProcessLoop(self.time, self.seed.partition("/")[2], random, self._failed)
        loop.wall_offset = self.wall_offset
        loop.process = self
        loop.seconds_of = self._work_time(random)
        self.tell(f"{self.name} starts, number {self.starts}")
        loop.run_now(self._begin)

    def _work_time(self, random: Random) -> Callable[[], float]:
        low, high = (0.003, 0.2) if self.slow else (0.0002, 0.003)
        return lambda: random.uniform(low, high)

    def _begin(self) -> None:
        assert self.loop is not None
        self.service = self._build(self)
        self.loop.create_task(self._live(self.loop, self.service))

    async def _live(self, loop: ProcessLoop, service: Service) -> None:
        """As services/shell.py, without signals and standard output."""
        error: BaseException | None = None
        try:
            starting = asyncio.ensure_future(service.start())
            either: set[asyncio.Future[Any]] = {starting, service.done}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await service.done
            else:
                starting.cancel()
                service.done.result()
        except Exception as raised:
            error = raised
        try:
            await asyncio.wait_for(service.stop(), STOP_TIMEOUT_S)
        except TimeoutError:
            self.tell(f"{self.name} gave up flushing")
        except Exception as raised:
            error = error or raised
        self._ended(loop, error)

    def _ended(self, loop: ProcessLoop, error: BaseException | None) -> None:
        if isinstance(error, ActiveLearnerError):
            self.ends.by_themselves.append((self.name, type(error).__name__))
        elif error is not None:
            self.ends.broken.append((self.name, error))
        self.tell(f"{self.name} ends: {error if error is not None else 'done'}")
        loop.die()
        self._after_end()

    def _failed(self, error: BaseException) -> None:
        """What a callback of the loop raised, or the kill that was due."""
        if isinstance(error, Killed):
            self.kill()
            return
        self.ends.broken.append((self.name, error))

    def _after_end(self) -> None:
        if self.disk.locked_by is self.loop:
            self.disk.locked_by = None
        self.dies_in_write = None
        self.on_end(self)
        if self.comes_back:
            rest = Random(f"{self.seed}/{self.starts}/back").uniform(*RESTART_S)
            self._nature.after(max(rest, self.away_until - self.time.now), self.start)

    on_end: Callable[[Process], None] = staticmethod(lambda process: None)
    """Told that it is no more."""

    # --- fate

    def kill(self) -> None:
        """SIGKILL, and the power with it: what its disk had not synced is lost."""
        if not self.is_up:
            return
        assert self.loop is not None
        self.ends.killed += 1
        self.tell(f"{self.name} is killed")
        self.loop.die()
        self.disk.crash()
        self._after_end()

    def stop(self) -> None:
        """SIGTERM."""
        if self.is_up and self.service is not None:
            self.tell(f"{self.name} is told to stop")
            assert self.loop is not None
            self.loop.run_now(self.service.finish)

    def pause(self) -> None:
        """SIGSTOP."""
        if self.is_up and self.loop is not None:
            self.loop.pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self.loop is not None and self.loop.paused:
            self.loop.resume()

    def _write_goes_on(self) -> None:
        if self.dies_in_write is None:
            return
        self.dies_in_write -= 1
        if self.dies_in_write < 0:
            self.tell(f"{self.name} dies in a write")
            self.kill()
            raise Killed
