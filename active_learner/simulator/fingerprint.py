"""The state of an object as something that can be compared: what it is made of, all the way down. Knows no object."""

from __future__ import annotations

from collections import deque
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

COUNTED = frozenset({"_story", "counters", "stale", "resent", "dropped", "unheeded", "repeats", "_tick_at", "heard_at"})
"""What a message that has no effect may change: counters, the story, and when a sign of life came."""

PLAIN = (str, int, float, bool, bytes, type(None))


def fingerprint(thing: Any) -> Any:
    """Equal for equal states, whatever the identity of the objects in them."""
    if isinstance(thing, PLAIN):
        return thing
    if isinstance(thing, np.ndarray):
        return (thing.shape, thing.dtype.str, thing.tobytes())
    if isinstance(thing, dict):
        return ("dict", tuple((fingerprint(key), fingerprint(value)) for key, value in thing.items()))
    if isinstance(thing, set | frozenset):
        return ("set", tuple(sorted(map(repr, thing))))
    if isinstance(thing, list | tuple | deque):
        return ("row", tuple(map(fingerprint, thing)))
    return _of_object(thing)


def _of_object(thing: Any) -> Any:
    if is_dataclass(thing):
        kept = {field.name: getattr(thing, field.name) for field in fields(thing)}
    elif callable(thing) or not hasattr(thing, "__dict__"):
        return type(thing).__name__
    else:
        kept = vars(thing)
    parts = tuple((name, fingerprint(value)) for name, value in kept.items() if name not in COUNTED)
    return (type(thing).__name__, parts)
