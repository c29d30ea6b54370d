"""Records as JSON and bytes. Knows their fields; not where the text is kept."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import fields, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from active_learner.core.records import AskedQuestion, Features, LabelEvent, Plan, RoundResult, SampleSpec
from active_learner.durable.journal import Form as Form
from active_learner.durable.journal import dumps as dumps


def plain(record: Any, *without: str) -> Form:
    """The fields of a record, in their order."""
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in without}


def to_blob(features: Features) -> bytes:
    """Little-endian, C order."""
    return features.astype(features.dtype.newbyteorder("<"), copy=False).tobytes()


def from_blob(blob: bytes, spec: SampleSpec) -> Features:
    """One sample that cannot be written to. Raises: ValueError when the size does not fit."""
    return (
        np.frombuffer(blob, np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.shape).astype(spec.dtype, copy=False)
    )


def from_blobs(blobs: Sequence[bytes], spec: SampleSpec) -> Features:
    """(n, *shape) that cannot be written to. Raises: ValueError when the size does not fit."""
    return from_blob(b"".join(blobs), replace(spec, shape=(len(blobs), *spec.shape)))


def to_text(features: Features) -> str:
    return b64encode(to_blob(features)).decode("ascii")


def from_text(text: str, spec: SampleSpec) -> Features:
    return from_blob(b64decode(text, validate=True), spec)


def question_form(question: AskedQuestion) -> Form:
    return {**plain(question, "features"), "features": to_text(question.features)}


def question_from(form: Form, spec: SampleSpec) -> AskedQuestion:
    values = {**form, "features": from_text(form["features"], spec), "probabilities": tuple(form["probabilities"])}
    return AskedQuestion(**values)


def event_from(form: Form) -> LabelEvent:
    return LabelEvent(**form)


def plan_form(plan: Plan) -> Form:
    return {**plain(plan), "rows": list(plan.rows), "values": [int(value) for value in plan.values]}


def plan_from(form: Form) -> Plan:
    return Plan(**{**form, "rows": tuple(form["rows"]), "values": tuple(form["values"])})


def result_from(form: Form) -> RoundResult:
    return RoundResult(**form)


def digest(blob: bytes) -> str:
    """32 hex digits that change with any bit."""
    return blake2b(blob, digest_size=16).hexdigest()
