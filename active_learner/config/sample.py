"""What a sample of the experiment is, and which rows are held out. Knows configuration and data sets; no run."""

from __future__ import annotations

from pathlib import Path

from active_learner.config.loading import base_dir
from active_learner.config.schema import Config, DatasetSource, EvolutionSource
from active_learner.core.batches import bytes_of, most_at_once
from active_learner.core.intake import REFRESH_ROWS
from active_learner.core.records import Features, SampleSpec, canonical
from active_learner.datasets.reading import Dataset, read_dataset
from active_learner.errors import ConfigError
from protocol.limits import ARRAY_HEADER_BYTES


def resolve(config: Config, base: Path | None = None) -> SampleSpec:
    """`sample.*` as given; what is not given, from the source's data set or genomes. `base`: where relative files are;
    None: the configuration file's folder.

    Raises: ConfigError, naming each key that is missing.
    """
    given, source = config.sample, config.source
    shape, classes = given.shape, given.classes
    dtype: str | None = given.dtype
    if isinstance(source, DatasetSource) and (shape is None or dtype is None or classes is None):
        dataset = read_dataset(source.path, base or base_dir(config))
        shape, dtype, classes = shape or dataset.shape, dtype or dataset.dtype, classes or dataset.classes
    elif isinstance(source, EvolutionSource):
        shape, dtype = shape or (source.bits,), dtype or "uint8"
    if shape is None or dtype is None or classes is None:
        found = {"sample.shape": shape, "sample.dtype": dtype, "sample.classes": classes}
        raise ConfigError([_missing(key, config) for key, value in found.items() if value is None])
    names = given.class_names
    if names and len(names) != classes:
        raise ConfigError([f"sample.class_names has {len(names)} names, there are {classes} classes"])
    return SampleSpec(shape, dtype, classes, given.media, names)


def check_batch(config: Config, spec: SampleSpec) -> None:
    """Raises: ConfigError when no message holds what is said at once. Before a round is planned: a plan keeps its batches."""
    size, limit = bytes_of(spec), config.broker.max_message_bytes
    room = limit - ARRAY_HEADER_BYTES
    into = f"do not fit into a message of {limit:,} bytes (broker.max_message_bytes)"
    scored = most_at_once(size, REFRESH_ROWS)
    if scored * size > room:
        raise ConfigError(
            [f"broker.max_message_bytes: the {scored} samples of {size:,} bytes that are scored at once {into}"]
        )
    if config.trainer.batch_size * size > room:
        steps = f"trainer.batch_size: {config.trainer.batch_size} samples of {size:,} bytes {into}"
        raise ConfigError([f"{steps}: allowed are 1 to {room // size}"])


def held_out(config: Config, base: Path | None = None) -> tuple[Features, Features] | None:
    """The rows of validation: (n, *shape) in the experiment's dtype and (n,) int64; None: there are none.

    Raises: ConfigError when they are named and missing, or do not fit the samples.
    """
    wanted = config.validation
    if wanted.path is not None:
        dataset = read_dataset(wanted.path, base or base_dir(config))
        if dataset.X_test is None or dataset.y_test is None:
            raise ConfigError([f"validation.path: {dataset.path} has no X_test and y_test"])
    elif isinstance(config.source, DatasetSource):
        dataset = read_dataset(config.source.path, base or base_dir(config))
    else:
        return None
    if dataset.X_test is None or dataset.y_test is None:
        return None
    features, labels = _fitting(dataset, dataset.X_test, dataset.y_test, resolve(config, base))
    return features[: wanted.limit], labels[: wanted.limit]


def _fitting(dataset: Dataset, features: Features, labels: Features, spec: SampleSpec) -> tuple[Features, Features]:
    if features.shape[1:] != spec.shape:
        raise ConfigError([f"data set {dataset.path}: X_test has samples of {features.shape[1:]}, not {spec.shape}"])
    if labels.max() >= spec.classes:
        allowed = f"sample.classes allows 0 .. {spec.classes - 1}"
        raise ConfigError([f"data set {dataset.path}: y_test has label {labels.max()}, {allowed}"])
    try:
        return canonical(features, spec), labels
    except ValueError as error:
        raise ConfigError([f"data set {dataset.path}: X_test {error}"]) from error


def _missing(key: str, config: Config) -> str:
    where = f"source.kind {config.source.kind}"
    if isinstance(config.source, DatasetSource):
        where = f"the data set {config.source.path}"
    return f"{key} is missing: {where} does not tell it"
