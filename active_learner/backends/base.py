"""The evaluator engine's promise. Knows arrays in, arrays out; not the wire, not the labels.

All arrays are numpy; predictions, gradients and probabilities are float32. Methods are called one at a time, not always
from the same thread. "Refused" below means ValueError, with nothing changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


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


class Backend(ABC):
    """A network with its optimizer."""

    run: str = ""
    """Run of the checkpoint that was last saved or loaded; "": none."""

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
    def save(self, path: Path, run: str, plan_round: int) -> None:
        """The present weights, as they are once promoted, in one checkpoint file with its own digest: temporary file, fsync,
        rename, fsync of the folder. Promotes nothing itself. Raises: OSError. Refused: weights that are not finite."""

    @abstractmethod
    def load(self, path: Path, run: str) -> int:
        """Restore weights, optimizer and step from a checkpoint, whose weights score too; returns its step. `run` "": any run's, see
        `self.run`. Refused: another run's, damaged, or of another network (names the layer)."""

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Step 0: the network as it was first made."""
