"""Rows 30 to 33 of bad input: answers that come twice, late, or are no label, at every door through which one comes in."""

from __future__ import annotations

import asyncio
import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from active_learner.core.records import AskedQuestion, SampleSpec, content_key
from active_learner.errors import BadLabel
from active_learner.oracles.terminal import parse
from active_learner.services.label_book import LabelBook, Outcome
from active_learner.stores import open_store
from active_learner.stores.base import Store
from active_learner.stores.exchange import import_labels, read_labels
from protocol.codec import decode, encode
from protocol.envelope import pack, peek
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.messages import Action, Answer

SPEC = SampleSpec((2,), "float32", 6)
FEATURES = np.array([1.0, 2.0], np.float32)
ANSWER = Answer("a1", "q1", "ann", 0, Action.ANSWER, 3, 1000.0)


@pytest.fixture(params=["sqlite:///labels.db", "csv:labels.csv", "memory:bad-answers"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = open_store(request.param, tmp_path)
    made.open("digits", SPEC)
    made.commit_questions(
        [AskedQuestion("q1", content_key(FEATURES), FEATURES, 1, "margin", 0.5, 1, 0, False, 5, 900.0)]
    )
    yield made
    made.close()


def recorded(store: Store, *answers: Answer) -> list[Outcome]:
    """What the trainer's book made of them, in this order."""

    async def record() -> list[Outcome]:
        book = LabelBook(store, "digits", SPEC, lambda level, text: None)
        return [await book.record(answer) for answer in answers]

    return asyncio.run(record())


def statuses(store: Store, *answers: Answer) -> list[str]:
    return [outcome.status for outcome in recorded(store, *answers)]


def labels(store: Store) -> list[int]:
    return [label.value for label in store.labels()]


# --- rows 30 to 32 --------------------------------------------------------------------------------------------------


def test_row_30_the_same_answer_twice_is_one_event_and_a_duplicate(store: Store) -> None:
    assert statuses(store, ANSWER, ANSWER, replace(ANSWER, id="a2")) == ["stored", "duplicate", "duplicate"]
    assert (labels(store), len(store.events())) == ([3], 1)


def test_row_31_another_value_in_the_same_place_is_a_conflict_and_revise_supersedes(store: Store) -> None:
    other = replace(ANSWER, id="a2", value=5)
    revised = Answer("a3", "q1", "ann", 1, Action.REVISE, 5, 1001.0)
    assert statuses(store, ANSWER, other) == ["stored", "conflict"]
    assert labels(store) == [3]
    assert statuses(store, revised) == ["stored"]
    assert labels(store) == [5]


def test_row_32_an_answer_to_a_closed_question_is_kept_flagged_and_is_the_next_round_s_label(store: Store) -> None:
    store.close_questions(["q1"], "timed_out")
    assert statuses(store, ANSWER) == ["late"]
    assert labels(store) == [3]


# --- row 33 ---------------------------------------------------------------------------------------------------------

OUTSIDE = (-1, 6, 7, 2**31, 2**63 - 1, -(2**63))
NO_INTEGERS = ("3.0", "", "three", 3.0, 3.7, True, False, b"3", [3], {"v": 3}, math.nan, math.inf, 2**63, 10**18 * 10)


def sent(value: Any) -> list[bytes]:
    """An ANSWER as a peer in another language might say it, its checksum right."""
    first = encode(ANSWER, session=7)[0]
    header = msgpack.unpackb(bytes(first)[peek(first).header_start :])
    return [pack(Answer.KIND, msgpack.packb({**header, "value": value}), room="@digits/trainer", session=7, sequence=1)]


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_row_33_no_integer_as_an_answer_is_refused_unread(value: Any) -> None:
    with pytest.raises(RemoteProtocolError, match=r"Answer\.value is|is not the msgpack|elements"):
        decode(sent(value))


@pytest.mark.parametrize("value", [*NO_INTEGERS, np.int64(3)], ids=repr)
def test_row_33_no_integer_cannot_be_said_by_a_peer_of_ours(value: Any) -> None:
    with pytest.raises(LocalProtocolError, match=r"Answer\.value is"):
        encode(replace(ANSWER, value=value))


@pytest.mark.parametrize("value", [*OUTSIDE, None])
def test_row_33_a_label_out_of_range_gets_a_receipt_that_says_what_is_allowed(store: Store, value: int | None) -> None:
    decoded = decode(sent(value)).message
    assert isinstance(decoded, Answer)
    (outcome,) = recorded(store, decoded)
    assert (outcome.status, outcome.text) == ("bad_value", f"{value} is not a label: allowed are 0 to 5")
    assert store.events() == store.labels() == []


BAD_TEXTS = ("", " ", "6", "-1", "3.7", "nan", "NaN", "inf", "1e400", "True", "three", "9" * 400, "9" * 5000, "3 3")
FORMATS: dict[str, Callable[[str], str]] = {
    "csv": lambda label: f"1.0,2.0,{label}",
    "tutorial": lambda label: f'"(1.0, 2.0)",{label}',
    "jsonl": lambda label: f'{{"features": [1.0, 2.0], "label": {label}}}',
}


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("text", BAD_TEXTS, ids=lambda text: text[:8] or "nothing")
def test_row_33_a_bad_label_of_a_file_is_named_by_its_line_and_the_good_row_is_taken(
    store: Store, format_name: str, text: str
) -> None:
    line = FORMATS[format_name]
    reading = read_labels(io.BytesIO(f"{line(text)}\n{line('3.0')}\n".encode()), SPEC, format_name)
    assert re.match(r"line 1(, column \d+)?: ", reading.reasons[0])
    imported = import_labels(store, reading, "ann", 1000.0)
    assert (imported.imported, imported.skipped, labels(store)) == (1, 1, [3])


def test_row_33_a_label_in_quotes_is_text_in_json_lines() -> None:
    reading = read_labels(io.BytesIO(b'{"features": [1.0, 2.0], "label": "3"}'), SPEC, "jsonl")
    assert reading.reasons == ["line 1: label '3' is text, not a number"]


@pytest.mark.parametrize("text", [*BAD_TEXTS, "3.0"], ids=lambda text: text[:8] or "nothing")
def test_row_33_a_bad_label_at_the_terminal_is_told_and_asked_again(text: str) -> None:
    entry = parse(text, 6)
    assert entry.label is None
    assert entry.wrong.endswith("allowed are 0 to 5, or s - u r ? q")


@pytest.mark.parametrize("value", [*OUTSIDE, *NO_INTEGERS, None], ids=repr)
def test_row_33_the_store_itself_refuses_what_is_no_label(store: Store, value: Any) -> None:
    with pytest.raises(BadLabel):
        store.add_labels(np.stack([FEATURES]), [value], "ann", 1000.0)
    assert store.labels() == []
