"""Room "control": commands, status, log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.messages.base import Message


@dataclass(frozen=True, slots=True)
class Control(Message):
    """`command` to every peer of `role` in the room: start, stop, diversify (the pool knows all you propose)."""

    KIND: ClassVar[int] = 33
    role: str
    command: str


@dataclass(frozen=True, slots=True)
class StatusRequest(Message):
    KIND: ClassVar[int] = 34
    id: str


@dataclass(frozen=True, slots=True)
class PeerAge(Message):
    """Part of StatusReport: a peer and how long ago the trainer last heard of it."""

    KIND: ClassVar[int] = 0
    name: str
    role: str
    age_s: float


@dataclass(frozen=True, slots=True)
class StatusReport(Message):
    """The trainer's state; answer to StatusRequest (`re`), and telemetry when something changed (`re` empty)."""

    KIND: ClassVar[int] = 35
    re: str
    number: int
    """Counts reports, so that a lost one is seen."""
    run: str
    asking: str
    """Phase of the asking machine."""
    training: str
    """Phase of the training machine."""
    round: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    step: int
    pool: int
    pool_size: int
    open_questions: int
    held: int
    """Of these, leased to somebody now."""
    labels: int
    model_version: int
    accuracy: float | None
    loss: float | None
    agreement: float | None
    """Krippendorff's alpha of those who labelled the same samples; None: nobody did."""
    text: str
    """What it waits for, in words."""
    counters: tuple[tuple[str, int], ...]
    """Name and count of everything absorbed, refused, evicted, re-sent or lost."""
    peers: tuple[PeerAge, ...]


@dataclass(frozen=True, slots=True)
class RoundsRequest(Message):
    """Answered by Rounds."""

    KIND: ClassVar[int] = 39
    id: str


Bins = tuple[int, int, int, int, int, int, int, int, int, int]
"""Counts of samples in ten equal parts of [0, 1]."""


@dataclass(frozen=True, slots=True)
class RoundLine(Message):
    """Part of Rounds: one round that is over. None: not measured, or not known of that round."""

    KIND: ClassVar[int] = 0
    round: int
    arm: str
    """Empty: the run itself; `control`: the same start, samples asked at random."""
    labels: int
    """That it was trained on."""
    model_version: int
    accuracy: float | None
    """On the held-out rows, 0 to 1; so is the loss."""
    loss: float | None
    held_out: int | None
    """Rows behind the accuracy."""
    held_back: str
    """Why the model of the round before went on in its place; accuracy and loss are of the one that did not."""
    at: float | None
    """Wall clock of the trainer when it was over, seconds since 1970."""
    pool: int | None
    """Samples in the pool then."""
    uncertainty: Bins
    """Of those that were scored, 1 - max p, most certain first."""


@dataclass(frozen=True, slots=True)
class Rounds(Message):
    """The learning curve so far; answer to RoundsRequest (`re`)."""

    KIND: ClassVar[int] = 40
    re: str
    run: str
    total: int
    """Rounds of the run that are over; of many not all are in `rounds`."""
    rounds: tuple[RoundLine, ...]
    """By arm, then by round."""


@dataclass(frozen=True, slots=True)
class LogLine(Message):
    """Telemetry: `level` is info, warning or error."""

    KIND: ClassVar[int] = 36
    number: int
    level: str
    text: str
