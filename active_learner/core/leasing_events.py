"""What the leasing machine is told and what it wants done. Knows no behaviour (leasing.py does). What it shares with the asking
machines (answers, what became of a question) is in asking_events.py."""

from __future__ import annotations

from dataclasses import dataclass

from active_learner.core.asking_events import (
    AnswerStored,
    CloseQuestions,
    QuestionPassed,
    QuestionReopened,
    QuestionResolved,
    TakenBack,
    Tick,
)
from active_learner.core.records import AskedQuestion

# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaseAsked:
    """LEASE, from the peer of that name and session."""

    annotator: str
    peer: str
    session: int
    wants: int
    holds: tuple[str, ...]
    gives: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """Its annotators may come back: their leases run on."""

    peer: str
    at: float


@dataclass(frozen=True, slots=True)
class QuestionsOpened:
    """OpenQuestions."""

    questions: tuple[AskedQuestion, ...]
    at: float


@dataclass(frozen=True, slots=True)
class QuestionsClosed:
    """CloseQuestions of the asking machine."""

    ids: tuple[str, ...]
    why: str
    at: float


@dataclass(frozen=True, slots=True)
class TakeBackWanted:
    """TakeBack."""

    ids: tuple[str, ...]
    at: float


Event = LeaseAsked | PeerLeft | QuestionsOpened | QuestionsClosed | TakeBackWanted | AnswerStored | Tick

NOTHING_OPEN = "no question is open"
ALL_TAKEN = "others have the questions that are open, or this annotator has had them"
CLAIMING = "the trainer has just started: questions go first to those who had them before"
NO_SEAT = "there are too many annotators already"
"""Why somebody holds less than it wants."""

# --- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SayQuestion:
    """To the peer at which the annotator sits."""

    question: AskedQuestion
    annotator: str
    peer: str


@dataclass(frozen=True, slots=True)
class SayLeased:
    annotator: str
    peer: str
    holds: tuple[str, ...]
    waiting: int
    why: str
    """It holds less than it wants; "": it does not."""


Command = SayQuestion | SayLeased | CloseQuestions | QuestionResolved | QuestionPassed | QuestionReopened | TakenBack
"""Of these the four events of asking_events.py are for the asking machine."""
