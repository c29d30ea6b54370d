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
class LogLine(Message):
    """Telemetry: `level` is info, warning or error."""

    KIND: ClassVar[int] = 36
    number: int
    level: str
    text: str
