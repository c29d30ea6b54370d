"""What a candidate source can learn of, and what it can be told to do. Knows no rules (proposing.py has them)."""

from __future__ import annotations

from dataclasses import dataclass

from active_learner.core.records import Features

TRAINER = "trainer"
EVALUATOR = "evaluator"


@dataclass(frozen=True, slots=True)
class Happened:
    """Base of the events."""

    at: float
    """Seconds of a monotonic clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposed(Happened):
    """An answer to PROPOSE."""

    id: str
    """A new one, for the message."""
    features: Features
    """(n, *shape), n >= 1."""


@dataclass(frozen=True, slots=True)
class NothingProposed(Happened):
    """The other answer to PROPOSE."""

    ended: bool
    """True: never again (until it is restarted)."""


@dataclass(frozen=True, slots=True)
class ReceiptArrived(Happened):
    """TAKEN of the trainer."""

    re: str
    new: int
    known: int
    refused: int
    text: str
    evicted: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ScoresArrived(Happened):
    """SCORES of an evaluator, of anybody's candidates."""

    re: str
    fitness: Features
    """(n,) float32."""


@dataclass(frozen=True, slots=True)
class Arrived(Happened):
    """A peer of `role` is in the room; saying it again changes nothing."""

    role: str
    session: int


@dataclass(frozen=True, slots=True)
class Left(Happened):
    """It is not in the room any more, or the broker is lost."""

    role: str
    session: int


@dataclass(frozen=True, slots=True)
class ControlArrived(Happened):
    command: str
    """start, stop, diversify, or something of another version."""


@dataclass(frozen=True, slots=True)
class Tick(Happened):
    """Time has passed."""


class Command:
    """Base of the commands."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Propose(Command):
    """Ask the source for a batch; answered by Proposed, never a second time before that."""


@dataclass(frozen=True, slots=True, eq=False)
class Say(Command):
    """CANDIDATES into the evolution room; the same id has the same features."""

    id: str
    features: Features


@dataclass(frozen=True, slots=True, eq=False)
class Report(Command):
    """Tell the source what became of a batch."""

    features: Features
    fitness: Features | None
    """(n,) float32; None: nobody scored it."""
    new: int


@dataclass(frozen=True, slots=True)
class SayEnded(Command):
    """SOURCE_ENDED into the evolution room: everything has a receipt or is counted as dropped."""

    proposed: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Diversify(Command):
    """Tell the source that all it proposes is known."""


@dataclass(frozen=True, slots=True)
class Restart(Command):
    """Tell the source to begin again: a new trainer is there."""


@dataclass(frozen=True, slots=True)
class Count(Command):
    name: str
    amount: int


@dataclass(frozen=True, slots=True)
class Warn(Command):
    """For a person: a sentence."""

    text: str


Event = Happened
