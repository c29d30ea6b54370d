"""What goes over HTTP as JSON, to and fro. Knows shapes and bounds of fields; not what becomes of them."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from active_learner.core.decisions import HISTORY
from active_learner.web.problems import Problem
from protocol.limits import CIRCUMSTANCES_BYTES, MAX_STRING_BYTES
from protocol.messages import Action, Question, StatusReport

Form = dict[str, Any]

ID = re.compile(r"[0-9a-f]{32}")
VALUED = (Action.ANSWER, Action.REVISE)

MOST_HELD = 20
"""Questions that one page may hold: it shows one, and needs two or three ahead."""

MOST_PAST = 100
"""Decisions in one reply; a page that wants more asks for those before."""

LATEST = 1e11
"""The year 5138: a clock that says more counts milliseconds."""


@dataclass(frozen=True, slots=True)
class Word:
    """One decision of a person, as a page says it."""

    id: str
    question: str
    action: Action
    value: int | None
    at: float | None
    circumstances: str = ""

    @property
    def essence(self) -> tuple[str, Action, int | None]:
        """What must be the same when the same id comes again."""
        return self.question, self.action, self.value


@dataclass(frozen=True, slots=True)
class LeaseForm:
    """How many questions somebody wants to hold, and which go back."""

    wants: int
    gives: tuple[str, ...]
    page: str
    """The page that goes; "": a script, which speaks for its annotator."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a word: HTTP's code, the receipt's status, words for the person."""

    code: int
    status: str
    text: str = ""


def read_json(body: bytes) -> Form:
    """Raises: Problem."""
    try:
        found = json.loads(body, object_pairs_hook=_no_repeats, parse_constant=_no_constants, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"The body is no JSON that can be read: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise Problem(400, "The body must be a JSON object.")
    return found


def _no_repeats(pairs: list[tuple[str, Any]]) -> Form:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _no_constants(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def read_word(form: Form, classes: int) -> Word:
    """Raises: Problem, with the name of the field and what is allowed."""
    made, question, action = form.get("id"), _name(form.get("question"), "question"), form.get("action")
    if not isinstance(made, str) or not ID.fullmatch(made):
        raise Problem(400, "id must be 32 lower-case hexadecimal digits, made once when the key is pressed.")
    if not isinstance(action, str) or action not in list(Action):
        raise Problem(400, f"action must be one of {', '.join(Action)}, not {_short(action)}.")
    known = Action(action)
    value = _value(form.get("value"), known, classes)
    return Word(made, question, known, value, _time(form.get("at")), _circumstances(form.get("circumstances")))


def _name(given: Any, field: str) -> str:
    if not isinstance(given, str) or not 0 < len(given.encode("utf-8", "replace")) <= MAX_STRING_BYTES:
        raise Problem(400, f"{field} must be text of 1 to {MAX_STRING_BYTES} bytes.")
    if not given.isprintable():
        raise Problem(400, f"{field} must have printable characters only.")
    return given


def _value(given: Any, action: Action, classes: int) -> int | None:
    if action not in VALUED:
        if given is not None:
            raise Problem(400, f"{action.value} takes no value, not {_short(given)}.")
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or given != int(given) or not 0 <= given < classes:
        raise Problem(400, f"value must be a whole number from 0 to {classes - 1}, not {_short(given)}.")
    return int(given)


def _time(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < LATEST:
        raise Problem(400, "at must be seconds since 1970, or left out.")
    return float(given)


def _circumstances(given: Any) -> str:
    """What is too long is left, the answer is not: a label is costly."""
    if given is None or given == {}:
        return ""
    if not isinstance(given, dict):
        raise Problem(400, "circumstances must be a JSON object, or left out.")
    text = json.dumps(given, separators=(",", ":"), allow_nan=False)
    return text if len(text) <= CIRCUMSTANCES_BYTES else ""


def _short(given: Any) -> str:
    return json.dumps(given)[:60]


def read_lease(form: Form) -> LeaseForm:
    """Raises: Problem."""
    wants = form.get("wants")
    if isinstance(wants, bool) or not isinstance(wants, int) or not 0 <= wants <= MOST_HELD:
        raise Problem(400, f"wants must be a whole number from 0 to {MOST_HELD}.")
    _names(form.get("holds", []), "holds")  # said for the person who reads it: what is held is known here
    return LeaseForm(wants, tuple(_names(form.get("gives", []), "gives")), read_page(form.get("page", "")))


def _names(given: Any, field: str) -> list[str]:
    if not isinstance(given, list) or len(given) > 10 * MOST_HELD:
        raise Problem(400, f"{field} must be a list of at most {10 * MOST_HELD} ids.")
    return [_name(one, field) for one in given]


def read_page(given: Any) -> str:
    """Raises: Problem."""
    if isinstance(given, str) and (not given or ID.fullmatch(given)):
        return given
    raise Problem(400, "page must be 32 lower-case hexadecimal digits, made once when the page is opened.")


def read_hold(text: str | None) -> int:
    """Of `questions?hold=N`. Raises: Problem."""
    if text is None:
        return 3
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= MOST_HELD:
        raise Problem(400, f"hold must be a whole number from 1 to {MOST_HELD}.")
    return int(text)


def read_past(before: str | None, limit: str | None) -> tuple[str | None, int]:
    """Of `history?before=QUESTION&limit=N`. Raises: Problem."""
    if limit is not None and (not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= MOST_PAST):
        raise Problem(400, f"limit must be a whole number from 1 to {MOST_PAST}.")
    return None if before is None else _name(before, "before"), HISTORY if limit is None else int(limit)


def question_form(question: Question, expires_at: float | None) -> Form:
    """All that the page shows of it; features as little-endian bytes, C order."""
    features = np.ascontiguousarray(question.features)
    little = features.astype(features.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(little.tobytes()).decode("ascii")
    named = ("id", "key", "media", "classes", "round", "strategy", "rank", "model_version", "stale", "pool")
    return {
        **{name: getattr(question, name) for name in named},
        "features": {"dtype": features.dtype.name, "shape": list(features.shape), "base64": data},
        "score": finite(question.score),
        "asked_at": question.asked_at or None,
        "expires_at": expires_at,
    }


def status_form(report: StatusReport) -> Form:
    """Every field of the trainer's report; counters as a mapping, peers as objects."""
    named = [name for name in report.__slots__ if name not in ("counters", "peers", "re", "number")]
    return {
        **{name: finite(getattr(report, name)) for name in named},
        "counters": dict(report.counters),
        "peers": [{"name": one.name, "role": one.role, "age_s": round(one.age_s, 3)} for one in report.peers],
    }


def finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
