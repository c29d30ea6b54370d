"""What the events of a store mean: which are refused, which stand, which an import makes. Pure; knows no storage."""

from __future__ import annotations

import math
import operator
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import NamedTuple, cast

import numpy as np

from active_learner.core import circumstances
from active_learner.core.records import (
    AskedQuestion,
    Features,
    Label,
    LabelEvent,
    Plan,
    SampleSpec,
    canonical,
    content_key,
)
from active_learner.core.voting import SAYING, SILENT, Elected
from active_learner.core.voting import Numbered as Numbered
from active_learner.core.voting import standing as standing
from active_learner.errors import BadLabel, BadSample, WrongStore
from active_learner.stores.base import Stored


def check_event(event: LabelEvent, classes: int) -> None:
    """Raises: BadLabel."""
    if event.action in SAYING:
        if type(event.value) is not int or not 0 <= event.value < classes:
            raise BadLabel(f"label {event.value!r} is not one of 0 .. {classes - 1}")
    elif event.action not in SILENT:
        raise BadLabel(f"action {event.action!r} is not one of {', '.join((*SAYING, *SILENT))}")
    elif event.value is not None:
        raise BadLabel(f"{event.action} has no value, this one has {event.value!r}")
    if type(event.revision) is not int or event.revision < 0:
        raise BadLabel(f"revision {event.revision!r} is not 0, 1, 2, ...")
    check_time(event.at)
    check_circumstances(event.circumstances)


def check_circumstances(text: str) -> None:
    """Raises: BadLabel."""
    problem = circumstances.objection(text)
    if problem:
        raise BadLabel(problem)


def check_time(at: float) -> None:
    """Raises: BadLabel."""
    if not math.isfinite(at):
        raise BadLabel(f"time {at!r} is not finite")


def check_sample(features: Features, spec: SampleSpec) -> Features:
    """(*shape) as a canonical copy that cannot be written to. Raises: BadSample."""
    row: Features = check_samples(np.asarray(features)[None], spec)[0]
    return row


def check_samples(features: Features, spec: SampleSpec) -> Features:
    """(n, *shape) as a canonical copy that cannot be written to. Raises: BadSample."""
    given = np.asarray(features)
    if given.shape[1:] != spec.shape or given.ndim == 0:
        raise BadSample(f"a sample has shape {given.shape[1:]}, the experiment's is {spec.shape}")
    try:
        kept = canonical(given, spec)
    except (ValueError, TypeError) as error:
        raise BadSample(f"a sample {error}") from error
    kept.setflags(write=False)
    return kept


def same_word(one: LabelEvent, other: LabelEvent) -> bool:
    """Both say the same in the same place; id and time may differ."""
    return slot(one) == slot(other) and (one.action, one.value) == (other.action, other.value)


def slot(event: LabelEvent) -> tuple[str, str, int]:
    """Where an answer belongs; there is one event in each."""
    return event.question, event.annotator, event.revision


def verdict(
    event: LabelEvent, there: Sequence[LabelEvent], newest: int | None, question_key: str | None, closed: str
) -> Stored:
    """What becomes of a checked event. `there`: the stored ones with its id or in its slot; `newest`: the highest revision of its
    annotator on its question, None: there is none; `question_key` None: no such question; `closed`: why, or "". Raises: BadSample."""
    if there:
        return Stored.DUPLICATE if _is_repeat(event, there, newest) else Stored.CONFLICT
    if question_key is None:
        return Stored.UNKNOWN_QUESTION
    if event.key != question_key:
        raise BadSample(f"question {event.question} is about sample {question_key}, the answer about {event.key}")
    late = event.action == "answer" and closed not in ("", "answered")
    return Stored.LATE if late else Stored.STORED


def _is_repeat(event: LabelEvent, there: Sequence[LabelEvent], newest: int | None) -> bool:
    """A word that was taken back or changed since, and comes with another id, is a new decision of who does not know of the old ones."""
    stands = newest is None or newest <= event.revision
    return all(same_word(event, one) for one in there) and (stands or any(one.id == event.id for one in there))


def unless_surplus(verdict: Stored, is_surplus: bool) -> Stored:
    """What was said before is a duplicate or a conflict still, whatever is needed now."""
    return Stored.SURPLUS if is_surplus and verdict in (Stored.STORED, Stored.LATE) else verdict


class Row(NamedTuple):
    """A label that nobody was asked for, checked."""

    key: str
    sample: Features
    value: int
    annotator: str
    at: float
    circumstances: str = ""


def check_rows(
    features: Features,
    values: Sequence[int],
    annotator: str | Sequence[str],
    at: float | Sequence[float],
    how: str | Sequence[str],
    spec: SampleSpec,
) -> list[Row]:
    """Raises: BadSample; BadLabel."""
    samples = check_samples(features, spec)
    count = len(samples)
    classes = check_values(values, count, spec.classes)
    names, times = check_texts(annotator, count, "annotators"), check_times(at, count)
    said = check_texts(how, count, "circumstances")
    for text in said:
        check_circumstances(text)
    keys = map(content_key, samples)
    return list(map(Row, keys, samples, classes, names, times, said))


def imports(history: Iterable[Numbered], rows: Sequence[Row]) -> list[tuple[LabelEvent, Features]]:
    """The events that `rows` make after the `history` of the whole store."""
    past: dict[tuple[str, str], list[Numbered]] = {(row.key, row.annotator): [] for row in rows}
    for one in history:
        if (one[1].key, one[1].annotator) in past:
            past[one[1].key, one[1].annotator].append(one)
    made = []
    for row in rows:
        before = past[row.key, row.annotator]
        last = standing(before)
        if last and last[-1].event.value == row.value:
            continue
        event = import_event(row, revision=sum(not event.question for _, event in before))
        before.append((before[-1][0] + 1 if before else 0, event))
        made.append((event, row.sample))
    return made


def import_event(row: Row, revision: int) -> LabelEvent:
    """`revision` counts the imports of this sample by this annotator before."""
    name = _import_id(row.key, row.annotator, revision)
    return LabelEvent(name, "", row.key, row.annotator, revision, "answer", row.value, row.at, row.circumstances)


def _import_id(key: str, annotator: str, revision: int) -> str:
    """Derived, so that the same import has the same ids in every store."""
    return blake2b(f"import/{key}/{revision}/{annotator}".encode(), digest_size=16).hexdigest()


def check_values(values: Sequence[int], rows: int, classes: int) -> list[int]:
    """Python integers in 0 .. classes - 1, one a row. Raises: BadLabel."""
    try:
        checked = [operator.index(value) for value in values]
    except TypeError as error:
        raise BadLabel(f"a label is no whole number: {error}") from error
    if any(isinstance(value, bool) for value in values):
        raise BadLabel("a label is no whole number: it is a bool")
    outside = next((value for value in checked if not 0 <= value < classes), None)
    if outside is not None:
        raise BadLabel(f"label {outside} is not one of 0 .. {classes - 1}")
    if len(checked) != rows:
        raise BadLabel(f"{rows} samples, but {len(checked)} labels")
    return checked


def check_texts(given: str | Sequence[str], rows: int, what: str) -> list[str]:
    """One a row. Raises: BadLabel."""
    named = [given] * rows if isinstance(given, str) else list(given)
    if len(named) != rows:
        raise BadLabel(f"{rows} samples, but {len(named)} {what}")
    return named


def check_times(given: float | Sequence[float], rows: int) -> list[float]:
    """One a row, finite. Raises: BadLabel."""
    times = [float(given)] * rows if isinstance(given, int | float) else [float(at) for at in given]
    if len(times) != rows:
        raise BadLabel(f"{rows} samples, but {len(times)} times")
    for at in times:
        check_time(at)
    return times


def spec_form(spec: SampleSpec) -> dict[str, object]:
    """What must agree between a store and its user."""
    return {"shape": list(spec.shape), "dtype": spec.dtype, "classes": spec.classes}


def check_owner(place: str, kept: Mapping[str, object], experiment: str, spec: SampleSpec) -> None:
    """`kept` has experiment and spec of the store. Raises: WrongStore."""
    if kept["experiment"] != experiment:
        raise WrongStore(f"{place} belongs to experiment {kept['experiment']!r}, not to {experiment!r}")
    if kept["spec"] != spec_form(spec):
        raise WrongStore(f"{place} holds samples of {kept['spec']}, the configuration says {spec_form(spec)}")


def check_why(why: str) -> None:
    """Raises: ValueError: "" would mean that the question is open."""
    if not why:
        raise ValueError("a question is closed for a reason")


def check_round(number: int, newest: int | None) -> None:
    """Raises: WrongStore."""
    if newest is not None and number < newest:
        raise WrongStore(f"a plan of round {number} after one of round {newest}: rounds only rise")


def check_same_plan(known: Plan, plan: Plan) -> None:
    """Raises: WrongStore."""
    if known != plan:
        differ = [name for name in Plan.__slots__ if getattr(known, name) != getattr(plan, name)]
        raise WrongStore(f"round {plan.round} has another plan already: {', '.join(differ)} differ")


def check_planned(number: int, known: Container[int]) -> None:
    """Raises: WrongStore."""
    if number not in known:
        raise WrongStore(f"round {number} has no plan that could be finished")


def label(
    elected: Elected,
    features: Features,
    round_number: int = 0,
    model_version: int = 0,
    score: float | None = None,
    strategy: str = "",
) -> Label:
    """The label that a standing event makes; the last four are the question's, if anybody was asked."""
    number, event, votes, voters = elected
    value = cast("int", event.value)
    asked = (event.question, round_number, model_version, score, strategy)
    made = (event.key, features, value, event.annotator, event.at, number)
    return Label(*made, *asked, votes, voters, event.circumstances)


def settled(question: AskedQuestion, spec: SampleSpec) -> AskedQuestion:
    """The question with canonical features and plain Python numbers. Raises: BadSample."""
    return replace(
        question,
        features=check_sample(question.features, spec),
        score=float(question.score),
        rank=int(question.rank),
        model_version=int(question.model_version),
        stale=bool(question.stale),
        pool=int(question.pool),
        probabilities=tuple(float(one) for one in question.probabilities),
    )
