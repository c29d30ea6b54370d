"""Where each configured value comes from: YAML files with `extends:`, the environment, --set. Knows no schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from active_learner.errors import ConfigError

ENVIRONMENT = "ACTIVE_LEARNER__"
FOLDER = "folder"
"""Top-level key of a resolved file: the folder from which its files and modules are looked up."""

Keys = tuple[str | int, ...]
Find = Callable[[str, Path], Path]


@dataclass
class Layer:
    """Values as plain dicts, lists and scalars, and for each key "file:line", the variable or the option that set it."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, str] = field(default_factory=dict)

    def place(self, keys: Keys) -> str:
        """Where this key, or the nearest section around it, was set; "" when nowhere."""
        for end in range(len(keys), -1, -1):
            if keys[:end] in self.places:
                return self.places[keys[:end]]
        return ""

    def put(self, keys: Sequence[str], value: Any, place: str) -> None:
        """Set one dotted key; what stands in the way is replaced."""
        section = self.values
        for depth, key in enumerate(keys[:-1]):
            inner = section.get(key)
            if not isinstance(inner, dict):
                inner = section[key] = {}
                self.places[tuple(keys[: depth + 1])] = place
            section = inner
        section[keys[-1]] = value
        self.places[tuple(keys)] = place


def merge(low: Layer, high: Layer) -> Layer:
    """`high` wins key by key. A section whose `kind` changes is replaced as a whole: the old kind's keys mean nothing."""
    merged = Layer(_plain_copy(low.values), dict(low.places))
    _merge_into(merged, high, (), merged.values, high.values)
    merged.places[()] = high.places.get((), low.places.get((), ""))
    return merged


def _merge_into(merged: Layer, high: Layer, at: Keys, below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        keys = (*at, key)
        old = below.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("kind", old.get("kind")) == old.get("kind"):
            _merge_into(merged, high, keys, old, value)
        else:
            for stale in [place for place in merged.places if place[: len(keys)] == keys]:
                del merged.places[stale]
            below[key] = _plain_copy(value)
            merged.places.update({place: text for place, text in high.places.items() if place[: len(keys)] == keys})
        if keys in high.places:
            merged.places[keys] = high.places[keys]


def from_file(path: Path, find: Find, chain: tuple[Path, ...] = ()) -> Layer:
    """The file over what it extends. Raises: ConfigError."""
    if path.resolve() in chain:
        raise ConfigError([f"{path}: extends itself: {' -> '.join(str(one) for one in (*chain, path.resolve()))}"])
    layer = _read(path)
    base = layer.values.pop("extends", None)
    if base is None:
        return layer
    place = layer.places.pop(("extends",))
    if not isinstance(base, str):
        raise ConfigError([f"{place}: extends: must be one file or shipped name, not {base!r}"])
    try:
        parent = find(base, path.parent)
    except ConfigError as error:
        raise ConfigError([f"{place}: extends: {error}"]) from None
    return merge(from_file(parent, find, (*chain, path.resolve())), layer)


def _read(path: Path) -> Layer:
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        raise ConfigError([_yaml_problem(str(path), error)]) from None
    except (OSError, UnicodeDecodeError, YAMLError, ValueError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    layer = Layer(places={(): str(path)})
    if document is None:
        return layer
    if not isinstance(document, CommentedMap):
        raise ConfigError([f"{path}: must be a mapping of keys such as 'name: digits'"])
    layer.values = _convert(document, (), str(path), layer.places)
    return layer


def _yaml_problem(name: str, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f":{mark.line + 1}" if mark is not None else ""
    text = (error.problem or error.context or "not YAML").split("\n")[0].strip()
    return f"{name}{line}: not valid YAML: {text}"


def _convert(node: Any, at: Keys, name: str, places: dict[Keys, str]) -> Any:
    """Plain Python values; `places` gets a line for each key."""
    if isinstance(node, CommentedMap):
        result: dict[str, Any] = {}
        for key, value in node.items():
            keys = (*at, str(key))
            line = node.lc.data.get(key)
            if line is not None:  # a merged-in key (<<) has no line of its own
                places[keys] = f"{name}:{line[0] + 1}"
            result[str(key)] = _convert(value, keys, name, places)
        return result
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            places[(*at, index)] = f"{name}:{node.lc.item(index)[0] + 1}"
        return [_convert(value, (*at, index), name, places) for index, value in enumerate(node)]
    return _scalar(node)


def _scalar(node: Any) -> Any:
    """ruamel keeps how a number was written in subclasses; JSON wants the plain ones."""
    if node is None or isinstance(node, bool):
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(getattr(node, "value", node))  # dates and tagged scalars: as text


def from_environment(environment: Mapping[str, str]) -> Layer:
    """ACTIVE_LEARNER__TRAINER__EPOCHS=3 sets trainer.epochs. Raises: ConfigError."""
    names = sorted(name for name in environment if name.startswith(ENVIRONMENT))
    return _from_pairs((name, name[len(ENVIRONMENT) :].lower().split("__"), environment[name]) for name in names)


def from_sets(sets: Sequence[str]) -> Layer:
    """Each "a.b=value". Raises: ConfigError."""
    parts = [(text, *text.partition("=")) for text in sets]
    return _from_pairs(
        (f"--set {text}", key.strip().split(".") if equals else [], value) for text, key, equals, value in parts
    )


def _from_pairs(pairs: Iterable[tuple[str, list[str], str]]) -> Layer:
    layer, problems = Layer(), []
    for place, keys, text in pairs:
        if not keys or not all(keys):
            problems.append(f"{place}: must be KEY=VALUE, such as trainer.epochs=3")
            continue
        try:
            value = _convert(YAML(typ="rt").load(text), (), place, {})
        except YAMLError as error:
            marked = error if isinstance(error, MarkedYAMLError) else MarkedYAMLError(problem=str(error))
            marked.problem_mark = marked.context_mark = None
            problems.append(_yaml_problem(place, marked))
            continue
        layer.put(keys, value, place)
    if problems:
        raise ConfigError(problems)
    return layer


def _plain_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_copy(inner) for key, inner in value.items()}
    return [_plain_copy(inner) for inner in value] if isinstance(value, list) else value
