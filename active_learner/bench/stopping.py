"""Processes that stop: how soon another peer is told of one that hangs (SIGSTOP), and how soon one that is asked to (SIGTERM) has ended.

On the digits that ship, while they train: every process as a user starts it, one at a time, and each comes back afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from active_learner.bench.outcome import Goal, Outcome, middle
from active_learner.config import loading, run_folder
from active_learner.config.schema import Config
from active_learner.peer import Peer
from active_learner.services import plan
from active_learner.services.child import Child, Program
from protocol.messages import Member, StatusReport

REPEATS = 10
NOTICED_S, ENDED_S = 2.0, 3.0
"""Promised: the longest, not the median."""
PATIENCE_S = 60.0
"""For what must come before it is given up: a start, a return, a step."""
WATCHER = "watch"

SETS = ("trainer.epochs=40", "trainer.initial_labels=40", "validation.path=null", "labeler.delay_s=0.05")
"""Rounds of many steps, so that most stops fall into one."""

Times = dict[str, list[float]]


def bench(repeats: int = REPEATS) -> Outcome:
    """`repeats` times each process of one run hangs, and as often it is asked to stop."""
    outcome = Outcome("stopping", ("process", "what", "p50 s", "max s", "times"))
    with tempfile.TemporaryDirectory(prefix="stopping-") as folder:
        sets = (*SETS, f"run_dir={Path(folder) / 'run'}", f"broker.address={plan.free_address()}")
        config = loading.load("digits", sets)
        run_folder.prepare(config)
        hung, asked = asyncio.run(_measured(config, repeats))
    for what, times in (("hung: noticed", hung), ("asked: ended", asked)):
        outcome.figures[what] = times
        for name, found in times.items():
            outcome.rows.append((name, what, f"{middle(found):.2f}", f"{max(found):.2f}", str(len(found))))
    for words, times, most in (("a hung one is noticed", hung, NOTICED_S), ("who is asked has ended", asked, ENDED_S)):
        longest = max(map(max, times.values()))
        outcome.goals.append(Goal(f"{words} within {most:.0f} s, each time", f"{longest:.2f} s", longest <= most))
    return outcome


async def _measured(config: Config, repeats: int) -> tuple[Times, Times]:
    """Seconds until the watcher was told, and until the process was gone."""
    hung: Times = defaultdict(list)
    asked: Times = defaultdict(list)
    async with _running(config) as children:
        watcher = Watcher(config.name, config.broker.address)
        async with watcher.peer:
            await watcher.peer.join(config.rooms.control)
            await watcher.next_step()
            for _ in range(repeats):
                for name in list(children):
                    hung[name].append(await _hang(children[name], watcher))
            for _ in range(repeats):
                for name, child in list(children.items()):
                    asked[name].append(await _stop(child))
                    children[name] = await _started(child.program)
                    await watcher.next_step()
    return dict(hung), dict(asked)


async def _hang(child: Child, watcher: Watcher) -> float:
    watcher.forget()
    began = _now()
    child.signal(signal.SIGSTOP)
    await watcher.sees(child.program.name, False)
    took = _now() - began
    child.signal(signal.SIGCONT)
    await watcher.sees(child.program.name, True)
    await watcher.next_step()
    return took


async def _stop(child: Child) -> float:
    """Raises: RuntimeError when it did not end as one that was asked to."""
    began = _now()
    child.signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE_S):
        await child.gone()
    took = _now() - began
    if code := await child.wait():
        raise RuntimeError(f"{child.program.name} ended with exit code {code}: {' / '.join(child.last_words)}")
    return took


@contextlib.asynccontextmanager
async def _running(config: Config) -> AsyncIterator[dict[str, Child]]:
    """All processes of the experiment by name, in the order in which `up` starts them."""
    children: dict[str, Child] = {}
    try:
        for program in plan.programs(config, loading.run_dir(config) / loading.RESOLVED, (), ()):
            children[program.name] = await _started(program)
        yield children
    finally:
        for child in children.values():
            child.signal(signal.SIGKILL)
            await child.gone()


async def _started(program: Program) -> Child:
    """Raises: RuntimeError when it is not ready in time, or ends before."""
    child = Child(program, lambda name, line: None)
    await child.start({})
    ended = asyncio.create_task(child.gone())
    either: list[asyncio.Future[Any]] = [child.ready, ended]
    await asyncio.wait(either, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if not child.ready.done():
        child.signal(signal.SIGKILL)
        raise RuntimeError(f"{program.name} did not become ready: {' / '.join(child.last_words)}")
    return child


class Watcher:
    """A peer that is told who comes and goes, and how far the trainer is; of the broker, whether it is there."""

    def __init__(self, experiment: str, address: str) -> None:
        self.peer = Peer(experiment=experiment, role=WATCHER, address=address, connect_timeout_s=PATIENCE_S)
        self._told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.peer.on_presence = self._presence
        self.peer.on_session = lambda here: self._told.put_nowait(("broker", here))

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        self._told.put_nowait((member.role, here))

    def forget(self) -> None:
        """What was told until now."""
        while not self._told.empty():
            self._told.get_nowait()

    async def sees(self, role: str, here: bool) -> None:
        """Raises: TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._told.get() != (role, here):
                pass

    async def next_step(self) -> None:
        """Raises: TimeoutError when the trainer does not come further than it has been."""
        first: int | None = None
        async with asyncio.timeout(PATIENCE_S):
            async for received in self.peer:
                if isinstance(received.message, StatusReport):
                    first = received.message.step if first is None else first
                    if received.message.step > first:
                        return


def _now() -> float:
    return asyncio.get_running_loop().time()
