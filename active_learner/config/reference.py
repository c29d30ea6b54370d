"""The schema as a Markdown table, for the README. Knows the schema's descriptions; no values."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from active_learner.config.problems import models

_WORDS = {int: "whole number", float: "number", str: "text", bool: "true, false", type(None): "null", dict: "mapping"}


def table(root: type[BaseModel]) -> str:
    """| key | allowed | default | meaning |, one row for each key."""
    rows = ["| key | allowed | default | meaning |", "| --- | --- | --- | --- |"]
    rows.extend(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in _rows(root, ""))
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, info in model.model_fields.items():
        inner = models(info)
        if not inner:
            yield (
                f"`{prefix}{name}`",
                _allowed(info),
                _default(info),
                (info.description or "").replace("None:", "null:"),
            )
        elif "" in inner:
            yield from _rows(inner[""], f"{prefix}{name}.")
        else:
            default = getattr(info.default, "kind", "")
            yield f"`{prefix}{name}.kind`", ", ".join(inner), f"`{default}`", "the keys below depend on it"
            for kind, section in inner.items():
                yield from (row for row in _rows(section, f"{prefix}{name}({kind}).") if not row[0].endswith(".kind`"))


def _allowed(info: FieldInfo) -> str:
    return _type(info.annotation) + _bounds(info.metadata)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(str(one) for one in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        inner = [part for one in annotation.__metadata__ for part in getattr(one, "metadata", [one])]
        return _type(arguments[0]) + _bounds(inner)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "text or mapping"  # in a list: its name alone, or all of it
    return _WORDS.get(origin or annotation, str(annotation))


def _bounds(metadata: list[Any]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    parts = [
        f"{sign} {_short(getattr(one, name))}" for one in metadata for name, sign in signs.items() if hasattr(one, name)
    ]
    parts.extend("not empty" for one in metadata if hasattr(one, "min_length"))
    return f" {', '.join(parts)}" if parts else ""


def _short(bound: float) -> str:
    return "2^63" if bound == 2**63 else str(bound) if isinstance(bound, int) else f"{bound:g}"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"
