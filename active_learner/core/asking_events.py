"""What the asking machine is told and what it wants done. Knows no behaviour (asking.py does).

Times are monotonic seconds unless they say wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from active_learner.core.records import AskedQuestion, Features, LabelEvent, PoolView, Selection


@dataclass(frozen=True, slots=True)
class AskingRules:
    """Config of the trainer, as far as it concerns asking."""

    pool_size: int
    query_size: int
    initial_labels: int = 0
    clear_pool: bool = False
    label_timeout_s: float | None = None
    skip_cooldown_s: float = 30.0
    source_timeout_s: float = 10.0
    refresh_timeout_s: float = 5.0
    label_budget: int | None = None
    """Never ask beyond so many labels."""
    queue_size: int = 10
    """Questions kept open by a machine that asks all the time."""
    round_labels: int | None = 5
    """Such a machine wants a round after so many changes of labels; None: by time."""
    round_s: float = 60.0


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class CandidatesHeard:
    """A batch of a source, already in the experiment's dtype; rows that were not fit are only counted."""

    id: str
    session: int
    keys: tuple[str, ...]
    features: Features
    """(n, *shape)."""
    refused: int
    text: str
    """Why rows were refused."""
    at: float
    places: tuple[int, ...] | None = None
    """Where the fit rows stood in the batch, which is scored whole; None: no row was refused."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoresHeard:
    re: str
    model_version: int
    probabilities: NDArray[Any]
    """(n, classes) float32."""
    at: float


@dataclass(frozen=True, slots=True)
class ScoresRefused:
    """The evaluator cannot score the candidates `re`: its scores will never come."""

    re: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class SourceHere:
    """A source came. A repeat changes nothing: all who are here are told again when all rooms are joined."""

    session: int
    at: float


@dataclass(frozen=True, slots=True)
class SourceGone:
    """It left, or (`ended`) has nothing more to propose."""

    session: int
    ended: bool
    at: float


@dataclass(frozen=True, slots=True)
class EvaluatorHere:
    here: bool
    at: float


@dataclass(frozen=True, slots=True)
class LabelerHere:
    name: str
    here: bool
    at: float


@dataclass(frozen=True, slots=True)
class AnnotatorsHere:
    """How many people are asked now, whoever's process they sit at. `had`: open questions that the one of them who has had most
    will not get (again)."""

    number: int
    at: float
    had: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SelectionMade:
    view: PoolView
    selection: Selection
    strategy: str
    at: float
    wall: float
    """Wall clock, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class QuestionsStored:
    ids: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class AnswerStored:
    """The store's word on a label event; `status` is stores.base.Stored's text. `labeled`: the sample has a label now."""

    event: LabelEvent
    status: str
    labeled: bool
    features: Features | None
    """Of the sample; None: the store does not know the question."""
    at: float


@dataclass(frozen=True, slots=True)
class QuestionResolved:
    """It has all its answers, and is closed."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class QuestionPassed:
    """Everybody who is here has answered or passed it, and it still lacks an answer. It stays open until it is closed."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class QuestionReopened:
    """After QuestionPassed: somebody came who may answer it, or took something back."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What TakeBack came to: these are closed as `re-ranked`; of the others somebody holds them, or has answered."""

    ids: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class RoundPlanned:
    """The labels of the round that was wanted are fixed and in the store."""

    at: float


@dataclass(frozen=True, slots=True)
class RoundOver:
    """Training is done with the labels it was given; `round` None: there was nothing to train on."""

    round: int | None
    model_version: int
    at: float


@dataclass(frozen=True, slots=True)
class ModelStands:
    """The evaluator scores by that model, perhaps not the one that made the pool's scores."""

    model_version: int
    at: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Look at the clock and at what is due."""

    at: float


Event = (
    CandidatesHeard
    | ScoresHeard
    | ScoresRefused
    | SourceHere
    | SourceGone
    | EvaluatorHere
    | LabelerHere
    | AnnotatorsHere
    | SelectionMade
    | QuestionsStored
    | AnswerStored
    | QuestionResolved
    | QuestionPassed
    | QuestionReopened
    | TakenBack
    | RoundPlanned
    | RoundOver
    | ModelStands
    | Tick
)

# --- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Select:
    """Let the strategy choose; answered by SelectionMade."""

    view: PoolView
    count: int
    strategy: str
    """"" is the configured one."""
    number: int
    """Counts the selections: seeds the strategy's generator."""


@dataclass(frozen=True, slots=True)
class StoreQuestions:
    """Answered by QuestionsStored; only then they are opened."""

    questions: tuple[AskedQuestion, ...]


@dataclass(frozen=True, slots=True)
class OpenQuestions:
    """They are in the store: whoever is free may have them, in this order, behind what is open already. Each comes back as
    QuestionResolved or QuestionPassed, unless it is closed or taken back before. An id that is open already is left."""

    questions: tuple[AskedQuestion, ...]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Close those of them that nobody holds and nobody answered or passed; answered by TakenBack."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloseQuestions:
    """Commit and tell the labelers."""

    ids: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class SendReceipt:
    """TAKEN to a source."""

    session: int
    re: str
    new: int
    known: int
    refused: int
    evicted: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Refresh:
    """Have these pool samples scored again; answered by ScoresHeard with that id."""

    id: str
    features: Features


@dataclass(frozen=True, slots=True)
class WantRound:
    """Train on the labels there are; answered by RoundOver."""


@dataclass(frozen=True, slots=True)
class SavePool:
    """A good moment to keep the pool."""


@dataclass(frozen=True, slots=True)
class Diversify:
    """Tell the sources that everything they propose is known."""


@dataclass(frozen=True, slots=True)
class Note:
    level: str
    text: str


Command = (
    Select
    | StoreQuestions
    | OpenQuestions
    | TakeBack
    | CloseQuestions
    | SendReceipt
    | Refresh
    | WantRound
    | SavePool
    | Diversify
    | Note
)
