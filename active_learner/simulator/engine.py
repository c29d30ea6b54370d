"""An evaluator's engine whose weights are one hash of all that was ever applied to them: a step that is skipped, doubled or
done with anything else shows in the digest. Knows the backend's promise; no network."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b, sha256
from random import Random
from typing import Any

import numpy as np

from active_learner.backends.base import SNAPSHOT, Array, Backend, EngineState, Evaluation
from active_learner.simulator.disk import DiskPath, SimulatedDisk

HIDDEN = 3
"""Width between two stages."""

STRAY_RUN, STRAY_STEPS = "f" * 32, 3
"""Of checkpoints that do not belong here."""


class HashBackend(Backend):
    """`width`: of its output, as in a network it is known from the first batch on."""

    def __init__(self, seed: int, stage: int, width: int, last: bool) -> None:
        self._stage, self._width, self._last = stage, width, last
        self.run = ""
        self.sick: frozenset[str] = frozenset()
        """What it refuses, because its numbers are not finite: as a network whose training has gone astray. "rows": a forward
        returns a row too many, as a network of the user's own may."""
        self._graph: tuple[int, bytes] | None = None
        self.history: list[tuple[int, int]] = []
        """Steps applied in this process, each with the step that the weights had before."""
        self.reset(seed)

    @property
    def applied(self) -> int:
        return self._applied

    @property
    def model_version(self) -> int:
        return self._version

    @property
    def width(self) -> int:
        return self._width if self._seen else 0

    def reset(self, seed: int) -> None:
        self._seed = seed
        self.weights = self.promoted = hashed("made", seed, self._stage)
        self._applied = self._version = 0
        self._graph, self._seen = None, False

    def forward(self, step: int, seed: int, batch: Array) -> Array:
        if not self._applied and seed != self._seed:
            self.reset(seed)
        self._refuse_when_sick("forward")
        graph = hashed("forward", self.weights, step, seed, batch)
        self._graph, self._seen = (step, graph), True
        return numbers(graph, len(batch) + ("rows" in self.sick), self._width)

    def apply(self, step: int, gradient: Array, want_input_gradient: bool) -> Array | None:
        if self._graph is None or self._graph[0] != step:
            raise ValueError(f"expected the kept graph of step {step}, there is {self._graph and self._graph[0]}")
        self._refuse_when_sick("apply")
        graph = self._graph[1]
        self.history.append((step, self._applied))
        self.weights = hashed("apply", self.weights, graph, gradient)
        self._applied, self._graph = step, None
        return numbers(hashed("input", graph, gradient), len(gradient), HIDDEN) if want_input_gradient else None

    def _refuse_when_sick(self, work: str) -> None:
        if work in self.sick:
            raise ValueError("predictions are not finite")

    def evaluate(self, batch: Array) -> Array:
        self._refuse_when_sick("evaluate")
        self._seen = True
        return numbers(hashed("evaluate", self.weights, batch), len(batch), self._width)

    def score(self, batch: Array, embeddings: bool) -> Evaluation:
        raw = np.abs(self.infer(batch)) + np.float32(0.01)
        probabilities = raw / raw.sum(axis=1, keepdims=True)
        return Evaluation(self._version, probabilities, probabilities.max(axis=1), None)

    def infer(self, batch: Array) -> Array:
        """Row by row: a sample's score must not depend on its neighbours."""
        self._refuse_when_sick("infer")
        self._seen = True
        return np.concatenate([numbers(hashed("infer", self.promoted, row), 1, self._width) for row in batch])

    def promote(self) -> None:
        self.promoted, self._version = self.weights, self._applied

    def digest(self) -> str:
        return sha256(self.weights).hexdigest()

    def capture(self, promoted: bool = False) -> EngineState:
        arrays = {"network.hash": np.frombuffer(self.weights, np.uint8)}
        if not promoted and self.promoted != self.weights:
            arrays[f"{SNAPSHOT}hash"] = np.frombuffer(self.promoted, np.uint8)
        version = self._applied if promoted else self._version
        return EngineState(arrays, {"step": self._applied, "model_version": version, "seed": self._seed})

    def load(self, path: Any, run: str) -> int:
        state = EngineState.read(path, run)
        facts = state.facts
        self.run, self.term, self._seed = facts["run"], facts["term"], facts["seed"]
        self._applied, self._version = facts["step"], facts["model_version"]
        self.weights = state.arrays["network.hash"].tobytes()
        scoring = state.arrays.get(f"{SNAPSHOT}hash")
        self.promoted = self.weights if scoring is None else scoring.tobytes()
        self._graph, self._seen = None, True
        return self._applied


def write_checkpoint(path: DiskPath, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """As backends/checkpoint.py, on a simulated disk. Raises: OSError."""
    path.disk.replace(path.name, (dict(arrays), dict(facts), _seal(arrays, facts)))


def read_checkpoint(path: DiskPath) -> tuple[dict[str, Array], dict[str, Any]]:
    """Raises: ValueError."""
    content = path.disk.files.get(path.name)
    if not isinstance(content, tuple) or content[2] != _seal(content[0], content[1]):
        raise ValueError(f"checkpoint {path.name} is damaged")
    return dict(content[0]), dict(content[1])


def _seal(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> bytes:
    return hashed(*(part for name in sorted(arrays) for part in (name, arrays[name])), sorted(facts.items()))


def hashed(*parts: Any) -> bytes:
    """32 bytes of all of it; an array by shape and bytes."""
    whole = blake2b(digest_size=32)
    for part in parts:
        if isinstance(part, np.ndarray):
            whole.update(str(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        else:
            whole.update(part if isinstance(part, bytes) else str(part).encode())
        whole.update(b"/")
    return whole.digest()


def numbers(digest: bytes, rows: int, width: int) -> Array:
    """(rows, width) float32 in [-1, 1), all finite, made of the digest."""
    count, block = rows * width, 32
    blocks = -(-count // block)
    text = b"".join(
        blake2b(digest, digest_size=block, salt=number.to_bytes(8, "little")).digest() for number in range(blocks)
    )
    whole = np.frombuffer(text, np.uint8)[:count].reshape(rows, width).astype(np.float32)
    return whole / np.float32(128.0) - np.float32(1.0)


def damage(disk: SimulatedDisk, role: str, random: Random, newest: bool) -> bool:
    """Change a checkpoint of a role so that its digest does not fit, any or the newest; False: there is none."""
    found = sorted(path.name for path in DiskPath(disk).glob(f"{role}-*.safetensors"))
    if found:
        name = found[-1] if newest else random.choice(found)
        disk.files[name] = (*disk.files[name][:-1], b"damaged")
    return bool(found)


def damage_all(disk: SimulatedDisk, role: str) -> None:
    for path in list(DiskPath(disk).glob(f"{role}-*.safetensors")):
        disk.files[path.name] = (*disk.files[path.name][:-1], b"damaged")


def of_another_run(disk: SimulatedDisk, role: str, backend: HashBackend) -> None:
    """Put a checkpoint there that another run left behind."""
    rows = np.zeros((1, HIDDEN), np.float32)
    for step in range(1, STRAY_STEPS + 1):
        backend.forward(step, 0, rows)
        backend.apply(step, rows, want_input_gradient=False)
    name = f"{role}-{STRAY_STEPS:010d}.safetensors"
    backend.capture(promoted=True).write(DiskPath(disk, name), STRAY_RUN, 0, 1)  # type: ignore[arg-type]


def forget_other_runs(disk: SimulatedDisk) -> None:
    for path in list(DiskPath(disk).iterdir()):
        content = path.read()
        if isinstance(content, tuple) and content[1]["run"] == STRAY_RUN:
            path.unlink()


def set_back(disk: SimulatedDisk, role: str) -> bool:
    """Take the newest checkpoint of a role away, as a copy of the folder from before; False: there is none."""
    found = sorted(path.name for path in DiskPath(disk).glob(f"{role}-*.safetensors"))
    if found:
        del disk.files[found[-1]]
    return bool(found)
