"""Who is attacked when, and how: drawn from a seed. Pure. Knows names of processes and of crash points; kills nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

KILL, STOP = "kill", "stop"

SOONEST_S, LATEST_S = 0.05, 1.0
"""A process is attacked so long after the one before has recovered."""

STOPPED_S = (0.5, 4.0)
"""How long a stopped process stands still: on both sides of what it takes to be noticed (2 s)."""

MOST_HITS = 3
HITS = {"broker": 60}
"""A process dies at up to that many hits of its point. The broker comes to its points with every message."""

AT_START = frozenset(
    {
        "before_hello",
        "hello_answered",
        "welcomed",
        "ready",
        "joined",
        "bound",
        "term_before_commit",
        "term_after_commit",
    }
)
"""Moments of a start: a life has no second one."""

POINTS_A_TURN = (1, 2)
"""Deaths of one process at crash points in a row, which are armed at a start, after the one at a drawn time."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Kill or stop `program`, or let it die at the crash point `how`, which its present life was started with."""

    program: str
    how: str
    after_s: float = 0.0
    """Since the last recovery; nothing at a crash point: it dies when it comes there."""
    hit: int = 1
    stopped_s: float = 0.0

    @property
    def at_point(self) -> bool:
        return self.how not in (KILL, STOP)

    def told(self) -> str:
        if self.how == STOP:
            return f"{self.program} is stopped for {self.stopped_s:.1f} s"
        return f"{self.program} dies at {self.how}:{self.hit}" if self.at_point else f"{self.program} is killed"


def drawn(
    seed: int,
    count: int,
    programs: Sequence[str],
    points: Mapping[str, Sequence[str]],
    stop_probability: float = 0.0,
    points_a_turn: tuple[int, int] = POINTS_A_TURN,
) -> list[Attack]:
    """`count` attacks. Every program has its turn before one has its second; a turn begins at a drawn time and goes on at
    points of the program, each of them before one comes again."""
    random = Random(f"{seed}/attacks")
    decks = {name: _deck(random, list(points.get(name, ()))) for name in programs}
    attacks: list[Attack] = []
    while len(attacks) < count:
        for name in random.sample(list(programs), len(programs)):
            attacks += _turn(random, name, decks[name], stop_probability, points_a_turn)
    return attacks[:count]


def _turn(
    random: Random, name: str, deck: Iterator[str] | None, stop_probability: float, points_a_turn: tuple[int, int]
) -> list[Attack]:
    after_s = random.uniform(SOONEST_S, LATEST_S)
    if random.random() < stop_probability:
        return [Attack(name, STOP, after_s, stopped_s=random.uniform(*STOPPED_S))]
    first = Attack(name, KILL, after_s)
    more = 0 if deck is None else random.randint(*points_a_turn)
    most = HITS.get(name, MOST_HITS)
    return [first, *(_at(random, name, next(deck), most) for _ in range(more) if deck is not None)]


def _at(random: Random, name: str, point: str, most: int) -> Attack:
    hit = random.randint(1, most)
    return Attack(name, point, hit=1 if point.partition(".")[2] in AT_START else hit)


def _deck(random: Random, points: list[str]) -> Iterator[str] | None:
    """All points in a drawn order, again and again; None: there are none."""
    return _dealt(random, points) if points else None


def _dealt(random: Random, points: list[str]) -> Iterator[str]:
    while True:
        yield from random.sample(points, len(points))
