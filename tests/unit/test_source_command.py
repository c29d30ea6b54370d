"""`source`: which source a configuration means, and clear errors where it means none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from active_learner.commands.source import make
from active_learner.config.loading import load
from active_learner.config.sample import resolve
from active_learner.errors import BadNetwork, ConfigError
from active_learner.sources.base import Source
from active_learner.sources.dataset import DatasetProposer
from active_learner.sources.evolution import Evolution

HEAD = "name: tried\nsample: {shape: [2], dtype: uint8, classes: 2}\n"
FACTORIES = """
import numpy as np
from active_learner.sources.base import Source

class Ones(Source):
    ended = False
    def __init__(self, rows=1):
        self.rows = rows
    def propose(self):
        return np.ones((self.rows, 2), np.uint8)

def nothing():
    return None
"""


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration's folder is put behind the module path: not for the tests that follow."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def made(folder: Path, source: str) -> Source:
    (folder / "experiment.yaml").write_text(f"{HEAD}source: {source}\n")
    (folder / f"{folder.name}_own.py").write_text(FACTORIES)
    config = load(str(folder / "experiment.yaml"))
    return make(config, resolve(config))


def test_the_shipped_melody_experiment_evolves_genomes_of_128_bits() -> None:
    config = load("melody")
    source = make(config, resolve(config))
    assert isinstance(source, Evolution)
    proposed = source.propose()
    assert proposed is not None
    assert (proposed.shape, proposed.dtype) == ((50, 128), np.uint8)


def test_a_data_set_beside_the_configuration_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", X_train=np.zeros((3, 2), np.uint8), y_train=[0, 1, 0])
    assert isinstance(made(tmp_path, "{kind: dataset, path: rows.npz}"), DatasetProposer)


def test_a_source_of_ones_own_is_made_with_its_arguments(tmp_path: Path) -> None:
    source = made(tmp_path, f"{{kind: custom, factory: '{tmp_path.name}_own:Ones', arguments: {{rows: 4}}}}")
    proposed = source.propose()
    assert proposed is not None
    assert proposed.shape == (4, 2)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [("Ones", "{colour: red}", "colour"), ("nothing", "{}", "returned NoneType"), ("Twos", "{}", "has no 'Twos'")],
)
def test_a_factory_that_does_not_fit_is_named(tmp_path: Path, name: str, arguments: str, words: str) -> None:
    with pytest.raises(BadNetwork, match=words):
        made(tmp_path, f"{{kind: custom, factory: '{tmp_path.name}_own:{name}', arguments: {arguments}}}")


def test_no_source_is_told_with_the_kinds_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset, evolution, jsonl or custom"):
        made(tmp_path, "{kind: none}")


def test_another_seed_of_the_run_is_another_evolution() -> None:
    first = [load("melody", [f"seed={seed}"]) for seed in (1, 1, 2)]
    one, same, other = (make(config, resolve(config)).propose() for config in first)
    assert one is not None
    assert same is not None
    assert other is not None
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
