"""What a simulated fate does to an experiment: every kind of fault, when it comes, and how it ends. Knows processes, network and
disks from outside; not the services."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from active_learner.simulator import engine, plots
from active_learner.simulator.network import HEARTBEAT_S, Weather
from active_learner.simulator.people import HOUR_S, Temper
from active_learner.simulator.processes import Process

if TYPE_CHECKING:
    from active_learner.simulator.world import World

CALM = Weather()
STORM = Weather(drop=0.08, duplicate=0.25, reorder=0.15, delay=0.05, delay_s=3.0)
QUIET_S = 900.0
"""Between two faults while everybody waits for somebody who walked away."""
QUIET_THINK_S = (100.0, 600.0)
"""Then those that are left take their time too."""
WALL_JUMPS_S = (-HOUR_S, -1.0, 1.0, HOUR_S)
SICK = (("forward",), ("apply",), ("evaluate",), ("infer",), ("forward", "apply", "evaluate", "infer"), ("rows",))
"""What a sick network cannot do."""


class Fate:
    """Draws faults for one world, of the kinds that its seed has chosen."""

    def __init__(self, world: World, random: Random) -> None:
        self.world, self._random = world, random
        self._nature = world.nature
        self.is_over = False
        self._awaited: dict[tuple[str, str], Callable[[Process], None]] = {}
        kinds = list(KINDS)
        share = random.choice((0.0, 0.2, 0.4, 0.7, 1.0, 1.0))
        self.kinds = [kind for kind in kinds if random.random() < share]
        self.mean_s = random.choice((3.0, 6.0, 15.0))

    def begin(self) -> None:
        """The first fault comes when the processes have met."""
        self._nature.after(self.world.busy_until, self._calm_down)
        if self.world.drill is not None:
            self.world.drill.start(self, self._random)
        if self.world.experiment.draft.storm:
            self.world.network.weather = STORM
        if self.world.experiment.draft.backups and "old store" in self.kinds:
            self._nature.after(self._random.uniform(8.0, self.world.busy_until), lambda: self.do("old store"))
        if self.kinds:
            self._nature.after(3.0 + self._random.expovariate(1.0 / self.mean_s), self._strike)

    def _strike(self) -> None:
        if self.is_over or not self.kinds:
            return
        kind = self._random.choice(self.kinds)
        if "ambush" in self.kinds and self._random.random() < 0.3:
            kind = "ambush"  # half of them are at rows that do not come
        self.do(kind)
        quiet = self.world.time.now > self.world.busy_until
        self._nature.after(self._random.expovariate(1.0 / (QUIET_S if quiet else self.mean_s)), self._strike)

    def do(self, kind: str) -> None:
        """Strike now, unless the faults are over or it cannot be done."""
        if not self.is_over and KINDS[kind](self, self._random):
            self.world.faults[kind] += 1
            self.world.tell(f"fault: {kind}")
            self.world.wake_all()

    def _calm_down(self) -> None:
        """What is left are hours in which somebody is away: not much happens, so that they cost little."""
        if not self.is_over:
            draft = self.world.experiment.draft
            draft.temper.think_s, draft.storm = QUIET_THINK_S, False
            self.world.network.weather = CALM
            self.world.sources_rest()

    # --- of the network

    def weather(self, random: Random) -> bool:
        """A time in which messages are lost, doubled, overtaken or late; counted by what happens to each."""
        high = random.choice((0.05, 0.2))
        rough = Weather(
            drop=random.choice((0.0, high)),
            duplicate=random.choice((0.0, high)),
            reorder=random.choice((0.0, high)),
            delay=random.choice((0.0, high / 4)),
            delay_s=random.choice((1.0, 30.0)),
        )
        self.world.network.weather = rough
        self.later(random.uniform(2.0, 30.0), self._clear_up)
        return True

    @property
    def temper(self) -> Temper:
        return self.world.experiment.draft.temper

    def blow(self, seconds: float, weather: Weather) -> None:
        """For so long."""
        self.world.network.weather = weather
        self.later(seconds, self._clear_up)

    def _clear_up(self) -> None:
        stormy = self.world.experiment.draft.storm and not self.is_over
        self.world.network.weather = STORM if stormy else CALM

    def cut(self, random: Random) -> bool:
        """A connection is reset: both ends know at once."""
        link = self.world.network.link_of(self._any(random).name)
        if link is None or link.connection is None:
            return False
        self.world.network.close(link.connection)
        return True

    def half_open(self, random: Random) -> bool:
        """The cable is cut: nobody is told, and the transports find out by their heartbeat."""
        network, name = self.world.network, self._any(random).name
        connection = network.hold(name)
        if connection is None:
            return False
        seconds = random.uniform(0.3, 12.0)
        if seconds > HEARTBEAT_S:
            connection.link.cut_until = self.world.time.now + seconds
            self.later(HEARTBEAT_S, lambda: network.close(connection))
        else:
            self.later(seconds, lambda: network.let_go(connection))
        return True

    def slow_consumer(self, random: Random) -> bool:
        """A peer does not read; its queue at the broker grows."""
        connection = self.world.network.hold(self._any(random).name)
        if connection is None:
            return False
        self.later(random.uniform(1.0, 40.0), lambda: self.world.network.let_go(connection))
        return True

    def swizzle_clog(self, random: Random) -> bool:
        """Links are stopped one by one and let go in another order."""
        network, names = self.world.network, [name for name in self.world.processes if name != "broker"]
        random.shuffle(names)
        chosen = names[: random.randint(2, len(names))]
        held = [connection for name in chosen if (connection := network.hold(name)) is not None]
        order = random.sample(held, len(held))
        for number, connection in enumerate(order):
            self.later(2.0 + number * random.uniform(0.1, 2.0), partial(network.let_go, connection))
        return bool(held)

    # --- of processes

    def kill(self, random: Random) -> bool:
        """SIGKILL at any event of any process."""
        process = self._any(random, broker=True)
        if not process.is_up or process.loop is None:
            return False
        process.loop.dies_after = random.choice((0, random.randrange(10), random.randrange(200)))
        return True

    def kill_in_a_write(self, random: Random) -> bool:
        process = self._with_disk(random)
        process.dies_in_write = random.randrange(8)
        return process.is_up

    def pause(self, random: Random) -> bool:
        """SIGSTOP, and SIGCONT after a while."""
        process = self._any(random, broker=True)
        if not process.is_up:
            return False
        self.stop_for(process, random.uniform(0.2, 15.0))
        return True

    def absence(self, random: Random) -> bool:
        """Killed, and for some time nobody starts it again."""
        process = self._any(random)
        process.away_until = self.world.time.now + random.uniform(4.0, 30.0)
        process.kill()
        return True

    def graceful_stop(self, random: Random) -> bool:
        process = self._any(random, broker=True)
        process.stop()
        return process.is_up

    def slow_machine(self, random: Random) -> bool:
        """The next start of a process is on a busy machine, or on a quiet one again."""
        process = self._with_disk(random)
        process.slow = not process.slow
        process.kill()
        return True

    def old_checkpoint(self, random: Random) -> bool:
        """A stage comes back with its folder of some time ago."""
        process = self.stage(random)
        process.kill()
        return engine.set_back(process.disk, process.name)

    def damaged_checkpoint(self, random: Random) -> bool:
        """The newest, which a stage that starts looks at, or any, which it has already called good."""
        process = self.stage(random)
        newest = random.random() < 0.5
        if newest:
            process.kill()
        return engine.damage(process.disk, process.name, random, newest)

    def second_evaluator(self, random: Random) -> bool:
        """Somebody starts another process of a stage, with a folder of its own."""
        rival = self.world.rival(self.stage(random).name)
        if rival.is_up:
            return False
        rival.start()
        self.later(random.uniform(3.0, 20.0), rival.kill)
        return True

    def second_trainer(self, random: Random) -> bool:
        """On the same store."""
        rival = self.world.rival("trainer")
        if rival.is_up:
            return False
        rival.start()
        self.later(random.uniform(3.0, 20.0), rival.kill)
        return True

    def chatterbox(self, random: Random) -> bool:
        """A peer that says again, in its own name, what it hears, and worse."""
        chatterbox = self.world.chatterbox
        if chatterbox.is_up:
            return False
        chatterbox.start()
        for _ in range(2):
            self.later(random.uniform(0.0, 10.0), lambda: self._lose(chatterbox, random))
        self.later(random.uniform(3.0, 20.0), random.choice((chatterbox.kill, chatterbox.stop)))
        return True

    def operator(self, random: Random) -> bool:
        """Somebody stops the sources and starts them again."""
        operator = self.world.operator
        if operator.is_up:
            return False
        operator.start()
        return True

    # --- of disks, numbers, clocks

    def disk_full(self, random: Random) -> bool:
        disk = self._with_disk(random).disk
        disk.is_full = True
        self.later(random.uniform(0.5, 20.0), lambda: setattr(disk, "is_full", False))
        return True

    def failing_fsync(self, random: Random) -> bool:
        disk = self._with_disk(random).disk
        disk.sync_fails = True
        self.later(random.uniform(0.5, 8.0), lambda: setattr(disk, "sync_fails", False))
        return True

    def sick_network(self, random: Random) -> bool:
        """A network returns numbers that are not finite for a time, or too many, until somebody starts it again."""
        process = self.stage(random)
        backend = getattr(process.service, "_backend", None) if process.is_up else None
        if backend is None:
            return False
        backend.sick = frozenset(random.choice(SICK))
        over = process.kill if "rows" in backend.sick else partial(setattr, backend, "sick", frozenset())
        self.later(random.uniform(1.0, 40.0), over)
        return True

    def clock_jump(self, random: Random) -> bool:
        """Of the wall clock; the monotonic one goes on."""
        process = self._any(random)
        process.wall_offset += random.choice(WALL_JUMPS_S)
        if process.loop is not None:
            process.loop.wall_offset = process.wall_offset
        return True

    # --- of people and sources

    def silent_source(self, random: Random) -> bool:
        habit = random.choice(self.world.experiment.draft.habits)
        habit.silent_until = self.world.time.now + random.uniform(2.0, 60.0)
        return True

    def moods(self, random: Random) -> bool:
        """People skip, change their mind, press wrong keys, leave, or walk away for hours; counted by what they do."""
        temper = self.world.experiment.draft.temper
        temper.skip, temper.undo, temper.revise = (random.choice((0.0, 0.2, 0.6)) for _ in range(3))
        temper.wrong_key, temper.leave = random.choice((0.0, 0.1)), random.choice((0.0, 0.05))
        temper.astray = random.choice((0.0, 0.1))
        quiet = self.world.time.now > self.world.busy_until
        temper.walk_away = 0.0 if quiet else random.choice((0.0, 0.05, 0.1))
        return True

    # --- small things

    def _lose(self, process: Process, random: Random) -> None:
        """Its connection is reset, for some seconds, or does not bring anything."""
        link = self.world.network.link_of(process.name)
        if link is None or link.connection is None:
            return
        connection = link.connection
        link.cut_until = self.world.time.now + random.uniform(0.0, 3.0)
        if random.random() < 0.5:
            self.world.network.close(connection)
        else:
            connection.held = True
            self.later(3.0, lambda: self.world.network.close(connection))

    def stop_for(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after that time, if it still lives."""
        process.pause()
        loop = process.loop
        self.later(seconds, lambda: process.resume() if process.loop is loop else None)

    def await_row(self, row: tuple[str, str], act: Callable[[Process], None]) -> None:
        """`act` on the process whose machine comes to that row (machine, trigger) next."""
        self._awaited[row] = act

    def row(self, machine: str, trigger: str, process: Process | None) -> None:
        """A machine of that process comes to a row."""
        act = self._awaited.pop((machine, trigger), None) if self._awaited else None
        if act is not None and process is not None and not self.is_over:
            act(process)

    def later(self, seconds: float, end: Callable[[], object]) -> None:
        def over() -> None:
            end()
            self.world.wake_all()

        self._nature.after(seconds, over)

    def strike_later(self, seconds: float, act: Callable[[], object]) -> None:
        """Unless the faults are over then."""
        self.later(seconds, lambda: None if self.is_over else act())

    def _any(self, random: Random, broker: bool = False) -> Process:
        names = [name for name in self.world.processes if broker or name != "broker"]
        return self.world.processes[random.choice(names)]

    def stage(self, random: Random) -> Process:
        return self.world.processes[random.choice(self.world.experiment.roles)]

    def labeler(self, random: Random) -> Process:
        return self.world.processes[
            random.choice([name for name in self.world.processes if name.startswith("labeler")])
        ]

    def _with_disk(self, random: Random) -> Process:
        return self.world.processes[
            random.choice([name for name in self.world.processes if name[:6] not in ("broker", "source")])
        ]


KINDS: dict[str, Callable[[Fate, Random], bool]] = {
    "weather": Fate.weather,
    "cut": Fate.cut,
    "half-open": Fate.half_open,
    "slow consumer": Fate.slow_consumer,
    "swizzle-clog": Fate.swizzle_clog,
    "kill": Fate.kill,
    "kill in a write": Fate.kill_in_a_write,
    "pause": Fate.pause,
    "graceful stop": Fate.graceful_stop,
    "absence": Fate.absence,
    "slow machine": Fate.slow_machine,
    "old checkpoint": Fate.old_checkpoint,
    "damaged checkpoint": Fate.damaged_checkpoint,
    "second evaluator": Fate.second_evaluator,
    "replaced evaluator": plots.replaced_evaluator,
    "take-over": plots.take_over,
    "ambush": plots.ambush,
    "old store": plots.old_store,
    "slow road": plots.slow_road,
    "second trainer": Fate.second_trainer,
    "chatterbox": Fate.chatterbox,
    "operator": Fate.operator,
    "disk full": Fate.disk_full,
    "failing fsync": Fate.failing_fsync,
    "sick network": Fate.sick_network,
    "clock jump": Fate.clock_jump,
    "silent source": Fate.silent_source,
    "moods": Fate.moods,
    "empty chair": plots.empty_chair,
}

COUNTED_BY_ITSELF = ("drop", "duplicate", "reorder", "delay", "walk away", "torn write", "lost with the connection")
"""Kinds that a message, a person or a crash brings, not a strike of fate."""
