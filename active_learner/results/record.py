"""What a run folder says of its run: metrics, configuration, last predictions. Knows the folder; not the store's format."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.records import AskedQuestion, Label
from active_learner.errors import ActiveLearnerError
from active_learner.results.metrics import CONTROL_FILE, METRICS_FILE, RoundMetrics, read

CONFIG_FILE = "config.resolved.yaml"
PLACES = ("run_dir:", "folder:", "key_folder:", "key:", "outbox:", "secret_file:", "url: http")
"""Keys of the resolved configuration that name folders of this machine, or an address that may have a token in it."""
VALIDATION_FILE = "validation.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The last model on the held-out rows."""

    predictions: NDArray[Any]
    """(n, width) float32."""
    labels: NDArray[Any]
    """(n,) int64."""


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """Everything that the report is made of."""

    folder: str
    rounds: Sequence[RoundMetrics]
    control: Sequence[RoundMetrics] = ()
    """Of the same run asked at random; () when there was none."""
    config_text: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    questions: Sequence[AskedQuestion] = ()
    labels: Sequence[Label] = ()
    validation: Validation | None = None

    def setting(self, *keys: str, default: str = "") -> Any:
        """A value of the configuration by its path, or `default` when it is not there."""
        here: Any = self.config
        for key in keys:
            here = here.get(key) if isinstance(here, Mapping) else None
        return default if here is None else here

    @property
    def name(self) -> str:
        return str(self.setting("name", default=self.folder))

    def class_name(self, value: int) -> str:
        names = self.setting("sample", "class_names")
        return str(names[value]) if isinstance(names, list) and 0 <= value < len(names) else str(value)


def read_run(folder: Path, questions: Sequence[AskedQuestion] = (), labels: Sequence[Label] = ()) -> RunRecord:
    """Read a run folder; what is not there yet is empty.

    Raises: ActiveLearnerError when the folder is none, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise ActiveLearnerError(f"{folder}: no run folder; `active-learner runs` lists what is there")
    text, config = _configuration(folder / CONFIG_FILE)
    return RunRecord(
        folder=folder.resolve().name,
        rounds=read(folder / METRICS_FILE),
        control=read(folder / CONTROL_FILE),
        config_text=text,
        config=config,
        questions=questions,
        labels=labels,
        validation=_validation(folder / VALIDATION_FILE),
    )


def _configuration(path: Path) -> tuple[str, Mapping[str, Any]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.exists():
        return "", {}
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        loaded = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ActiveLearnerError(f"{path}: not YAML: {error}") from None
    return _without_places(text), loaded if isinstance(loaded, Mapping) else {}


def _without_places(text: str) -> str:
    """The report is mailed to others: where the folders of this machine are is not theirs to know."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith(PLACES))


def _validation(path: Path) -> Validation | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            predictions, labels = arrays["predictions"], arrays["labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ActiveLearnerError(f"{path}: expected arrays predictions and labels: {error}") from None
    if predictions.ndim != 2 or labels.shape != predictions.shape[:1]:
        raise ActiveLearnerError(f"{path}: predictions are {predictions.shape}, labels {labels.shape}")
    return Validation(predictions, labels)
