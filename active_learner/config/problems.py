"""What is wrong with a configuration, in words: place, key, what is allowed, nearest name. Knows the schema, no file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from active_learner.config.layers import Keys, Layer

Model = type[BaseModel]
ErrorDetails = Mapping[str, Any]
"""One of pydantic's `errors()`: type, loc, input, msg, and ctx with what was allowed."""

_PATTERNS = {
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$": "letters, digits, '.', '_' and '-', at most 63, the first a letter or digit",
    r"^tcp://[^:/]+:\d{1,5}$": "tcp://HOST:PORT",
    r"^[\w.]+:[\w.]+$": "module:factory, such as network:make",
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "tuple": "a list, such as [64]",
    "dict": "a mapping of keys",
    "model": "a mapping of keys",
}
_BOUNDS = {
    "greater_than": ("ge", "gt", "more than"),
    "greater_than_equal": ("ge", "ge", "at least"),
    "less_than": ("lt", "lt", "less than"),
    "less_than_equal": ("le", "le", "at most"),
}


def describe(errors: Sequence[ErrorDetails], layer: Layer, root: Model) -> list[str]:
    """One line for each of pydantic's errors, by place: "configs/exp.yaml:3: trainer.bacth_size: unknown key; ..."."""
    return sorted((_line(error, layer, root) for error in errors), key=_by_place)


def _by_place(problem: str) -> tuple[str, int]:
    """Files first line to last, not line 10 before line 2."""
    name, _, rest = problem.partition(":")
    number = rest.partition(":")[0]
    return name, int(number) if number.isdigit() else 0


def _line(error: ErrorDetails, layer: Layer, root: Model) -> str:
    keys, model = _locate(error["loc"], layer.values, root)
    text = _text(error, keys, model, root)
    if error["type"] in ("union_tag_not_found", "union_tag_invalid"):
        keys = (*keys, "kind")
    return line(keys, text, layer)


def line(keys: Keys, text: str, layer: Layer) -> str:
    """One problem with its place."""
    place, name = layer.place(keys), ".".join(str(key) for key in keys)
    return ": ".join(part for part in (place, name, text) if part)


def _locate(loc: Sequence[str | int], values: Any, root: Model) -> tuple[Keys, Model | None]:
    """The keys as a person wrote them (pydantic puts the kind of a section between), and the model around the last."""
    keys: list[str | int] = []
    model: Model | None = root
    inner: Model | None = root
    rest = [key for key in loc if key != "[key]"]
    while rest:
        key = rest.pop(0)
        keys.append(key)
        model = inner
        values = values.get(key) if isinstance(values, dict) else None
        options = models(inner.model_fields[str(key)]) if inner is not None and key in inner.model_fields else {}
        kind = values.get("kind") if isinstance(values, dict) else None
        inner = options.get("") or options.get(str(kind))
        if rest and "" not in options and options and rest[0] == kind:
            rest.pop(0)
        if rest and (named := _named(model, key)) is not None:
            keys.append(rest.pop(0))
            values, inner = values.get(keys[-1]) if isinstance(values, dict) else None, named
    return tuple(keys), model


def _named(model: Model | None, key: str | int) -> Model | None:
    """The model of each entry, when the key holds sections by names of the user's own, or a list of them."""
    info = model.model_fields.get(str(key)) if model is not None else None
    kind = get_origin(info.annotation) if info is not None else None
    entry = get_args(info.annotation)[-1 if kind is dict else 0] if info is not None and kind in (dict, tuple) else None
    return entry if isinstance(entry, type) and issubclass(entry, BaseModel) else None


def models(info: FieldInfo) -> dict[str, Model]:
    """The section's model under "", or those of a union by their kind; {} for a mapping or a list of sections."""
    if get_origin(info.annotation) in (dict, tuple):
        return {}
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
        return {"": info.annotation}
    choices = [one for one in get_args(info.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return {str(one.model_fields["kind"].default): one for one in choices}


def _text(error: ErrorDetails, keys: Keys, model: Model | None, root: Model) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(keys[-1]), model, root)
    if kind == "missing":
        return "must be given" + _described(model, keys)
    if kind == "literal_error":
        return _choice(value, context["expected"].replace(" or ", ", "))
    if kind == "union_tag_invalid":
        return _choice(context["tag"], context["expected_tags"])
    if kind == "union_tag_not_found":
        return "must be given; allowed: " + _kinds_of(keys, root)
    if kind == "string_pattern_mismatch":
        return f"{value!r} does not fit; allowed: {_PATTERNS.get(context['pattern'], context['pattern'])}"
    if kind in _BOUNDS:
        bound = next(iter(context.values()))
        return f"must be {_BOUNDS[kind][2]} {bound}, not {_short(value)}"
    if kind == "too_short":
        return f"must have at least {context['min_length']} entry, not {context['actual_length']}"
    if kind == "finite_number":
        return f"must be finite, not {_short(value)}"
    return _wrong_type(kind, value, error["msg"])


def _wrong_type(kind: str, value: Any, otherwise: str) -> str:
    wanted = _KINDS.get(kind.partition("_")[0])
    if wanted is None:
        return otherwise[:1].lower() + otherwise[1:]
    hint = "; put it in quotes" if wanted == "text" and isinstance(value, (int, float)) else ""
    return f"must be {wanted}, not {_short(value)}{hint}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return "nothing" if value is None else str(value).lower()


def _choice(value: Any, expected: str) -> str:
    allowed = [part.strip().strip("'\"") for part in expected.split(",")]
    return f"unknown: {value!r}{hint(str(value), allowed)} allowed: {', '.join(allowed)}"


def _kinds_of(keys: Keys, root: Model) -> str:
    return ", ".join(models(root.model_fields[str(keys[0])]))


def _described(model: Model | None, keys: Keys) -> str:
    info = model.model_fields.get(str(keys[-1])) if model is not None else None
    return f": {info.description}" if info is not None and info.description else ""


def _unknown_key(key: str, model: Model | None, root: Model) -> str:
    allowed = sorted(model.model_fields) if model is not None else []
    guess = hint(key, allowed)
    elsewhere = [path for path in dotted_keys(root) if path.rpartition(".")[2] == key]
    if guess == ";" and elsewhere:
        guess = f"; it belongs to {' or '.join(elsewhere[:3])};"
    return f"unknown key{guess} allowed: {', '.join(allowed)}"


def hint(word: str, allowed: Sequence[str]) -> str:
    """ "; did you mean 'x'?", or ";" when no name is near."""
    close = get_close_matches(word.lower(), [name.lower() for name in allowed], 1, 0.6)
    original = [name for name in allowed if close and name.lower() == close[0]]
    return f"; did you mean {original[0]!r}?" if original else ";"


def dotted_keys(model: Model, prefix: str = "") -> Iterator[str]:
    """Every key of the schema: name, trainer.epochs, source.path, ... (those of all kinds)."""
    seen: set[str] = set()
    for name, info in model.model_fields.items():
        yield prefix + name
        for inner in models(info).values():
            for path in dotted_keys(inner, f"{prefix}{name}."):
                if path not in seen:
                    seen.add(path)
                    yield path


def senseless(values: Mapping[str, Any], layer: Layer) -> list[str]:
    """What each key allows and all together do not; `values` is the checked configuration as plain values."""
    problems = []
    trainer, rooms, source = values["trainer"], values["rooms"], values["source"]
    capacity = trainer["pool_capacity"]
    if capacity is not None and capacity < trainer["pool_size"]:
        text = f"must be at least trainer.pool_size ({trainer['pool_size']}), not {capacity}"
        problems.append(line(("trainer", "pool_capacity"), text, layer))
    if trainer["adjudicate"] and trainer["labels_per_item"] < 2:
        text = (
            f"must be at least 2 with trainer.adjudicate, which is for who disagree, not {trainer['labels_per_item']}"
        )
        problems.append(line(("trainer", "labels_per_item"), text, layer))
    if trainer["promotion"] == "gated" and values["validation"]["every"] != 1:
        text = f"must be 1 with trainer.promotion: gated, which judges every round, not {values['validation']['every']}"
        problems.append(line(("validation", "every"), text, layer))
    for name, room in rooms.items():
        earlier = next(other for other, taken in rooms.items() if taken == room)
        if earlier != name:
            problems.append(line(("rooms", name), f"{room!r} is rooms.{earlier} already", layer))
    if source.get("elite", 0) >= source.get("population", 1):
        text = f"must be less than source.population ({source['population']}), not {source['elite']}"
        problems.append(line(("source", "elite"), text, layer))
    if not 0 < int(values["broker"]["address"].rpartition(":")[2]) < 65536:
        problems.append(line(("broker", "address"), "the port must be 1 to 65535", layer))
    return [*problems, *_too_few_rooms(values, layer), *_broken_chain(values, layer)]


def _too_few_rooms(values: Mapping[str, Any], layer: Layer) -> Iterator[str]:
    """A broker that takes fewer rooms than this experiment has."""
    stages = [values["evaluator"], *values["evaluator"]["stages"].values()]
    between = {stage[key] for stage in stages for key in ("input_room", "output_room")} - {None}
    rooms, allowed = {*values["rooms"].values(), *between}, values["broker"]["max_rooms"]
    if allowed < len(rooms):
        text = (
            f"must be at least {len(rooms)}, the rooms of this experiment ({', '.join(sorted(rooms))}), not {allowed}"
        )
        yield line(("broker", "max_rooms"), text, layer)


def _broken_chain(values: Mapping[str, Any], layer: Layer) -> Iterator[str]:
    """Stages that are no part of the network, and rooms between two stages that are not the same."""
    evaluator, roles, at = values["evaluator"], values["trainer"]["stages"], ("evaluator", "stages")
    stages = evaluator["stages"]
    for role in stages:
        if role not in roles:
            yield line((*at, role), f"is not in trainer.stages: {', '.join(roles)}", layer)
    for before, after in pairwise(role if role in stages else None for role in roles):
        if before is None or after is None:
            continue
        out = stages[before]["output_room"] or evaluator["output_room"] or values["rooms"]["trainoutput"]
        into = stages[after]["input_room"] or evaluator["input_room"] or values["rooms"]["traininput"]
        if out != into:
            text = f"must be the room into which {before} says, {out!r}, not {into!r}"
            yield line((*at, after, "input_room"), text, layer)
