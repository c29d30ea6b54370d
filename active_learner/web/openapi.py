"""The HTTP interface as an OpenAPI 3.1 document: what other tools and scripts may rely on. Knows words and shapes; serves nothing.

`/api/v1` is a promise: fields are added to answers, none is taken away or given another meaning.
"""

from __future__ import annotations

from typing import Any

from active_learner import __version__
from active_learner.web.problems import TITLES
from protocol.messages import Action

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object", "additionalProperties": True}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _object(fields: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required}


def _said(schema: Schema, words: str) -> Schema:
    return {**schema, "description": words}


COLUMN = _object({"name": TEXT, "unit": TEXT, "low": NUMBER, "high": NUMBER}, ("unit", "low", "high"))

SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        {
            "type": TEXT,
            "title": TEXT,
            "status": WHOLE,
            "detail": _said(TEXT, "what was wrong and what is allowed, for a person"),
            "status_word": _said(TEXT, "the trainer's status, when it refused"),
        },
        ("status_word",),
    ),
    "Me": _object(
        {
            "annotator": TEXT,
            "csrf": _said(_or_null(TEXT), "X-CSRF-Token of every change; null with a token of its own"),
            "experiment": TEXT,
            "media": _said(TEXT, "melody, image, text, table, or a name of the user's own"),
            "shape": _list(WHOLE),
            "dtype": TEXT,
            "classes": _said(WHOLE, "answers are 0 to classes - 1"),
            "class_names": _list(TEXT),
            "title": _said(_or_null(TEXT), "the question above the sample; null: by media and classes"),
            "columns": _said(
                _list(COLUMN),
                "names of the numbers of a table row; what is outside low to high stands out",
            ),
            "guide": _said({"type": "object", "additionalProperties": TEXT}, "class -> what it means"),
            "keys": _said(
                {"type": "object", "additionalProperties": TEXT}, "command or class -> key, where it is not the default"
            ),
            "min_listen_s": NUMBER,
            "show_roll": TRUTH,
            "instrument": _object({"wave": TEXT, "tempo": NUMBER, "volume": NUMBER}),
            "history_size": WHOLE,
            "labels_goal": _or_null(WHOLE),
            "renderer": _said(_or_null(TEXT), "path of a JavaScript module that shows other media"),
        }
    ),
    "Question": _object(
        {
            "id": TEXT,
            "key": _said(TEXT, "of the sample's content"),
            "media": TEXT,
            "features": _object(
                {"dtype": TEXT, "shape": _list(WHOLE), "base64": _said(TEXT, "little-endian, C order")}
            ),
            "classes": WHOLE,
            "round": WHOLE,
            "strategy": TEXT,
            "score": _or_null(NUMBER),
            "rank": WHOLE,
            "model_version": WHOLE,
            "stale": TRUTH,
            "pool": _said(WHOLE, "samples in the pool when it was asked"),
            "asked_at": _or_null(NUMBER),
            "expires_at": _said(
                _or_null(NUMBER),
                "end of the lease, seconds since 1970; it moves on while a page is open or questions are asked for",
            ),
        }
    ),
    "Questions": _object(
        {"questions": _list(_ref("Question")), "waiting": WHOLE, "text": _said(TEXT, "why there are none")}
    ),
    "Word": _object(
        {
            "id": _said({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "made once, when the key is pressed"),
            "question": TEXT,
            "action": {"type": "string", "enum": [str(one) for one in Action]},
            "value": _said(_or_null(WHOLE), "the class, for answer and revise; null otherwise"),
            "at": _said(_or_null(NUMBER), "seconds since 1970"),
            "circumstances": _said(ANYTHING, "how it came about: seconds heard, plays, what was shown; at most 1 KiB"),
        },
        ("value", "at", "circumstances"),
    ),
    "Receipt": _object(
        {
            "id": TEXT,
            "question": TEXT,
            "status": _said(
                TEXT, "stored, duplicate, late, surplus; kept: on this disk, the receipt follows as an event"
            ),
            "text": TEXT,
        }
    ),
    "Lease": _object(
        {
            "wants": _said({"type": "integer", "minimum": 0, "maximum": 20}, "0: all are given back at once"),
            "holds": _list(TEXT),
            "gives": _said(_list(TEXT), "others may have these"),
            "page": _said(TEXT, "with wants 0: this page goes; nothing is given back while another one is open"),
            "csrf": _said(TEXT, "in place of the header"),
        },
        ("holds", "gives", "page", "csrf"),
    ),
    "Leased": _object(
        {
            "holds": _list(TEXT),
            "seconds": _said(_or_null(NUMBER), "until the leases end; null: there are none"),
            "waiting": _said(WHOLE, "open questions that nobody holds"),
            "text": _said(TEXT, "why there are no more"),
        }
    ),
    "Decision": _object(
        {
            "id": TEXT,
            "question": TEXT,
            "action": TEXT,
            "value": _or_null(WHOLE),
            "at": NUMBER,
            "status": _said(TEXT, "of its receipt; kept: none yet"),
            "Q": _said(
                _or_null(_ref("Question")),
                "null: too long ago to be shown; when it is undone, it is asked again when the trainer says so",
            ),
        }
    ),
    "Queue": _object(
        {
            "open": _or_null(WHOLE),
            "waiting": _or_null(WHOLE),
            "items": _list(
                _object(
                    {
                        "id": TEXT,
                        "rank": WHOLE,
                        "score": _or_null(NUMBER),
                        "strategy": TEXT,
                        "model_version": WHOLE,
                        "age_s": _or_null(NUMBER),
                        "held": TRUTH,
                    }
                )
            ),
        }
    ),
    "Status": _said(ANYTHING, "all fields of the trainer's STATUS_REPORT, and what this process measured"),
    "Round": _object(
        {
            "round": WHOLE,
            "arm": _said(TEXT, "empty: the run itself; control: the same start, samples asked at random"),
            "labels": _said(WHOLE, "that it was trained on"),
            "model_version": WHOLE,
            "accuracy": _said(_or_null(NUMBER), "on the held-out samples, 0 to 1"),
            "loss": _or_null(NUMBER),
            "held_out": _said(_or_null(WHOLE), "samples behind the accuracy"),
            "held_back": _said(TEXT, "why the model of the round before went on in its place; else empty"),
            "at": _said(_or_null(NUMBER), "when it was over, seconds since 1970"),
            "pool": _or_null(WHOLE),
            "uncertainty": _said(_list(WHOLE), "scored samples by 1 - max p, in ten equal parts of 0 to 1"),
        }
    ),
    "Rounds": _object(
        {
            "total": _said(WHOLE, "rounds of the run that are over"),
            "rounds": _said(_list(_ref("Round")), "of many, 512 at equal distances, the first and the last among them"),
            "control": _said(_list(_ref("Round")), "of the control arm; empty: there is none"),
        }
    ),
}

EVENTS = """Server-sent events, each with data in JSON and an id; `Last-Event-ID` goes on where a stream was cut.

questions {}: fetch again. closed {question, why}. receipt {id, question, status, text}. status {...}: as /status.
round {line}: a round is over. trainer {here}. notice {level, text}. ended {text}: the run is over."""


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _answers(good: dict[str, Schema], *codes: int) -> Schema:
    """401, 403 and 429 may be said to anybody."""
    problem = {"application/problem+json": {"schema": _ref("Problem")}}
    refusals = {
        str(code): {"description": TITLES[code], "content": problem} for code in sorted({401, 403, 429, *codes})
    }
    return {**{code: {"description": "", "content": content} for code, content in good.items()}, **refusals}


def _get(words: str, schema: Schema, *codes: int, parameters: list[Schema] | None = None) -> Schema:
    found: Schema = {"summary": words, "responses": _answers({"200": _json(schema)}, *codes)}
    return {"get": {**found, "parameters": parameters} if parameters else found}


def _post(words: str, body: Schema, good: dict[str, Schema], *codes: int) -> Schema:
    taken = {"required": True, "content": _json(body)}
    return {"post": {"summary": words, "requestBody": taken, "responses": _answers(good, 400, 408, 413, 415, *codes)}}


HOLD: Schema = {
    "name": "hold",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 20, "default": 3},
    "description": "questions that this annotator wants to hold; they are its own until a lease after the last use",
}

PAGE: Schema = {
    "name": "page",
    "in": "query",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "description": "an id that a labeling page made for itself: while it is open its annotator's questions stay leased",
}

PAST: list[Schema] = [
    {"name": "before", "in": "query", "schema": TEXT, "description": "a question: decisions earlier than that of it"},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}},
]

PATHS: dict[str, Schema] = {
    "/api/v1/me": _get("Who I am, and what is asked of me", _ref("Me")),
    "/api/v1/questions": _get("The next questions, in order", _ref("Questions"), 400, 503, parameters=[HOLD]),
    "/api/v1/answers": _post(
        "Answer, skip, cannot_tell, undo or revise. The same id again gives the first result",
        _ref("Word"),
        {"200": _json(_ref("Receipt")), "202": _json(_ref("Receipt"))},
        404,
        409,
        410,
        503,
    ),
    "/api/v1/leases": _post("Hold, renew and give back questions", _ref("Lease"), {"200": _json(_ref("Leased"))}, 503),
    "/api/v1/leave": _post("End this session", ANYTHING, {"200": _json(ANYTHING)}),
    "/api/v1/history": _get(
        "Decisions that stand, newest first: each can be revised or undone",
        _list(_ref("Decision")),
        400,
        503,
        parameters=PAST,
    ),
    "/api/v1/queue": _get("What is asked, and by what rank", _ref("Queue")),
    "/api/v1/status": _get("Where the run stands", _ref("Status")),
    "/api/v1/rounds": _get("The learning curve: all rounds so far", _ref("Rounds"), 503),
    "/api/v1/metrics": {
        "get": {
            "summary": "What this process counted, as Prometheus reads it",
            "responses": _answers({"200": {"text/plain": {"schema": TEXT}}}),
        }
    },
    "/api/v1/events": {
        "get": {
            "summary": "What happens",
            "parameters": [PAGE],
            "description": EVENTS,
            "responses": _answers({"200": {"text/event-stream": {"schema": TEXT}}}),
        }
    },
    "/api/v1/openapi.json": {
        "get": {
            "summary": "This document",
            "security": [],
            "responses": {"200": {"description": "", "content": _json(ANYTHING)}},
        }
    },
}

DOCUMENT: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "active-learner: labeling",
        "version": __version__,
        "description": "A browser has a session (cookie) and repeats `csrf` of /me as X-CSRF-Token; a script has a token.",
    },
    "security": [{"session": []}, {"token": []}],
    "paths": PATHS,
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {
            "session": {"type": "apiKey", "in": "cookie", "name": "active_learner_PORT"},
            "token": {"type": "http", "scheme": "bearer"},
        },
    },
}
