"""Candidates under lost, repeated, reordered and delayed messages, and peers that come and go: none is lost unseen."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core import proposing
from active_learner.core.proposing import Proposing
from active_learner.core.proposing_events import (
    EVALUATOR,
    TRAINER,
    Arrived,
    Command,
    Event,
    Left,
    NothingProposed,
    Propose,
    Proposed,
    ReceiptArrived,
    Report,
    Restart,
    Say,
    SayEnded,
    ScoresArrived,
    Tick,
)

BATCHES = 12
ROWS = 3


@dataclass
class World:
    """A finite source, a machine, and peers behind a bad network; everything random comes from `rng`."""

    rng: random.Random
    wants_fitness: bool
    loss: float
    now: float = 0.0
    made: int = 0
    """Batches, restarts included: each id is new."""
    next: int = 0
    session: int = 0
    flight: list[tuple[float, Event]] = field(default_factory=list)
    """Events on their way to the machine, by the time of their arrival."""
    reported: dict[str, int] = field(default_factory=dict)
    pool: set[str] = field(default_factory=set)
    ended: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.machine = Proposing(wants_fitness=self.wants_fitness)

    def feed(self, event: Event) -> None:
        commands = self.machine.handle(event)
        machine = self.machine
        assert machine.proposed == machine.taken + machine.dropped + machine.under_way
        assert machine.proposed == self.made * ROWS - self.unanswered(event)
        assert len(machine._under_way) <= (1 if self.wants_fitness else proposing.WINDOW)
        for command in commands:
            self.do(command)

    def unanswered(self, event: Event) -> int:
        """Rows that the source has made and the machine has not been told of yet."""
        return sum(len(one.features) for _, one in self.flight if isinstance(one, Proposed))

    def do(self, command: Command) -> None:
        match command:
            case Propose():
                self.flight.append((self.now + self.rng.random() / 10, self.answer()))
            case Say(id=id_):
                self.through_the_network(id_)
            case Report(features=features):
                id_ = str(features[0, 0])
                assert id_ not in self.reported
                self.reported[id_] = len(features)
            case Restart():
                self.next = 0
            case SayEnded(proposed=proposed, dropped=dropped):
                self.ended = (proposed, dropped)

    def answer(self) -> Event:
        if self.next >= BATCHES:
            return NothingProposed(self.now, True)
        self.next += 1
        self.made += 1
        return Proposed(self.now, str(self.made), np.full((ROWS, 1), self.made))

    def through_the_network(self, id_: str) -> None:
        """CANDIDATES may be lost on their way, so may the answers, and both may come twice and late."""
        for _ in range(self.rng.choice((1, 1, 2))):
            if self.rng.random() >= self.loss:
                new = ROWS if id_ not in self.pool else 0
                self.pool.add(id_)
                self.maybe(ReceiptArrived(0.0, id_, new, ROWS - new, 0, ""))
            if self.rng.random() >= self.loss:
                self.maybe(ScoresArrived(0.0, id_, np.zeros(ROWS, np.float32)))

    def maybe(self, event: Event) -> None:
        if self.rng.random() >= self.loss:
            self.flight.append((self.now + self.rng.expovariate(2.0), event))

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.1
            for when, event in sorted(self.flight, key=lambda pair: pair[0]):
                if when <= self.now and (when, event) in self.flight:
                    self.flight.remove((when, event))
                    self.feed(_at(event, self.now))
            self.feed(Tick(self.now))

    def arrive(self, role: str) -> None:
        self.session += 1
        self.feed(Arrived(self.now, role, self.session))

    def disturb(self) -> None:
        """Somebody leaves or comes, or the broker is lost."""
        match self.rng.randrange(4):
            case 0:
                self.feed(Left(self.now, TRAINER, self.session))
            case 1:
                self.arrive(TRAINER)
            case 2:
                self.arrive(EVALUATOR)
            case _:
                self.lose_the_broker()

    def lose_the_broker(self) -> None:
        for session in range(1, self.session + 1):
            for role in (TRAINER, EVALUATOR):
                self.feed(Left(self.now, role, session))


def _at(event: Event, now: float) -> Event:
    match event:
        case ReceiptArrived():
            return ReceiptArrived(now, event.re, event.new, event.known, event.refused, event.text)
        case ScoresArrived():
            return ScoresArrived(now, event.re, event.fitness)
        case NothingProposed():
            return NothingProposed(now, event.ended)
        case Proposed():
            return Proposed(now, event.id, event.features)
        case _:
            return event


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), wants_fitness=st.booleans(), loss=st.sampled_from((0.0, 0.2, 0.5)))
def test_every_candidate_is_taken_or_counted_as_dropped_whatever_the_network_does(
    seed: int, wants_fitness: bool, loss: float
) -> None:
    world = World(random.Random(seed), wants_fitness, loss)
    for _ in range(world.rng.randrange(6)):
        world.disturb()
        world.pass_time(world.rng.random() * 3)
    world.lose_the_broker()
    world.arrive(TRAINER)
    world.arrive(EVALUATOR)
    world.loss = min(loss, 0.2)
    for _ in range(60):
        if world.ended is not None and not world.machine.under_way and world.machine.phase == "ended":
            break
        world.pass_time(10.0)
    machine = world.machine
    assert machine.phase == "ended"
    assert world.ended is not None
    assert machine.under_way == 0
    assert machine.proposed == machine.taken + machine.dropped == sum(world.reported.values())
    if not wants_fitness:
        assert machine.dropped == 0
        assert len(world.pool) == world.made


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_without_losses_each_batch_is_said_once_and_the_pool_has_all(seed: int) -> None:
    world = World(random.Random(seed), wants_fitness=False, loss=0.0)
    world.arrive(TRAINER)
    world.pass_time(30.0)
    assert world.ended == (BATCHES * ROWS, 0)
    assert len(world.pool) == BATCHES == world.made
