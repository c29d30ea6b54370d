"""metrics.jsonl: one line a round. Knows the file and its fields; not who measured them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from active_learner.core.records import RoundResult
from active_learner.errors import ActiveLearnerError

METRICS_FILE = "metrics.jsonl"
CONTROL_FILE = "control.jsonl"
"""metrics.jsonl of the control arm: the same start, samples asked at random."""


@dataclass(frozen=True, slots=True)
class RoundMetrics:
    """One line. None: not measured in that round."""

    round: int
    labels: int
    accuracy: float | None = None
    loss: float | None = None
    """On held-out rows."""
    calibration_error: float | None = None
    train_loss: float | None = None
    """Mean over the steps of the last epoch; None also when it was not finite."""
    model_version: int = 0
    digest: str = ""
    seconds: float = 0.0
    """The whole round, from the plan to the promotion."""
    at: float | None = None
    """Wall clock, seconds since 1970."""
    strategy: str = ""
    uncertainty: tuple[int, ...] = ()
    """The pool's 1 - max p in equal bins of [0, 1], most certain first."""
    pool: int | None = None
    steps: int | None = None
    held_out: int | None = None
    """Rows behind the accuracy."""
    held_back: str = ""
    """Why the weights of the round before went on in its place; accuracy and loss are of those that did not."""
    agreement: Mapping[str, Any] = field(default_factory=dict)
    """Of several annotators of the same samples: samples, annotators, alpha, alpha_interval; empty: no sample had two."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Fields that a later version wrote."""


_NUMBERS = ("round", "labels", "model_version", "pool", "steps", "held_out")
_FRACTIONS = ("accuracy", "loss", "calibration_error", "train_loss", "seconds", "at")
_WORDS = ("digest", "strategy", "held_back")


def append(path: Path, result: RoundResult) -> None:
    """Add the round's line; returns when it is on the disk. A torn line of an earlier crash is cut off first."""
    line = (json.dumps(_fields(result), allow_nan=False, ensure_ascii=False) + "\n").encode()
    is_new = not path.exists()
    with path.open("ab+") as file:
        _cut_torn_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync_folder(path.parent)


def read(path: Path) -> list[RoundMetrics]:
    """Rounds in rising order; of a round that is there twice the last line counts. A missing file has none.

    A last line without its end is passed over: its round ended, its line did not.
    Raises: ActiveLearnerError for any other line that cannot be read, with its number.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    rounds = (_parsed(line, path, number) for number, line in enumerate(lines, start=1) if line.strip())
    by_round = {one.round: one for one in rounds}
    return [by_round[number] for number in sorted(by_round)]


def of(result: RoundResult) -> RoundMetrics:
    """As it will be read from its line."""
    return _checked(_fields(result))


def labels_to(rounds: list[RoundMetrics], accuracy: float) -> int | None:
    """Labels of the first round that is at least that accurate; None: no round is."""
    reached = (one for one in rounds if one.accuracy is not None and one.accuracy >= accuracy and not one.held_back)
    return next((one.labels for one in reached), None)


def _fields(result: RoundResult) -> dict[str, Any]:
    """The order in which the line is written; `extra` follows and cannot change what is there already."""
    names = (
        "round",
        "labels",
        "accuracy",
        "loss",
        "calibration_error",
        "train_loss",
        "model_version",
        "digest",
        "seconds",
    )
    line = {name: _plain(getattr(result, name)) for name in names}
    return line | {name: _plain(value) for name, value in result.extra.items() if name not in line}


def _plain(value: Any) -> Any:
    """JSON knows no NaN, no infinity and no numpy number."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _cut_torn_line(file: Any) -> None:
    """A crash between write and fsync may leave half a line, to which the next one must not be glued."""
    file.seek(0)
    written = file.read()
    if written and not written.endswith(b"\n"):
        file.truncate(written.rfind(b"\n") + 1)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(line: bytes, path: Path, number: int) -> RoundMetrics:
    try:
        return _checked(json.loads(line))
    except (ValueError, TypeError, KeyError) as error:
        raise ActiveLearnerError(f"{path}, line {number}: not a line of metrics: {error}") from None


def _checked(line: Any) -> RoundMetrics:
    if not isinstance(line, dict) or "round" not in line or "labels" not in line:
        raise ValueError("expected an object with round and labels")
    known: dict[str, Any] = {}
    for names, kind in ((_NUMBERS, int), (_FRACTIONS, float), (_WORDS, str)):
        known |= {name: kind(line[name]) for name in names if line.get(name) is not None}
    bins = tuple(int(count) for count in line.get("uncertainty") or ())
    agreement = dict(line.get("agreement") or {})
    told = (*_NUMBERS, *_FRACTIONS, *_WORDS, "uncertainty", "agreement")
    rest = {name: value for name, value in line.items() if name not in told}
    return RoundMetrics(**known, uncertainty=bins, agreement=agreement, more=rest)
