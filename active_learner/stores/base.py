"""The label store's promise. Knows what is kept and when it is safe; not how.

Every method returns only when its effect is durable (as durable as the variant is: `memory` outlives the object, not
the process). One writer: `open` raises StoreLocked while another process has it open. Used from one thread at a time,
not necessarily the one that opened it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum

from active_learner.core.records import AskedQuestion, Features, Label, LabelEvent, Plan, RoundResult, SampleSpec


class Stored(StrEnum):
    """What became of a label event. Nothing but `STORED` and `LATE` changes the store."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """Same id, or same question, annotator, revision, action and value as one that is there."""
    CONFLICT = "conflict"
    """Same question, annotator and revision with another action or value; the first one stays."""
    LATE = "late"
    """Stored, though the question had been closed."""
    UNKNOWN_QUESTION = "unknown_question"


class Store(ABC):
    """Samples, questions, label events, plans, the pool's snapshot and the term of one experiment."""

    @abstractmethod
    def open(self, experiment: str, spec: SampleSpec) -> None:
        """Create or open it, and take the writer's lock.

        Raises: StoreLocked; WrongStore when it belongs to another experiment or sample spec, or cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the lock back. Twice is once."""

    @property
    @abstractmethod
    def run(self) -> str:
        """32 hex digits that name the run; made when the store was created."""

    @abstractmethod
    def next_term(self) -> int:
        """A number that no earlier trainer of this store had: 1, 2, ... Durable."""

    # --- questions and labels

    @abstractmethod
    def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        """All or none. A question whose id is there already is left as it is."""

    @abstractmethod
    def close_questions(self, ids: Sequence[str], why: str) -> None:
        """They are no longer open: answered, timed_out, skipped, known."""

    @abstractmethod
    def open_questions(self) -> list[AskedQuestion]:
        """In the order of asking."""

    @abstractmethod
    def question(self, id: str) -> AskedQuestion | None:
        """Open or closed."""

    @abstractmethod
    def questions(self) -> list[tuple[AskedQuestion, str]]:
        """All, in the order of asking, each with "" (open) or why it was closed."""

    @abstractmethod
    def commit_event(self, event: LabelEvent) -> Stored:
        """Append one label event. `event.value` was checked against the classes before."""

    @abstractmethod
    def add_labels(self, features: Features, values: Sequence[int], annotator: str, at: float) -> int:
        """Labels that nobody was asked for (import, prelabel): (n, *shape) in the experiment's dtype. Returns how many
        are new or changed: a sample that has the same label from the same annotator is left as it is."""

    @abstractmethod
    def labels(self) -> list[Label]:
        """The current label of every labeled sample, by sequence. Of several events of a sample the last counts: undo
        takes back what its annotator had said of the question, skip says nothing."""

    @abstractmethod
    def events(self) -> list[LabelEvent]:
        """All, in the order in which they were stored."""

    # --- rounds

    @abstractmethod
    def commit_plan(self, plan: Plan) -> None:
        """Plans have rising rounds; the same plan again is one plan, another one of the same round raises WrongStore."""

    @abstractmethod
    def finish_plan(self, result: RoundResult) -> None:
        """The round of that number is done."""

    @abstractmethod
    def plans(self) -> list[tuple[Plan, RoundResult | None]]:
        """By round; None: not finished."""

    # --- pool

    @abstractmethod
    def save_pool(self, snapshot: bytes) -> None:
        """Replaces the last one."""

    @abstractmethod
    def load_pool(self) -> bytes | None:
        """The last one."""
