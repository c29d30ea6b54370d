"""A run folder and the configuration that it was started with. Knows which keys a run cannot change; no store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from active_learner.config import loading, running
from active_learner.config.schema import Config
from active_learner.errors import ConfigError, LeaseHeld, WrongStore

FIXED = (
    "name",
    "seed",
    "sample",
    "store",
    "trainer.stages",
    "evaluator.network",
    "evaluator.arguments",
    "evaluator.optimizer",
    "evaluator.optimizer_arguments",
    "evaluator.learning_rate",
    "evaluator.schedule",
    "evaluator.schedule_arguments",
    "evaluator.output",
    "evaluator.deterministic",
)
"""What the kept labels and weights were made with: another value needs another run. All other keys may change under a
run: plans keep the loss, epochs and batch size of their own round."""

_OF_STAGE = re.compile(
    r"evaluator\.stages\..+?\.(?=(?:"
    + "|".join(key.removeprefix("evaluator.") for key in FIXED if key.startswith("evaluator."))
    + r")(?:\.|$))"
)
"""Before a key that a stage of a chain has for itself: it is as fixed as that of `evaluator`."""


OF_LABELS = ("name", "sample", "store")
"""What the store of labels was made with: a run in which nothing happened yet keeps these, and takes other values of the
other fixed keys. Who mistypes the name of a network at the first start must not need another run."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `look` and `prepare` found."""

    folder: Path
    resumed: bool
    notes: tuple[str, ...]
    """Lines for the person: resumed or new, and keys that changed."""


def look(config: Config, begun: Callable[[], bool] = lambda: True) -> Prepared:
    """Whether the run of this configuration can go on in its folder. Changes nothing; `keep` does.

    `begun`: whether labels or weights are there already; it is asked only when a fixed key has changed.
    Raises: ConfigError when a fixed key has changed; WrongStore when the kept configuration cannot be read.
    """
    folder = loading.run_dir(config)
    kept = folder / loading.RESOLVED
    if not kept.is_file():
        return Prepared(folder, False, (f"new run in {folder}",))
    first = f"resumes the run in {folder} (--new starts another)"
    return Prepared(folder, True, (first, *_changes(kept, config, begun)))


def keep(config: Config) -> None:
    """Write the configuration into the run folder: only who has the run may do that. Raises: OSError."""
    folder = loading.run_dir(config)
    folder.mkdir(parents=True, exist_ok=True)
    loading.write_resolved(config, folder / loading.RESOLVED)


def prepare(config: Config, begun: Callable[[], bool] = lambda: True) -> Prepared:
    """`look`, then `keep`. Raises: as these."""
    found = look(config, begun)
    keep(config)
    return found


def move_aside(folder: Path) -> Path:
    """Rename it to FOLDER.1, or the next number that is free. Raises: LeaseHeld when an `up` runs there.

    Whether a trainer that was started by hand writes there, its store knows: commands/run_folders.py asks that first.
    """
    holder = running.running(folder)
    if holder is not None:
        raise LeaseHeld(f"{folder}: `up` runs here already, process {holder.get('pid', 'unknown')}")
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside


def kept_store(folder: Path) -> str | None:
    """store.url of the run in this folder; None: there is none that can be read."""
    try:
        store = _load(folder / loading.RESOLVED).get("store")
    except WrongStore:
        return None
    url = store.get("url") if isinstance(store, Mapping) else None
    return url if isinstance(url, str) else None


def _changes(kept: Path, config: Config, begun: Callable[[], bool]) -> list[str]:
    """Notes about keys that differ and may. Raises: ConfigError for those that may not."""
    old, new = dict(flat(_load(kept))), dict(flat(loading.plain(config)))
    allowed: list[str] = []
    refused: list[str] = []
    frozen: list[str] = []
    for key in sorted({*old, *new} - {"run_dir", "folder"}):
        if old.get(key) == new.get(key):
            continue
        text = f"{key}: was {_shown(old, key)}, is {_shown(new, key)}"
        if _is_fixed(key):
            (refused if _is_fixed(key, OF_LABELS) else frozen).append(text)
        elif not key.startswith("broker."):
            allowed.append(text)
    if refused or (frozen and begun()):
        told = sorted([*refused, *frozen])
        raise ConfigError([f"{kept}: {text}; a run keeps it: --new starts another run" for text in told])
    return [f"changed since the last start: {text}" for text in sorted([*allowed, *frozen])]


def _is_fixed(key: str, among: Sequence[str] = FIXED) -> bool:
    general = _OF_STAGE.sub("evaluator.", key)
    return any(general == fixed or general.startswith(f"{fixed}.") for fixed in among)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise WrongStore(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise WrongStore(f"{path}: is not a configuration")
    return values


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; lists are values, an empty mapping says nothing."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), value


def _shown(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not set"
