"""What each field of each kind may hold, compiled from the dataclasses of messages.py. Knows types and limits; no bytes.

One check serves both directions: what a receiver would refuse, a sender is told before it is sent. `Unfit` is neither
local nor remote yet; codec.py makes it one or the other.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from protocol import messages
from protocol.limits import MAX_ELEMENTS, MAX_INTEGER, MAX_STRING_BYTES, MAX_TEXT_BYTES
from protocol.messages import Message

RawOut = list[Any]
"""Raw frames collected while a message is written."""
RawIn = Iterator[tuple[int, Any]]
"""Raw frames of a received message with their numbers, taken in order."""

KINDS: Final[dict[int, type[Message]]] = {
    thing.KIND: thing
    for thing in vars(messages).values()
    if isinstance(thing, type) and issubclass(thing, Message) and thing is not Message and thing.KIND
}
"""Number in the prefix -> message class. 0 marks what only occurs inside of others."""

SIGNED: Final = frozenset({"Answer.value", "Question.model_version"})
"""All other integers count something. An answer outside the classes gets a receipt that says so, -1 too; a question
that no model scored has model_version -1."""

TEXTS: Final = frozenset({"text", "why", "circumstances"})
"""Fields with sentences for a person, or JSON; all other strings are names, ids and codes."""


class Unfit(ValueError):
    """A value that its field does not allow; `where` is its path within the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.where = ""

    def under(self, step: str) -> Unfit:
        """The same, seen from one level further up."""
        self.where = step + self.where
        return self

    def __str__(self) -> str:
        return f"{self.where} {self.args[0]}".lstrip(".")


class TooLong(Unfit):
    """More bytes or elements than allowed."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"has {size} {what}, allowed are {limit}")
        self.size, self.limit = size, limit


class Infinite(Unfit):
    """NaN or infinity."""


@dataclass(frozen=True, slots=True)
class FieldType:
    """How one type is checked on its way out (`write`: Python -> msgpack) and in (`read`: msgpack -> Python)."""

    text: str
    """As SPEC.md writes the type."""
    write: Callable[[Any, RawOut], Any]
    read: Callable[[Any, RawIn], Any]


class Layout:
    """The fields of one dataclass, in the order in which they are written."""

    __slots__ = ("cls", "fields", "names")

    def __init__(self, cls: type[Any]) -> None:
        hints = get_type_hints(cls, localns={"Array": _Array})
        self.cls = cls
        self.fields = tuple(
            (field.name, field_type(hints[field.name], f"{cls.__name__}.{field.name}")) for field in fields(cls)
        )
        self.names = frozenset(name for name, _ in self.fields)

    def write(self, thing: Any, raws: RawOut) -> dict[str, Any]:
        """The map of a message, its arrays described. Raises: Unfit."""
        if type(thing) is not self.cls:
            raise Unfit(f"is {_type(thing)}, expected {self.cls.__name__}")
        written = {}
        name = ""
        try:
            for name, kind in self.fields:
                written[name] = kind.write(getattr(thing, name), raws)
        except Unfit as error:
            raise error.under(f".{name}") from None
        return written

    def read(self, header: Any, raws: RawIn) -> Any:
        """The opposite. Raises: Unfit."""
        if type(header) is not dict:
            raise Unfit(f"is {_type(header)}, expected a map")
        if header.keys() != self.names:
            raise Unfit(_wrong_names(header.keys() - self.names, self.names - header.keys()))
        values = []
        name = ""
        try:
            for name, kind in self.fields:
                values.append(kind.read(header[name], raws))
        except Unfit as error:
            raise error.under(f".{name}") from None
        return self.cls(*values)


_LAYOUTS: Final[dict[type[Any], Layout]] = {}


def layout(cls: type[Any]) -> Layout:
    """Compiled when a class is first used."""
    known = _LAYOUTS.get(cls)
    if known is None:
        known = _LAYOUTS[cls] = Layout(cls)
    return known


def field_type(hint: Any, path: str) -> FieldType:
    """The type of the field `path` ("Answer.value") from its annotation. Raises: TypeError for one not on the wire."""
    if hint in _PLAIN:
        return _PLAIN[hint](path)
    if get_origin(hint) in (types.UnionType, Union):
        (inner,) = (part for part in get_args(hint) if part is not types.NoneType)
        return _optional(field_type(inner, path))
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if parts[1:] == (...,):
            return _many(field_type(parts[0], path))
        return _fixed(tuple(field_type(part, path) for part in parts))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _choice(hint)
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return FieldType(hint.__name__, layout(hint).write, layout(hint).read)
    raise TypeError(f"{path}: {hint} has no place on the wire")


class _Array:
    """Stands for `Array` while annotations are resolved: numpy is not needed to know that a field is one."""


def _type(value: Any) -> str:
    return "nil" if value is None else type(value).__name__


def _wrong_names(unknown: set[Any], missing: set[str] | frozenset[str]) -> str:
    parts = []
    if missing:
        parts.append("lacks " + ", ".join(sorted(missing)))
    if unknown:
        parts.append("has the unknown field " + ", ".join(sorted(repr(name)[:64] for name in unknown)[:3]))
    return " and ".join(parts)


def _both(text: str, check: Callable[[Any, Any], Any]) -> FieldType:
    return FieldType(text, check, check)


def _integer(path: str) -> FieldType:
    low = -MAX_INTEGER - 1 if path in SIGNED else 0

    def check(value: Any, _: Any) -> int:
        if type(value) is not int:  # a bool is an int to isinstance, a numpy integer is none to msgpack
            raise Unfit(f"is {_type(value)}, expected an integer")
        if not low <= value <= MAX_INTEGER:
            raise Unfit(f"is outside {low} to {MAX_INTEGER}")
        return value

    return _both("i64" if low else "u63", check)


def _real(path: str) -> FieldType:
    def check(value: Any, _: Any) -> float:
        if not isinstance(value, float) and type(value) is not int:  # some languages write 1.0 as 1
            raise Unfit(f"is {_type(value)}, expected a number")
        try:
            real = float(value)
        except OverflowError:
            real = math.inf
        if not math.isfinite(real):
            raise Infinite("is not finite")
        return real

    return _both("f64", check)


def _flag(path: str) -> FieldType:
    def check(value: Any, _: Any) -> bool:
        if type(value) is not bool:
            raise Unfit(f"is {_type(value)}, expected a boolean")
        return value

    return _both("bool", check)


def _string(path: str) -> FieldType:
    is_text = path.partition(".")[2] in TEXTS
    limit = MAX_TEXT_BYTES if is_text else MAX_STRING_BYTES

    def check(value: Any, _: Any) -> str:
        if not isinstance(value, str):
            raise Unfit(f"is {_type(value)}, expected a string")
        try:
            size = len(value) if value.isascii() else len(value.encode())
        except UnicodeEncodeError:
            raise Unfit("has a surrogate, which UTF-8 cannot say") from None
        if size > limit:
            raise TooLong("bytes", size, limit)
        return value

    return _both("text" if is_text else "str", check)


def _choice(enum: type[StrEnum]) -> FieldType:
    members: dict[Any, StrEnum] = {member.value: member for member in enum}
    allowed = ", ".join(members)

    def read(value: Any, _: Any) -> StrEnum:
        member = members.get(value) if isinstance(value, str) else None
        if member is None:
            raise Unfit(f"is {_type(value)} {str(value)[:64]!r}, allowed are {allowed}")
        return member

    return FieldType(enum.__name__, lambda value, raws: read(value, raws).value, read)


def _optional(inner: FieldType) -> FieldType:
    def write(value: Any, raws: RawOut) -> Any:
        return None if value is None else inner.write(value, raws)

    def read(value: Any, raws: RawIn) -> Any:
        return None if value is None else inner.read(value, raws)

    return FieldType(inner.text + "?", write, read)


def _each(values: Any, check: Callable[[Any, Any], Any], raws: Any) -> Iterator[Any]:
    if len(values) > MAX_ELEMENTS:
        raise TooLong("elements", len(values), MAX_ELEMENTS)
    for index, value in enumerate(values):
        try:
            yield check(value, raws)
        except Unfit as error:
            raise error.under(f"[{index}]") from None


def _many(inner: FieldType) -> FieldType:
    def write(value: Any, raws: RawOut) -> list[Any]:
        if type(value) is not tuple:
            raise Unfit(f"is {_type(value)}, expected a tuple")
        return list(_each(value, inner.write, raws))

    def read(value: Any, raws: RawIn) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Unfit(f"is {_type(value)}, expected a list")
        return tuple(_each(value, inner.read, raws))

    return FieldType(f"[{inner.text}]", write, read)


def _fixed(parts: tuple[FieldType, ...]) -> FieldType:
    def whole(value: Any, kind: type[Any]) -> Any:
        if type(value) is not kind or len(value) != len(parts):
            raise Unfit(f"is {_type(value)}, expected {len(parts)} elements")
        return value

    def write(value: Any, raws: RawOut) -> list[Any]:
        return [part.write(one, raws) for part, one in zip(parts, whole(value, tuple), strict=True)]

    def read(value: Any, raws: RawIn) -> tuple[Any, ...]:
        return tuple(part.read(one, raws) for part, one in zip(parts, whole(value, list), strict=True))

    return FieldType(f"({', '.join(part.text for part in parts)})", write, read)


def _array(path: str) -> FieldType:
    def write(value: Any, raws: RawOut) -> Any:
        return _tensors().describe(value, raws)

    def read(value: Any, raws: RawIn) -> Any:
        return _tensors().restore(value, raws)

    return FieldType("array", write, read)


@cache
def _tensors() -> Any:
    """Imported with the first array: the broker never loads numpy."""
    from protocol import tensors

    return tensors


_PLAIN: Final[dict[Any, Callable[[str], FieldType]]] = {
    int: _integer,
    float: _real,
    bool: _flag,
    str: _string,
    _Array: _array,
}
