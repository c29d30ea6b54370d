"""Room "evolution": candidates, their scores and receipts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.messages.base import Array, Message


@dataclass(frozen=True, slots=True)
class Candidates(Message):
    """Proposed samples. A request: answered by SCORES (evaluator) and, if `purpose` is "propose", TAKEN (trainer).

    The trainer itself sends them with `purpose` "refresh" to have its pool scored again.
    """

    KIND: ClassVar[int] = 16
    id: str
    purpose: str
    features: Array
    """(n, *sample shape), dtype of the experiment."""
    embeddings: bool
    """Ask for the evaluator's embeddings too."""


@dataclass(frozen=True, slots=True)
class Scores(Message):
    """What the evaluator's promoted snapshot says of the candidates `re`; rows in their order."""

    KIND: ClassVar[int] = 17
    re: str
    model_version: int
    probabilities: Array
    """(n, classes) float32, rows sum to 1."""
    fitness: Array
    """(n,) float32, higher is better; what a source breeds by."""
    embeddings: Array | None
    """(n, width) float32."""


@dataclass(frozen=True, slots=True)
class Taken(Message):
    """The trainer's receipt for candidates `re`, sent to their source: new + known + refused = n."""

    KIND: ClassVar[int] = 18
    re: str
    new: int
    known: int
    """Already in the pool, asked or labeled."""
    refused: int
    """Wrong shape or dtype, or not finite."""
    evicted: int
    """Pool samples that had to go for these."""
    text: str


@dataclass(frozen=True, slots=True)
class SourceEnded(Message):
    """A finite source has proposed all it has and got a receipt for it, or gave up on `dropped` candidates."""

    KIND: ClassVar[int] = 19
    source: str
    proposed: int
    dropped: int
