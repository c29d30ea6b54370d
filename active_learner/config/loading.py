"""From a path or a shipped name, the environment and --set to a checked Config. Knows files; not what the keys do.

Later wins: defaults < extended files < the file < environment (ACTIVE_LEARNER__TRAINER__EPOCHS=3) < --set.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

import active_learner
from active_learner.config import layers, problems, running
from active_learner.config.schema import Config
from active_learner.core.keys import Keys
from active_learner.errors import ConfigError
from active_learner.security.folder import FOLDER
from active_learner.security.key_files import read_keys
from active_learner.security.reach import needs_keys

OUTBOX = "outbox"
"""In the run folder."""

RESOLVED = "config.resolved.yaml"
IN_FOLDER = "config.yaml"
"""What a folder as CONFIG means, as `init` writes it."""


def shipped() -> dict[str, Path]:
    """The experiments that come with the package, by name: of the wheel, or of the source checkout."""
    package = Path(active_learner.__file__).resolve().parent
    folder = next((one for one in (package / "configs", package.parent / "configs") if one.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))} if folder else {}


def find(config: str, folder: Path) -> Path:
    """The file `config` (relative to `folder`), or the config.yaml in that folder, or else the shipped experiment of that name. Raises: ConfigError."""
    path = Path(config) if folder == Path() else folder / config
    if path.is_file():
        return path
    if (path / IN_FOLDER).is_file():
        return path / IN_FOLDER
    names = shipped()
    if config in names:
        return names[config]
    near = [one.name for one in sorted(path.parent.glob("*.y*ml"))] if path.parent.is_dir() else []
    guess = problems.hint(config, [*names, *(str(Path(config).with_name(name)) for name in near)])
    what = f"is a folder without {IN_FOLDER}" if path.is_dir() else "no such file or shipped experiment"
    raise ConfigError([f"{config}: {what}{guess} shipped: {', '.join(names) or 'none'}"])


def load(config: str, sets: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Config:
    """The checked configuration. `environment` None: os.environ. Raises: ConfigError with every problem at once."""
    path = find(config, Path())
    layer = layers.from_file(path, find)
    folder = layer.values.pop(layers.FOLDER, None) or path.resolve().parent
    if not isinstance(folder, str | Path):
        raise ConfigError([problems.line((layers.FOLDER,), f"must be text, not {folder!r}", layer)])
    layer = layers.merge(layer, layers.from_environment(os.environ if environment is None else environment))
    layer = layers.merge(layer, layers.from_sets(sets))
    checked = _check(layer)
    checked._base = Path(folder)
    return checked


def _check(layer: layers.Layer) -> Config:
    try:
        # JSON's strict mode converts nothing but what YAML cannot say: lists to tuples, 1 to 1.0.
        checked = Config.model_validate_json(json.dumps(layer.values), strict=True)
    except ValidationError as error:
        raise ConfigError(problems.describe(error.errors(include_url=False), layer, Config)) from None
    found = problems.senseless(plain(checked), layer)
    if found:
        raise ConfigError(found)
    return checked


def base_dir(config: Config) -> Path:
    """The folder of the configuration's file: its modules and files are looked up from there."""
    return config._base


def run_dir(config: Config) -> Path:
    """The run folder, absolute: `run_dir`, or runs/NAME in the working directory."""
    return Path(config.run_dir or Path("runs") / config.name).expanduser().absolute()


def outbox_of(config: Config, annotator: str) -> Path:
    """The file of an annotator's answers that have no receipt; its folder need not exist."""
    own: str | None = getattr(config.labeler, "outbox", None)
    folder = run_dir(config) / OUTBOX if own is None else base_dir(config) / Path(own).expanduser() / config.name
    return folder / f"{annotator}.jsonl"


def annotators_of(config: Config) -> Path:
    """The file of those who may label over HTTP: beside the run folder, as it outlives a run; it need not exist."""
    folder = run_dir(config)
    return folder.with_name(f"{folder.name}.annotators.json")


def key_folder(config: Config) -> Path:
    """Where the keys are, absolute: `broker.key_folder`, or keys in the working directory."""
    return Path(config.broker.key_folder or FOLDER).expanduser().absolute()


def keys_of(config: Config, role: str) -> Keys | None:
    """The key of this process, when it has that role; None: it needs none. Raises: ConfigError when it needs one and there is
    none that can be used."""
    if not needs_keys(address_of(config), config.broker.keys):
        return None
    return read_keys(Path(config.broker.key) if config.broker.key else key_folder(config) / f"{role}.key")


def plain(config: Config) -> dict[str, Any]:
    """Every key with its value, as dicts, lists and scalars."""
    return config.model_dump(mode="json")


def to_yaml(values: Mapping[str, Any]) -> str:
    """Readable YAML; lists on one line."""
    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.representer.add_representer(
        list, lambda representer, data: representer.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
    )
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    stream = io.StringIO()
    yaml.dump(dict(values), stream)
    return stream.getvalue()


def resolved(config: Config) -> dict[str, Any]:
    """As `plain`, made independent of where the file lay: loading it gives the same Config from anywhere."""
    values = {**plain(config), "run_dir": str(run_dir(config)), layers.FOLDER: str(base_dir(config))}
    values["broker"]["key_folder"] = str(key_folder(config))
    return values


def write_resolved(config: Config, path: Path) -> None:
    """Write the whole configuration to `path`, at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(to_yaml(resolved(config)), encoding="utf-8")
    temporary.replace(path)


def address_of(config: Config) -> str:
    """Where the broker is: as the user set it, or else where the `up` that runs now put it, or else the default."""
    if "address" not in config.broker.model_fields_set:
        found = running.running(run_dir(config))
        if found is not None and isinstance(found.get("address"), str):
            return str(found["address"])
    return config.broker.address
