"""What all messages share: their base, who says them, why a batch is sent. Knows no kind in particular."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = "Array"


class Status(StrEnum):
    """Why a forward batch is sent."""

    TRAIN = "train"
    """Keep the graph; a gradient follows."""
    VALIDATE = "validate"
    """Current weights, evaluation mode, no gradient follows."""
    SCORE = "score"
    """Promoted snapshot, evaluation mode: candidates on their way through a chain of evaluators."""


class Action(StrEnum):
    """What a labeler did with a question."""

    ANSWER = "answer"
    SKIP = "skip"
    UNDO = "undo"
    REVISE = "revise"
    CANNOT_TELL = "cannot_tell"
    """A decision without a label: the sample is not asked of this annotator again."""


@dataclass(frozen=True, slots=True)
class Member:
    """A peer as others see it: the session number stamped on its messages, its name and its role."""

    session: int
    name: str
    role: str


class Message:
    """Base of all messages; `KIND` is the number in the prefix."""

    __slots__ = ()
    KIND: ClassVar[int]
