"""`init`: writes a small experiment of one's own. Knows its files; they are examples to be changed."""

from __future__ import annotations

import io
import re
from pathlib import Path

import click

_CONFIG = """\
# Start it:  active-learner check config.yaml   then   active-learner up config.yaml
# All keys:  active-learner config reference
name: {name}
seed: 1

# What one sample is. Labels are 0, 1, 2; people see the names.
sample: {{shape: [2], dtype: float32, classes: 3, class_names: [near, middle, far]}}

source: {{kind: custom, factory: "source:Points", arguments: {{spread: 1.0, seed: 1}}}}

evaluator:
  network: network:make
  arguments: {{hidden: 32}}
  optimizer: adam
  learning_rate: 0.01

trainer:
  pool_size: 60     # ask when so many samples are known
  query_size: 5     # so many at once
  epochs: 10
  batch_size: 20
  strategy: margin

# 300 points that are never asked about: the accuracy after each round is theirs. Leave it out where you have no such rows.
validation: {{path: held_out.npz}}

# A rule answers, so that you can watch the loop. You answer: active-learner up config.yaml --new --set labeler.kind=web
labeler: {{kind: simulated, answers: "source:true_class"}}
"""

_NETWORK = '''\
"""The network: any torch.nn.Module that takes (batch, *sample shape) float32 and returns (batch, classes) logits."""

from torch import nn


def make(hidden: int = 32) -> nn.Module:
    """Called with `evaluator.arguments`."""
    return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 3))
'''

_SOURCE = '''\
"""The candidate source: points of the plane. And the rule by which the simulated labeler answers."""

import numpy as np

from active_learner.sources.base import Source


class Points(Source):
    """Proposes for ever; called with `source.arguments`."""

    def __init__(self, spread: float = 1.0, seed: int = 0) -> None:
        self._spread, self._generator = spread, np.random.default_rng(seed)

    def propose(self) -> np.ndarray:
        """(16, 2) float32."""
        return self._generator.normal(0.0, self._spread, (16, 2)).astype(np.float32)

    @property
    def ended(self) -> bool:
        return False


def true_class(sample: np.ndarray) -> int:
    """0 near the origin, 1 in a ring around it, 2 beyond."""
    distance = float(np.hypot(*sample))
    return 0 if distance < 0.7 else 1 if distance < 1.4 else 2
'''

_README = """\
# {name}

    active-learner check config.yaml          try the configuration and the network
    active-learner up config.yaml             start everything; Ctrl-C ends it, the same command goes on
    active-learner up config.yaml --new       start over; the old run is kept aside
    active-learner labels export config.yaml labels.jsonl
    active-learner report runs/{name}         its learning curve

`network.py` is the network, `source.py` proposes candidates, `config.yaml` says the rest. `held_out.npz` has `X_test` and
`y_test`, points and their true classes, on which the accuracy is measured. The run is kept in runs/{name}.
"""


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Write config.yaml, network.py, source.py, held_out.npz and README.md into DIR: a small experiment that runs as it is."""
    name = _name(folder)
    files = {
        "config.yaml": _CONFIG.format(name=name).encode(),
        "network.py": _NETWORK.encode(),
        "source.py": _SOURCE.encode(),
        "held_out.npz": _held_out(),
        "README.md": _README.format(name=name).encode(),
    }
    there = [file for file in files if (folder / file).exists()]
    if there:
        raise click.UsageError(f"{folder} has {', '.join(there)} already; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
        click.echo(folder / file)
    click.echo(f"now: cd {folder} && active-learner check config.yaml && active-learner up config.yaml")


def _held_out() -> bytes:
    """Points as source.py draws them and their classes by its rule, (300, 2) float32 and (300,) int64, as npz."""
    import numpy as np

    points = np.random.default_rng(300).normal(0.0, 1.0, (300, 2)).astype(np.float32)
    classes = np.digitize(np.hypot(points[:, 0], points[:, 1]), (0.7, 1.4))
    file = io.BytesIO()
    np.savez_compressed(file, X_test=points, y_test=classes)
    return file.getvalue()


def _name(folder: Path) -> str:
    """The folder's name as far as an experiment may have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:63] or "experiment"
