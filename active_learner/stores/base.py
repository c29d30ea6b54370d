"""The label store's promise. Knows what is kept and when it is safe; not how.

Every method returns only when its effect is durable (as durable as the variant is: `memory` outlives the object, not
the process); when it raises StoreError, nothing of it is kept and a later call may succeed (space on the disk came
back), but for DiskFailed: then nobody knows, and nothing more is written. One writer: `open` raises StoreLocked while it
is open elsewhere, in this process too; a writer that hung and was replaced gets LeaseHeld from whatever it writes then, and
nothing of it is kept. Used from one thread at a time, not necessarily the one that opened it. Arrays that it returns
cannot be written to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum

from active_learner.core.records import (
    RERANKED,
    AskedQuestion,
    Features,
    Label,
    LabelEvent,
    Plan,
    RoundResult,
    SampleSpec,
)


class Stored(StrEnum):
    """What became of a label event. Nothing but `STORED` and `LATE` changes the store."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """Same question, annotator, revision, action and value as one that is there, whatever the id, or, when its annotator has said
    more of the question since, with the same id."""
    CONFLICT = "conflict"
    """An id, or a question, annotator and revision, that is there with something else, or with the same, but under another id and
    taken back or changed since; the first one stays."""
    LATE = "late"
    """Stored: an answer to a question that had been closed for another reason than being answered. (A revision of a
    closed question is STORED: its annotator corrects what was said in time.)"""
    UNKNOWN_QUESTION = "unknown_question"
    SURPLUS = "surplus"
    """It would be stored, but whoever commits it says that its sample has all the answers that it needs."""


QUARANTINE_LIMIT = 1000
"""Answers kept in quarantine; whoever sends more of them is not a person."""


class Store(ABC):
    """Samples, questions, label events, plans, the pool's snapshot and the term of one experiment."""

    warnings: Sequence[str] = ()
    """What `open` found that is to be told and is no reason to refuse."""

    @abstractmethod
    def open(
        self,
        experiment: str,
        spec: SampleSpec,
        *,
        read_only: bool = False,
        accept_rollback: bool = False,
        takes_over: bool = False,
    ) -> None:
        """Create or open it, and take the writer's lock. All that it holds is compared with what was written.

        `read_only`: no lock is asked for or taken, nothing is created, every method that would change it raises
        StoreError; it shows at least what was committed before. `accept_rollback`: go on with an older copy, knowing that
        what was committed since is lost. `takes_over`: of a writer that holds the lock and does not `renew` it for some
        seconds (stopped, hung); `next_term` is to be the next call.

        Raises: StoreLocked; WrongStore when it belongs to another experiment or sample spec (shape, dtype, classes), cannot
        be read, is damaged, or is older than what had been committed; StoreError when `read_only` and there is none.
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
        """A number that no earlier trainer of this store had: 1, 2, ... Durable. From then on `renew` is expected."""

    def renew(self) -> None:
        """The writer is at work; to be said about once a second. From any thread. Raises: LeaseHeld when it was replaced."""

    def hurry(self, until: float) -> None:
        """After `until` (of the monotonic clock) nothing waits for another program's lock any more. From any thread."""

    # --- questions and labels

    @abstractmethod
    def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        """All or none. A question whose id is there already is left as it is.

        Raises: BadSample when features are not of the spec.
        """

    @abstractmethod
    def close_questions(self, ids: Sequence[str], why: str) -> None:
        """They are no longer open: answered, timed_out, skipped, known. The first reason stays; unknown ids are
        ignored."""

    @abstractmethod
    def open_questions(self) -> list[AskedQuestion]:
        """In the order of asking."""

    @abstractmethod
    def question(self, id: str) -> AskedQuestion | None:
        """Open or closed."""

    @abstractmethod
    def questions(self) -> list[tuple[AskedQuestion, str]]:
        """All, in the order of asking, each with "" (open) or why it was closed."""

    def asked(self) -> list[AskedQuestion]:
        """Those of `questions` that were not taken back for others before anybody answered."""
        labeled = {label.question for label in self.labels()}
        return [question for question, why in self.questions() if why != RERANKED or question.id in labeled]

    @abstractmethod
    def commit_event(self, event: LabelEvent, *, is_surplus: bool = False) -> Stored:
        """Append one label event. Its value was checked against the classes before; the store checks once more. `is_surplus`:
        it is not to be appended, only judged.

        Raises: BadLabel when value, action, time or circumstances make no sense; BadSample when its key is not the question's.
        """

    @abstractmethod
    def quarantine(self, event: LabelEvent) -> bool:
        """Keep an answer that is no label (its question was never asked or had its answers, or it is in conflict with another) aside from all
        labels. `key` is not looked at.

        The same id is kept once; False: there are QUARANTINE_LIMIT of them, this one is not kept.
        """

    @abstractmethod
    def quarantined(self) -> list[LabelEvent]:
        """In the order in which they came; `key` is ""."""

    @abstractmethod
    def add_labels(
        self,
        features: Features,
        values: Sequence[int],
        annotator: str | Sequence[str],
        at: float | Sequence[float],
        circumstances: str | Sequence[str] = "",
    ) -> int:
        """Labels that nobody was asked for (import, prelabel), all or none: (n, *shape) in the experiment's dtype; one
        annotator, time and circumstances, or one a row. Returns how many are new or changed: a sample of which the annotator's last
        standing word (asked or not) is the same label is left as it is, so that an old file imported again changes
        nothing that was said since. They become events with `question` "".

        Raises: BadSample; BadLabel.
        """

    @abstractmethod
    def labels(self) -> list[Label]:
        """The current label of every labeled sample, by sequence.

        Each annotator has one vote, the value of the last event that has one (answer, revise, import) and was not taken
        back: an undo takes back all that its annotator had said of the question before, and nothing else; a skip and a
        cannot_tell say nothing. Most votes win, of as many the one said last. A sample of which nothing stands has no label.
        """

    @abstractmethod
    def events(self) -> list[LabelEvent]:
        """All, in the order in which they were stored."""

    # --- rounds

    @abstractmethod
    def commit_plan(self, plan: Plan) -> None:
        """Plans have rising rounds; the same plan again is one plan.

        Raises: WrongStore for another plan of the same round, or a new one of an earlier round.
        """

    @abstractmethod
    def finish_plan(self, result: RoundResult) -> None:
        """The round of that number is done; the first result stays. `extra` holds what JSON can say.

        Raises: WrongStore when there is no such plan.
        """

    @abstractmethod
    def plans(self) -> list[tuple[Plan, RoundResult | None]]:
        """By round; None: not finished."""

    # --- pool

    @abstractmethod
    def save_pool(self, snapshot: bytes) -> None:
        """Replaces the last one."""

    @abstractmethod
    def load_pool(self) -> bytes | None:
        """The last one; None: there is none, or it is not what was saved."""
