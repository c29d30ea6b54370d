"""How a label came to be (seconds heard, plays, speed, ...): a small JSON object. Knows its form; not who says or keeps it."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_BYTES = 1024
"""A page that wants to say more has a log of its own."""


def objection(text: str) -> str:
    """Why it cannot be kept with a label; "": it can. "" is none."""
    if not text:
        return ""
    try:
        if len(text.encode("utf-8")) > MAX_BYTES:
            return f"circumstances are longer than {MAX_BYTES} bytes"
        return _of(json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError):  # its words would show hostile text
        return "circumstances are no JSON"


def plain(text: str) -> str:
    """The same in ASCII, which every file and spreadsheet can hold."""
    return json.dumps(json.loads(text)) if text else ""


def _of(said: Any) -> str:
    if not isinstance(said, dict):
        return "circumstances are no JSON object"
    for name, value in said.items():
        f"{name}{value}".encode()  # half of a surrogate pair cannot be written anywhere
        if not isinstance(value, str | bool | int | float):
            return f"circumstances: {name[:40]!r} is no text, number, true or false"
        if isinstance(value, float) and not math.isfinite(value):
            return f"circumstances: {name[:40]!r} is not finite"
    return ""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
