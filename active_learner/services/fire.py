"""A whole experiment under fire, from its start to its end: its processes, bad links, a proxy, attacks. Knows the order of
things; launcher, proxy and chaos do them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from active_learner.config import loading
from active_learner.config.schema import Config
from active_learner.crash_points import POINTS
from active_learner.faults import history
from active_learner.faults.attacks import Attack
from active_learner.faults.proxy import TcpProxy
from active_learner.faults.rules import VARIABLE as FAULTS
from active_learner.faults.rules import FaultRules
from active_learner.peer import Peer
from active_learner.results import metrics
from active_learner.services import plan
from active_learner.services.chaos import Account, Chaos
from active_learner.services.child import OnLine, Program
from active_learner.services.launcher import Launcher, Lives
from active_learner.services.observer import OBSERVER, Observer

HISTORY_FILE = "history.txt"
"""In the run folder: what the labelers said and were told."""

LOOK_S = 0.1
"""Between two looks at what the run has come to."""

SILENCE_S = 4.0
"""That long nothing passes a connection that is half open: twice as long as anybody waits for a sign of life."""

STALLED_S = 90.0
"""A run that finishes no round for so long after the last attack will not finish one."""


@dataclass(frozen=True, slots=True)
class Fire:
    """What is done to a run, and when it is enough."""

    config: Config
    """With a run folder of its own, and a broker.address where nobody is."""
    attacks: Sequence[Attack] = ()
    faults: FaultRules = field(default_factory=FaultRules)
    """Of the links of all processes."""
    cut_every_s: float = 0.0
    """All connections are cut that often; 0: never."""
    half_open_every_s: float = 0.0
    """So often nothing passes for SILENCE_S, and nobody is told; 0: never."""
    corrupt: float = 0.0
    """Share of the chunks that pass the proxy with one bit flipped."""
    seed: int = 1
    rounds: int = 1
    """So many must be finished, at least one of them after the last attack."""
    labels: int = 0
    steps: int = 0
    patience: float = 1.0
    """So many times the usual, for whatever must come before it is given up: a crash point, a return, a round."""
    minutes: float = float("inf")
    """No attack begins later."""

    @property
    def needs_proxy(self) -> bool:
        return bool(self.cut_every_s or self.half_open_every_s or self.corrupt)


class Reached(NamedTuple):
    """What a run has come to, by its finished rounds."""

    rounds: int
    labels: int
    steps: int


class Burning:
    """One run under fire. `run` returns when it has come far enough, was stopped, or stalled."""

    def __init__(self, fire: Fire, on_line: OnLine, say: Callable[[str], None]) -> None:
        self._fire, self._say = fire, say
        self._folder = loading.run_dir(fire.config)
        self._chaos = Chaos(fire.attacks, self._environment(), say, fire.patience)
        self.account: Account = self._chaos.account
        lives = Lives(self._chaos.environment, self._chaos.ended)
        self._launcher = Launcher(self._programs(), on_line, lambda text: on_line("chaos", text), lives)
        self.stalled = ""
        """Why it did not come far enough."""

    async def run(self) -> Account:
        """Start everything, attack, wait for the rounds, stop everything."""
        async with self._proxy() as proxy:
            running = asyncio.create_task(self._launcher.run())
            working = asyncio.create_task(self._work(proxy))
            await asyncio.wait({running, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()
                self.stalled = running.result().text or "it ended before it was told to"
            self._launcher.stop()
            await running
            with contextlib.suppress(asyncio.CancelledError):
                await working
        return self.account

    async def _work(self, proxy: TcpProxy | None) -> None:
        fire, loop = self._fire, asyncio.get_running_loop()
        await self._launcher.all_ready.wait()
        observer = self._observer()
        await observer.open()
        spoiling = asyncio.create_task(self._spoil(proxy)) if proxy is not None else None
        try:
            await self._chaos.attack(self._launcher, observer, loop.time() + 60 * fire.minutes)
            await self._enough(self._reached().rounds + 1 if fire.attacks else 0)
        finally:
            if spoiling is not None:
                spoiling.cancel()
            await observer.close()

    async def _enough(self, rounds: int) -> None:
        """So many rounds, and what the user wants."""
        loop, stalled_s = asyncio.get_running_loop(), STALLED_S * self._fire.patience
        last, since = self._reached(), loop.time()
        wanted = Reached(max(rounds, self._fire.rounds), self._fire.labels, self._fire.steps)
        while not all(have >= want for have, want in zip(last, wanted, strict=True)):
            await asyncio.sleep(LOOK_S)
            found = self._reached()
            if found != last:
                last, since = found, loop.time()
            elif loop.time() - since > stalled_s:
                self.stalled = f"no round was finished for {stalled_s:.0f} s after round {last.rounds}"
                return

    def _reached(self) -> Reached:
        lines = metrics.read(self._folder / metrics.METRICS_FILE)
        return Reached(len(lines), lines[-1].labels, lines[-1].model_version) if lines else Reached(0, 0, 0)

    # --- what it is made of

    def _environment(self) -> dict[str, str]:
        rules = self._fire.faults
        found = {history.VARIABLE: str(self._folder / HISTORY_FILE)}
        return {**found, FAULTS: rules.told()} if rules.is_any else found

    def _programs(self) -> list[Program]:
        config = self._fire.config
        planned = plan.programs(config, self._folder / loading.RESOLVED, (), ())
        return [self._under_fire(program) for program in planned]

    def _under_fire(self, program: Program) -> Program:
        policy = replace(program.policy, under_fire=True, ends_all=False)
        if program.name == "broker" and self._fire.needs_proxy:
            self._behind = plan.free_address()
            return replace(program, policy=policy, command=(*program.command, "--address", self._behind))
        return replace(program, policy=policy)

    @contextlib.asynccontextmanager
    async def _proxy(self) -> AsyncIterator[TcpProxy | None]:
        """In front of the broker, at the address that everybody knows."""
        if not self._fire.needs_proxy:
            yield None
            return
        host, port = _host_port(self._behind)
        own = _host_port(self._fire.config.broker.address)[1]
        async with TcpProxy(host, port, seed=self._fire.seed, own_port=own) as proxy:
            yield proxy

    async def _spoil(self, proxy: TcpProxy) -> None:
        fire = self._fire
        proxy.corrupt = fire.corrupt

        async def cut() -> None:
            proxy.cut()

        async def silence() -> None:
            self._say(f"nothing passes for {SILENCE_S:g} s")
            proxy.half_open()
            await asyncio.sleep(SILENCE_S)
            proxy.heal()
            proxy.corrupt = fire.corrupt

        async with asyncio.TaskGroup() as group:
            group.create_task(self._again_and_again("cuts", fire.cut_every_s, cut))
            group.create_task(self._again_and_again("silences", fire.half_open_every_s, silence))

    async def _again_and_again(self, what: str, every_s: float, act: Callable[[], Awaitable[None]]) -> None:
        random = Random(f"{self._fire.seed}/{what}")
        while every_s:
            await asyncio.sleep(every_s * random.uniform(0.5, 1.5))
            await act()

    def _observer(self) -> Observer:
        config = self._fire.config
        programs = {role: role for role in config.trainer.stages}
        address = self._behind if self._fire.needs_proxy else config.broker.address
        keys = loading.keys_of(config, OBSERVER)
        peer = Peer(experiment=config.name, role="monitor", address=address, keys=keys, connect_timeout_s=None)
        return Observer(peer, dict.fromkeys(config.rooms.model_dump().values()), programs)


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host, int(port)


RARE = frozenset(
    {
        "broker.between_frames",  # only messages of 64 KiB and more have several
        "evaluator.restored",  # only stages of a chain, and what a gate rolls back
        "labeler.outbox_before_compaction",  # only every so many answers
        "trainer.journal_durable",  # only with a CSV store
    }
)
"""Crash points that many experiments never come to."""


def programs_of(config: Config) -> list[str]:
    """The processes of an experiment on one machine, by name."""
    return [program.name for program in plan.programs(config, loading.run_dir(config) / loading.RESOLVED, (), ())]


def points_of(config: Config) -> dict[str, list[str]]:
    """Program -> the crash points at which it can die."""
    roles = {name: "evaluator" if name in config.trainer.stages else name for name in programs_of(config)}
    return {
        name: [point for point in POINTS if point not in RARE and _can_die_at(role, point)]
        for name, role in roles.items()
    }


def _can_die_at(role: str, point: str) -> bool:
    owner, _, moment = point.partition(".")
    return owner == role or (owner == "any" and (role != "broker" or moment == "ready"))
