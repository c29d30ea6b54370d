"""What is kept: samples, questions, label events, plans. Knows no storage and no wire."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[Any]

RERANKED = "re-ranked"
"""Why a question was closed that nobody had before him: others mattered more by then."""


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """What a sample of the experiment looks like."""

    shape: tuple[int, ...]
    dtype: str
    """numpy name: uint8, int64, float32, ..."""
    classes: int
    """Labels are 0 .. classes - 1."""
    media: str = "table"
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AskedQuestion:
    """A question, committed before it is sent, with the reason why it was asked."""

    id: str
    key: str
    features: Features
    """(*sample shape), dtype of the experiment."""
    round: int
    strategy: str
    score: float
    rank: int
    model_version: int
    stale: bool
    pool: int
    asked_at: float
    """Wall clock, seconds since 1970."""
    probabilities: tuple[float, ...] = ()
    """What the model thought at that moment; () when it had no score."""


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """One thing that a labeler did; appended, never changed. Keyed by (question, annotator, revision)."""

    id: str
    """Made by the labeler when the key was pressed; the same id again is the same event."""
    question: str
    key: str
    annotator: str
    revision: int
    action: str
    """answer, skip, undo, revise, cannot_tell."""
    value: int | None
    at: float
    """Wall clock of the labeler."""
    circumstances: str = ""
    """How it came to be: a JSON object as core/circumstances.py has it; "": nothing was said."""


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """The current label of a sample: a view of its events."""

    key: str
    features: Features
    value: int
    annotator: str
    at: float
    sequence: int
    """Position of the event that made it; the order of the store."""
    question: str
    """"" when it was imported or rated beforehand."""
    round: int
    """Round in which it was asked; 0 for what was there before."""
    model_version: int
    score: float | None
    strategy: str = ""
    """That asked for it; "" when nobody was asked."""
    votes: int = 1
    """Annotators whose word this label is,"""
    voters: int = 1
    """of so many who have one about the sample."""
    circumstances: str = ""
    """Of the event that made it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One training round, committed before its first step; its steps follow from it (core/schedule.py)."""

    round: int
    first_step: int
    rows: tuple[str, ...]
    """Keys of the labels trained on, in the order of the snapshot."""
    values: tuple[int, ...]
    """Their labels at that moment: a later revision does not change a running round."""
    seed: int
    epochs: int
    batch_size: int
    loss: str
    base_version: int
    """Applied step that the round starts from: first_step - 1."""

    @property
    def steps(self) -> int:
        """epochs x ceil(rows / batch_size)."""
        return self.epochs * self.batches_per_epoch

    @property
    def batches_per_epoch(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    @property
    def last_step(self) -> int:
        return self.first_step + self.steps - 1


@dataclass(frozen=True, slots=True)
class RoundResult:
    """How a round ended: a line of metrics.jsonl."""

    round: int
    model_version: int
    digest: str
    """SHA-256 of the weights, or of all stages' joined by "+" ."""
    labels: int
    accuracy: float | None
    loss: float | None
    calibration_error: float | None
    train_loss: float | None
    """Mean of the last epoch; None when its steps were done before a restart of the trainer."""
    seconds: float
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def held_back(self) -> str:
        """Why the weights of the round before went on in its place; "": they did not."""
        return str(self.extra.get("held_back", ""))

    @property
    def agreement(self) -> float | None:
        """Krippendorff's alpha, nominal; None: no sample had two annotators, or they never said anything different."""
        told = self.extra.get("agreement")
        return told.get("alpha") if isinstance(told, dict) else None


@dataclass(frozen=True, slots=True, eq=False)
class PoolView:
    """The pool at the moment of asking; row i of every array is the sample `keys[i]`, keys in rising order."""

    keys: tuple[str, ...]
    features: NDArray[Any]
    """(n, *shape), dtype of the experiment."""
    probabilities: NDArray[Any]
    """(n, classes) float32; a row of NaN: never scored."""
    model_versions: NDArray[Any]
    """(n,) int64: which model made the row; -1: none."""

    def merged(self, other: PoolView) -> PoolView:
        """Both, of different samples; neither is empty. Quick when the other has few."""
        places = [bisect_left(self.keys, key) for key in other.keys]
        keys = list(self.keys)
        for place, key in zip(reversed(places), reversed(other.keys), strict=True):
            keys.insert(place, key)
        return PoolView(
            keys=tuple(keys),
            features=np.insert(self.features, places, other.features, axis=0),
            probabilities=np.insert(self.probabilities, places, other.probabilities, axis=0),
            model_versions=np.insert(self.model_versions, places, other.model_versions),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Rows of the view, the one to ask first first, and their scores."""

    rows: NDArray[Any]
    """(k,) int64."""
    scores: NDArray[Any]
    """(k,) float64."""


def canonical(features: Features, spec: SampleSpec) -> Features:
    """`features` in the experiment's dtype, C order, with -0.0 as 0.0; (n, *shape) or (*shape) as given.

    Raises: ValueError when a value cannot be said in that dtype without a change (0.5 as uint8), or is not finite.
    """
    given = np.asarray(features)
    with np.errstate(invalid="ignore", over="ignore"):  # what these would warn of is refused below
        cast = np.ascontiguousarray(given.astype(spec.dtype, copy=True))
    if any(one.dtype.kind == "f" and not np.isfinite(one).all() for one in (given, cast)):
        raise ValueError("not finite")
    if np.dtype(spec.dtype).kind in "iub" and not np.array_equal(cast, given):
        raise ValueError(f"has values that are not {spec.dtype}")
    if cast.dtype.kind == "f":
        cast += 0.0  # -0.0 + 0.0 is 0.0: one sample, one key
    return cast


def content_key(sample: Features) -> str:
    """32 hex digits of BLAKE2b over dtype, shape and bytes of one canonical sample: the same content, the same key."""
    text = f"{sample.dtype.newbyteorder('<').str}{sample.shape}".encode()
    return blake2b(text + sample.tobytes(), digest_size=16).hexdigest()
