"""The evaluator engine's promise. Knows arrays in, arrays out; not the wire, not the labels.

All arrays are numpy; predictions, gradients and probabilities are float32. Methods are called one at a time, not always
from the same thread. "Refused" below means ValueError, with nothing changed: DoesNotFit or NotFinite where one of these is the
reason, which STEP_REFUSED then names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from active_learner.backends import states
from active_learner.backends.checkpoint import read_checkpoint, write_checkpoint
from active_learner.backends.states import DoesNotFit as DoesNotFit
from active_learner.backends.states import NotFinite as NotFinite

Array = NDArray[Any]

SNAPSHOT = "snapshot."
"""Before the names of the weights that score, in a file whose own weights are not the promoted ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What the promoted snapshot says of candidates."""

    model_version: int
    probabilities: Array
    """(n, classes) float32."""
    fitness: Array
    """(n,) float32, higher is better."""
    embeddings: Array | None
    """(n, width) float32."""


@dataclass(frozen=True, slots=True, eq=False)
class EngineState:
    """All that an engine needs to go on, copied, so that nothing changes it later: what a checkpoint file holds."""

    arrays: dict[str, Array]
    """`network.*` and what else the engine keeps; `snapshot.*`: the weights that score, when they are others."""
    facts: dict[str, Any]
    """step, model_version, seed, stage, and what else the engine wants to know again."""

    @property
    def step(self) -> int:
        step: int = self.facts["step"]
        return step

    def as_of(self, step: int) -> EngineState:
        """The same weights and optimizer as those of `step`, promoted."""
        arrays = {name: array for name, array in self.arrays.items() if not name.startswith(SNAPSHOT)}
        now = {"step": step, "model_version": step, "weights_of": self.facts["weights_of"]}
        return replace(self, arrays=arrays, facts={**self.facts, **now})

    def write(self, path: Path, run: str, term: int, plan_round: int) -> None:
        """One checkpoint file with its own digest: temporary file, fsync, rename, fsync of the folder.

        Raises: OSError; ValueError when a weight is not finite; both with what was there before untouched.
        """
        states.check_finite({name: array for name, array in self.arrays.items() if name.startswith("network.")})
        facts = {"weights_of": self.step, **self.facts, "run": run, "term": term, "round": plan_round}
        write_checkpoint(path, self.arrays, facts)

    @classmethod
    def read(cls, path: Path, run: str) -> EngineState:
        """`run` "": any run's. Raises: ValueError when it is damaged, or of another run."""
        arrays, facts = read_checkpoint(path)
        if run and facts["run"] != run:
            raise ValueError(f"checkpoint {path.name} is of run {facts['run']}, not of {run}")
        step = facts["step"]  # format 1 has only promoted weights
        return cls(arrays, {"model_version": step, "weights_of": step, "term": 0, **facts})


class Backend(ABC):
    """A network with its optimizer."""

    run: str = ""
    """Run of the checkpoint that was last saved or loaded; "": none."""
    term: int = 0
    """Of the trainer in whose name that checkpoint was written; 0: none, or not known."""
    weights_of: int = 0
    """Step that the weights of that checkpoint are the outcome of: a lower one than its own when its round was held back."""

    @property
    @abstractmethod
    def applied(self) -> int:
        """Last applied step; 0: untrained."""

    @property
    @abstractmethod
    def model_version(self) -> int:
        """Step of the snapshot that scores."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of the output; 0: not known yet."""

    @abstractmethod
    def forward(self, step: int, seed: int, batch: Array) -> Array:
        """Training mode, seeded by (seed, step, stage); keeps the graph, replacing one that is kept already. While nothing is
        applied, a seed other than the one that made the network makes it anew first.

        Returns predictions (batch, width). Refused: a batch that the network does not take (names the layer), predictions
        that are not finite.
        """

    @abstractmethod
    def apply(self, step: int, gradient: Array, want_input_gradient: bool) -> Array | None:
        """Backward through the kept graph and one optimizer step; `applied` becomes `step`. Returns the gradient with
        respect to the input, taken before the step, when asked for. Refused: no kept graph of that step, wrong shape,
        not finite (also a parameter gradient): weights, optimizer state and kept graph are as before. Any other exception
        means that the state is uncertain: end the process, the last checkpoint is good."""

    @abstractmethod
    def evaluate(self, batch: Array) -> Array:
        """Predictions (batch, width) of the present weights in evaluation mode; disturbs nothing."""

    @abstractmethod
    def score(self, batch: Array, embeddings: bool) -> Evaluation:
        """By the promoted snapshot, in evaluation mode; disturbs nothing."""

    @abstractmethod
    def infer(self, batch: Array) -> Array:
        """Predictions of the promoted snapshot in evaluation mode: a stage of a chain passes them on."""

    @abstractmethod
    def promote(self) -> None:
        """The present weights become the snapshot that scores; model_version becomes `applied`."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 hex of the present weights (SPEC.md, section 8)."""

    @abstractmethod
    def capture(self, promoted: bool = False) -> EngineState:
        """A copy of all there is, to go on from or to be written while training goes on. `promoted`: as it will be once the
        present weights are promoted. Disturbs nothing. Refused: a state that no file can hold."""

    def save(self, path: Path, run: str, plan_round: int, term: int = 0) -> None:
        """The present weights, as they are once promoted, in one checkpoint file. Promotes nothing itself. Raises: OSError.
        Refused: weights that are not finite."""
        self.capture(promoted=True).write(path, run, term, plan_round)
        self.run, self.term = run, term

    @abstractmethod
    def load(self, path: Path, run: str) -> int:
        """Go on from a checkpoint: weights, optimizer, step, and the snapshot that scored when it was written; returns its
        step. `run` "": any run's, see `self.run`. Refused: another run's, damaged, or of another network (names the layer)."""

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Step 0: the network as it was first made."""
