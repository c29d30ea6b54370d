"""One simulated run from its seed to its verdict: the processes start, a fate disturbs them, everything heals, and what was
begun must come to an end. Knows all the parts; what must hold is in invariants.py, what goes wrong in faults.py."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from random import Random
from typing import Any

from active_learner.core.machine import Machine
from active_learner.core.proposing_events import ControlArrived
from active_learner.simulator.clock import ProcessLoop, VirtualTime
from active_learner.simulator.drills import drill_of
from active_learner.simulator.experiment import Draft, Experiment, draft
from active_learner.simulator.faults import CALM, Fate
from active_learner.simulator.invariants import INVARIANTS
from active_learner.simulator.network import Network, SimulatedLink, SimulatedRouter, Weather
from active_learner.simulator.people import HOUR_S, Temper
from active_learner.simulator.processes import Process
from active_learner.simulator.substitutes import here, standing_in
from active_learner.simulator.watch import Violated, Watch
from active_learner.simulator.witness import Handled, Witness
from active_learner.transport.base import Frames
from protocol.codec import decode
from protocol.envelope import Envelope
from protocol.messages import Answer, LogLine, Question
from protocol.schema import KINDS

STORY = 60
"""Lines told when something went wrong."""
DIGESTED = 4096
"""Events whose moments are digested together."""
UNTOLD = frozenset(("tick", "stale", "not for us"))
"""Rows that come all the time."""

STALE_S = 60.0
"""After that long nothing is under way any more that was said before all faults stopped."""
HEAL_S = 1500.0
"""In this time after the last fault all that was begun must be over: the longest wait of a machine is 30 s, but a person may just
have begun to think for 600."""

RAIN, LONGEST_RAIN_S = Weather(drop=0.2, duplicate=0.1), 90.0

MOST_EVENTS = 100_000
"""In a minute, ten times what a busy one has: more is a storm."""

LATE, LATE_S = 0.15, (6.0, 20.0)
"""Share of the evaluators that are started last."""

SMALLEST_BACKUP = 6
"""Entries of a store: a person makes no copy of less."""

NIGHTS, NIGHT_S = 0.6, (0.5 * HOUR_S, 2.5 * HOUR_S)
"""Share of the patient runs that have a night, in which little is done and a fault comes now and then."""

MORE_ROUNDS = 1
"""That training must do after the faults."""


@dataclass(slots=True)
class Verdict:
    """What one seed came to."""

    seed: int
    violation: str = ""
    story: list[str] = field(default_factory=list)
    events: int = 0
    virtual_s: float = 0.0
    digest: str = ""
    """Of all events in their order."""
    rounds: int = 0
    answers: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    checks: Counter[int] = field(default_factory=Counter)


class World:
    """`trace`: keep every line of the story, not only the last."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.seed = seed
        self.random = Random(f"{seed}/world")
        self.time = VirtualTime()
        self.story: deque[tuple[float, str, tuple[str, ...]]] = deque(maxlen=None if trace else STORY)
        """When, and a text with its parts, which are put together when it is told."""
        self.nature = ProcessLoop(self.time, "nature", Random(f"{seed}/nature"), self._raise)
        self.network = Network(self.time, Random(f"{seed}/network"), self.nature)
        self.drill = drill_of(seed)
        self.experiment = Experiment(self._drafted(), seed, self.network)
        self.rows: Counter[tuple[str, str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.broken: list[tuple[str, BaseException]] = []
        """Processes that ended, or did not even begin, by a mistake of ours."""
        builders = self.experiment.builders()
        self.processes = {name: self._process(name, build) for name, build in builders.items()}
        self._builders = builders
        self._rivals: dict[str, Process] = {}
        self.chatterbox = self._process("chatterbox", self.experiment.chatterbox)
        self.operator = self._process("operator", self.experiment.operator)
        self.chatterbox.comes_back = self.operator.comes_back = False
        self.fate = Fate(self, Random(f"{seed}/fate"))
        self.watch = Watch(self.experiment, self.processes, INVARIANTS)
        self._witness = Witness(Random(f"{seed}/witness"), self.watch.run)
        self._digest = blake2b(digest_size=16)
        self._seen_at, self._seen_who = array("d"), array("H")
        self.busy_until = max(self.random.choice((20.0, 40.0, 90.0)), self.drill.busy_s if self.drill else 0.0)
        has_night = self.experiment.draft.is_patient and self.random.random() < NIGHTS
        self.horizon = self.busy_until + (self.random.uniform(*NIGHT_S) if has_night else 0.0)
        self.deadline = 1e9
        self.target = 0
        self.healed_at = 0.0
        self.open_at_heal: list[str] = []
        self._observe_people()

    def _drafted(self) -> Draft:
        made = draft(Random(f"{self.seed}/draft"))
        if self.drill is not None:
            self.drill.set_up(made)
        return made

    def _process(self, name: str, build: Any, which: str = "") -> Process:
        process = Process(self.time, name, f"{self.seed}/{name}{which}", build, self.nature, self.tell)
        process.on_end, process.ends.broken = self._detach, self.broken
        return process

    def _observe_people(self) -> None:
        experiment, watch = self.experiment, self.watch

        def said(name: str, room: str, message: Any) -> None:
            if isinstance(message, Answer):
                watch.said[message.id] = message

        def walked_away(name: str, seconds: float) -> None:
            self.faults["walk away"] += 1
            self.tell(f"{name} walks away for {seconds:.0f} s")
            self.horizon = max(self.horizon, self.time.now + seconds)
            if self.time.now > self.busy_until:
                self.sources_rest()

        experiment.said, experiment.walked_away, experiment.told = said, walked_away, watch.told

    # --- for the fate

    def rival(self, name: str) -> Process:
        """Another process of that name; a second trainer uses the same disk."""
        found = self._rivals.get(name)
        if found is None:
            found = self._rivals[name] = self._process(name, self._builders[name], "/rival")
            found.comes_back = False
            if name == "trainer":
                found.disk = self.processes[name].disk
        return found

    def put_store_back(self, random: Random) -> bool:
        """From a backup of some time ago; False: there is none."""
        trainer = self.processes["trainer"]
        if not self.experiment.draft.backups or self.watch.entries < SMALLEST_BACKUP:
            return False
        others = [process for name, process in self.processes.items() if name.startswith("labeler")]
        for process in (trainer, self.rival("trainer"), *others):
            process.kill()  # labelers too: one that goes on knows questions as answered whose answers are there no more
        self.watch.put_back(random.randint(self.watch.entries // 2, self.watch.entries - 1))
        trainer.disk.is_older = True
        return True

    def sources_rest(self) -> None:
        """Until the faults end: what they propose in an idle hour proves nothing."""
        for habit in self.experiment.draft.habits:
            habit.silent_until = self.horizon

    def wake_all(self) -> None:
        """Something changed in the world: everybody looks at what is due."""
        for process in self.processes.values():
            if process.loop is not None and process.is_up:
                process.loop.wake()

    def tell(self, words: str) -> None:
        self.story.append((self.time.now, "{}", (words,)))

    # --- the run

    def run(self) -> Verdict:
        verdict = Verdict(self.seed)
        with self._observed():
            try:
                self._live()
            except Violated as violated:
                verdict.violation = str(violated)
        self._sum_up(verdict)
        return verdict

    def _live(self) -> None:
        for process in self.processes.values():
            process.slow = self.experiment.draft.slow
            is_late = process.name in self.experiment.roles and self.random.random() < LATE
            self.nature.after(self.random.uniform(*(LATE_S if is_late else (0.0, 2.0))), process.start)
        self.fate.begin()
        while self.time.now < self.horizon:
            self._until(min(self.horizon, self.time.now + 60.0))
        self._heal()
        if self.random.random() < 0.5:
            self._rain()
        while not self._is_done() and self.time.now < self.deadline:
            self._until(self.time.now + 1.0)
        self.watch.run("end", self)

    def _until(self, at: float) -> None:
        if not self.time.run(at, self._seen, MOST_EVENTS):
            raise Violated(14, "no storm", f"{MOST_EVENTS} events in a minute and no end")

    def _seen(self, loop: ProcessLoop) -> None:
        self._seen_at.append(self.time.now)
        self._seen_who.append(loop.number)
        if len(self._seen_at) >= DIGESTED:
            self._digest_seen()
        if self.broken:
            _tell_broken(*self.broken[0])
        process: Process | None = loop.process
        if process is not None:
            self.watch.event_over(process)

    def _digest_seen(self) -> None:
        """When each event was and whose, since the last time."""
        self._digest.update(self._seen_at.tobytes())
        self._digest.update(self._seen_who.tobytes())
        del self._seen_at[:], self._seen_who[:]

    def _heal(self) -> None:
        """All faults stop; what was held is let go, what is down comes back by itself, people answer."""
        self.tell("all faults stop")
        self.fate.is_over = True
        self.healed_at, self.deadline = self.time.now, self.time.now + HEAL_S
        self.network.weather = CALM
        self._reassure()
        for process in (*self._rivals.values(), self.chatterbox, self.operator):
            process.kill()
        for process in self.processes.values():
            process.disk.is_full = process.disk.sync_fails = False
            process.away_until = 0.0
            process.dies_in_write = None
            if process.loop is not None:
                process.loop.dies_after = None
                process.resume()
            self._cure(process)
        self.wake_all()
        self.target = len(self.watch.durable.results) + MORE_ROUNDS
        ledger = self.watch.durable
        self.open_at_heal = [one for one in ledger.questions if one not in ledger.closed]

    def _rain(self) -> None:
        """For one round more, messages are lost: when nobody dies any more, only saying it again can help."""
        self.network.weather = RAIN
        self.target += 1
        end = self.time.now + LONGEST_RAIN_S
        while len(self.watch.durable.results) < self.target - MORE_ROUNDS and self.time.now < end:
            self._until(self.time.now + 1.0)
        self.network.weather = CALM
        self.wake_all()

    @staticmethod
    def _cure(process: Process) -> None:
        backend = getattr(process.service, "_backend", None)
        if process.is_up and backend is not None and "rows" in backend.sick:
            process.kill()
        elif backend is not None:
            backend.sick = frozenset()

    def _reassure(self) -> None:
        draft = self.experiment.draft
        calm = Temper()
        for each in fields(Temper):
            setattr(draft.temper, each.name, getattr(calm, each.name))
        all_end = all(habit.total is not None for habit in draft.habits)
        for habit in draft.habits:
            habit.silent_until = 0.0
        if all_end:
            draft.habits[0].total, draft.habits[0].interval_s = None, 10.0
            self.processes["source0"].kill()  # and comes back with samples without end
        self._start_sources()
        self.nature.after(STALE_S, self._start_sources)

    def _start_sources(self) -> None:
        """As an operator would, who sees that one stands still: a "stop" of before may come late."""
        for name, process in self.processes.items():
            if name.startswith("source") and process.is_up and process.loop is not None:
                start = ControlArrived(self.time.now, "start")
                process.loop.run_now(lambda process=process, start=start: process.service._pump.handle(start))

    def _is_done(self) -> bool:
        """A labeler that is down may have kept an answer of which no other process knows: what it has to say is awaited."""
        ledger = self.watch.durable
        labelers = [process for name, process in self.processes.items() if name.startswith("labeler")]
        is_said = all(process.is_up and not process.service.machine.unsent for process in labelers)
        is_open = any(one not in ledger.closed for one in self.open_at_heal)
        return len(ledger.results) >= self.target and is_said and not is_open

    def _sum_up(self, verdict: Verdict) -> None:
        network = self.network.counts
        self.faults.update({name: network[name] for name in network})
        self.faults["torn write"] = sum(process.disk.torn for process in self.processes.values())
        verdict.story = [f"{at:12.4f}  {words.format(*parts)}" for at, words, parts in self.story]
        verdict.events, verdict.virtual_s = self.time.events, self.time.now
        self._digest_seen()
        verdict.digest = self._digest.hexdigest()
        verdict.rounds, verdict.answers = len(self.watch.durable.results), len(self.watch.durable.events)
        verdict.faults, verdict.rows, verdict.checks = self.faults, self.rows, self.watch.checks()

    # --- what is seen

    @contextmanager
    def _observed(self) -> Iterator[None]:
        observe, handle = Machine.observe, Machine.handle

        count, witness = self.watch.count_row, self._witness.handle

        def watched(machine: Machine[Any, Any], event: Any) -> list[Any]:
            count(machine, event)
            return witness(handle, machine, event)

        Machine.observe = staticmethod(self._observe)
        Machine.handle = watched  # type: ignore[method-assign, assignment]
        self.network.heard = self._message
        try:
            limits = self.experiment.draft.limits
            with standing_in(lambda *given: SimulatedLink(self.network, here()), limits):
                yield
        finally:
            Machine.observe, Machine.handle = observe, handle  # type: ignore[method-assign]
            for process in (*self.processes.values(), *self._rivals.values(), self.chatterbox, self.operator):
                if process.is_up and process.loop is not None:
                    process.loop.die()

    def _observe(self, machine: str, phase: str, trigger: str) -> None:
        self.rows[machine, phase, trigger] += 1
        if trigger not in UNTOLD:
            loop = here()
            self.fate.row(machine, trigger, loop.process)
            self.story.append((self.time.now, "{} {} {}: {}", (loop.name, machine, phase, trigger)))

    def _message(self, name: str, frames: Frames, envelope: Envelope) -> None:
        self._digest.update(frames[0])
        if envelope.kind >= LogLine.KIND:
            return
        if name.startswith("labeler") and envelope.kind == Question.KIND:
            question = decode(frames).message
            self.watch.run("question", question)
        if envelope.kind >= 16:
            told = (name, KINDS[envelope.kind].__name__, envelope.room)
            self.story.append((self.time.now, "{} hears {} in {}", told))

    def _raise(self, error: BaseException) -> None:
        raise error

    def _detach(self, process: Process) -> None:
        """Its machine tells the others a moment later; what it had sent until then may still arrive."""
        link = getattr(getattr(process.service, "_peer", None), "_link", None)
        router = getattr(process.service, "_router", None)
        if isinstance(link, SimulatedLink):
            self.nature.after(self.random.uniform(0.0, 0.02), lambda: self.network.detach(link))
        if isinstance(router, SimulatedRouter):
            self.network.unbind(router)


def _tell_broken(name: str, error: BaseException) -> None:
    """Raises: Violated."""
    if isinstance(error, Violated):
        raise error
    raise Violated(14, "no process breaks", f"{name}: {type(error).__name__}: {error}") from error


def simulate(seed: int, *, trace: bool = False) -> Verdict:
    """One run. The same seed comes to the same verdict, event for event."""
    return World(seed, trace=trace).run()


__all__ = ["Handled", "Verdict", "World", "simulate"]
