"""What a message says, in a form that can be compared with ==: arrays by dtype, shape and bits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from protocol.messages import Message


def content(message: Message) -> tuple[Any, ...]:
    """The class and every field; floats by their text, so that -0.0 is not 0.0."""
    values = [getattr(message, field.name) for field in dataclasses.fields(message)]  # type: ignore[arg-type]
    return (type(message), *(_comparable(value) for value in values))


def _comparable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return (type(value), repr(value))
