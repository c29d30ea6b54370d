"""The store on its own thread, as the trainer uses it. Knows the store's promise and the event loop; decides nothing.

One thread: SQLite commits take milliseconds of fsync, which must not stop the loop, and there is one writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from active_learner.core import circumstances
from active_learner.core.agreement import Agreement, agreement
from active_learner.core.measures import Histogram
from active_learner.core.records import AskedQuestion, Features, LabelEvent, Plan, RoundResult, SampleSpec
from active_learner.core.voting import SAYING
from active_learner.core.words import ONE_ANSWER, Enough, Words
from active_learner.crash_points import reach
from active_learner.errors import DiskFailed, LeaseHeld, StoreError, StoreLocked, WrongStore
from active_learner.stores.base import Store, Stored
from protocol.messages import Action, Answer

Result = TypeVar("Result")

RETRY_S = 2.0
"""A person who makes room on a disk does not want to wait long to see that it helped."""

RENEW_S = 1.0
"""The store lets go of a writer that was not heard of for five times as long."""

FINAL = (StoreLocked, WrongStore, DiskFailed)
"""What no second try mends."""


@dataclass(frozen=True, slots=True)
class History:
    """What an earlier trainer left."""

    run: str
    term: int
    labeled: frozenset[str]
    open_questions: tuple[AskedQuestion, ...]
    said: tuple[LabelEvent, ...]
    """All label events, in the order of the store."""
    plans: tuple[tuple[Plan, RoundResult | None], ...]
    pool: bytes | None
    untrained: bool
    """There are labels that the last plan did not have, or had with another value."""
    changes: int = 0
    """Labels that the last plan did not have or had with another value, and those that it had and that are gone."""
    given_up: tuple[AskedQuestion, ...] = ()
    """Closed and without a label: their samples may be asked again."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of an answer; `event` None: it was not even tried."""

    status: str
    text: str
    event: LabelEvent | None
    labeled: bool
    features: Features | None
    kept_aside: bool = False
    """In quarantine."""


class Listener(Protocol):
    """Who wants to hear of what has become durable, and returns at once."""

    def asked(self, questions: Sequence[AskedQuestion]) -> None: ...
    def stored(self, event: LabelEvent, status: str) -> None: ...
    def trained(self, result: RoundResult) -> None: ...


class LabelBook:
    """Labels, questions and plans of one run."""

    listener: Listener | None = None

    def __init__(
        self,
        store: Store,
        experiment: str,
        spec: SampleSpec,
        note: Callable[[str, str], None],
        *,
        enough: Enough = ONE_ANSWER,
        accept_rollback: bool = False,
        on_lost: Callable[[BaseException], object] | None = None,
    ) -> None:
        """`enough`: what is said beyond that is surplus. `accept_rollback`: as of Store.open. `on_lost(LeaseHeld)`: another trainer has taken the store over."""
        self._store, self._note = store, note
        self._experiment, self._spec = experiment, spec
        self._accept_rollback, self._on_lost = accept_rollback, on_lost
        self._renewing: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "store")
        self._enough, self._words = enough, Words()
        """The words are the thread's: of two answers that come together the second must know of the first."""
        self._features: dict[str, Features] = {}
        self.commit_times = Histogram()

    async def run(self, function: Callable[[], Result]) -> Result:
        """On the store's thread, after all that was asked of it before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def persist(self, function: Callable[[], Result]) -> Result:
        """As `run`; what cannot be written now (a full disk) is tried again until it can: nothing goes on without it."""
        told = False
        while True:
            try:
                return await self._committed(function)
            except (StoreError, OSError) as error:
                if isinstance(error, FINAL):
                    raise
                if not told:
                    self._note("error", f"cannot write: {error}; trying again every {RETRY_S:g} s")
                told = True
            await asyncio.sleep(RETRY_S)

    async def _committed(self, function: Callable[[], Result]) -> Result:
        """As `run`, and measured: what a labeler waits for, the queue before the store's thread included."""
        clock = asyncio.get_running_loop().time
        began = clock()
        result = await self.run(function)
        self.commit_times.observe(clock() - began)
        return result

    async def open(self) -> History:
        """Take the writer's lock and a new term. Raises: StoreLocked, WrongStore."""
        self._renew()  # a large store is read for longer than a lease lasts
        try:
            history = await self.run(self._open)
        except BaseException:
            self._stop_renewing()
            raise
        for warning in self._store.warnings:
            self._note("warning", warning)
        return history

    def _renew(self) -> None:
        """The loop is alive: that is what the lease of the store says."""
        try:
            self._store.renew()
        except LeaseHeld as error:
            if self._on_lost is not None:
                self._on_lost(error)
            return
        self._renewing = asyncio.get_running_loop().call_later(RENEW_S, self._renew)

    async def next_term(self) -> int:
        """A higher one than any before."""
        return await self.persist(self._store.next_term)

    def hurry(self, within_s: float) -> None:
        """Of a stop: after that time nothing waits for another program's lock any more, it fails."""
        self._store.hurry(asyncio.get_running_loop().time() + within_s)

    def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()

    async def close(self) -> None:
        self._stop_renewing()
        await self.run(self._store.close)
        self._thread.shutdown(wait=False)

    def _open(self) -> History:
        store = self._store
        store.open(self._experiment, self._spec, accept_rollback=self._accept_rollback, takes_over=True)
        reach("trainer.term_before_commit")
        term = store.next_term()  # first of all: from now on nobody else writes what is read here
        reach("trainer.term_after_commit")
        labels, plans, questions, said = store.labels(), store.plans(), store.questions(), tuple(store.events())
        self._words = Words(said)
        values = {label.key: label.value for label in labels}
        open_questions = self._still_open()
        self._features.update((question.key, question.features) for question, _ in questions)
        self._features.update((label.key, label.features) for label in labels)
        trained = dict(zip(plans[-1][0].rows, plans[-1][0].values, strict=True)) if plans else {}
        return History(
            run=store.run,
            term=term,
            labeled=frozenset(values),
            open_questions=open_questions,
            said=said,
            plans=tuple(plans),
            pool=store.load_pool(),
            untrained=any(trained.get(key) != value for key, value in values.items()),
            changes=sum(trained.get(key) != values.get(key) for key in {*trained, *values}),
            given_up=tuple(question for question, why in questions if why and question.key not in values),
        )

    def _still_open(self) -> tuple[AskedQuestion, ...]:
        """A trainer that died between an answer's commit and the closing of its question left it open."""
        questions = self._store.open_questions()
        self._store.close_questions([question.id for question in questions if self._has_all(question.key)], "answered")
        return tuple(question for question in questions if not self._has_all(question.key))

    def _has_all(self, key: str) -> bool:
        """The answers that it needs."""
        votes = self._words.votes(key).values()
        return len(votes) >= self._enough.needed(votes)

    async def make_plan(self, template: Callable[[tuple[str, ...], tuple[int, ...], bool], Plan]) -> Plan | None:
        """A plan of all labels there are, committed; None: there are none. `template` gets keys, labels, and whether
        anyone was asked for any of them."""
        return await self.persist(lambda: self._make_plan(template))

    def _make_plan(self, template: Callable[[tuple[str, ...], tuple[int, ...], bool], Plan]) -> Plan | None:
        labels = self._store.labels()
        if not labels:
            return None
        self._features.update((label.key, label.features) for label in labels)
        keys, values = tuple(label.key for label in labels), tuple(label.value for label in labels)
        plan = template(keys, values, any(label.question for label in labels))
        reach("trainer.plan_before_commit")
        self._store.commit_plan(plan)
        reach("trainer.plan_after_commit")
        return plan

    def rows(self, plan: Plan) -> tuple[Features, NDArray[Any]]:
        """(n, *shape) in the dtype of the experiment and (n,) int64: what the plan trains on."""
        return np.stack([self._features[key] for key in plan.rows]), np.array(plan.values, np.int64)

    async def finish_plan(self, result: RoundResult) -> None:
        def finish() -> None:
            reach("trainer.result_before_commit")
            self._store.finish_plan(result)
            reach("trainer.result_after_commit")

        await self.persist(finish)
        if self.listener is not None:
            self.listener.trained(result)

    async def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        self._features.update((question.key, question.features) for question in questions)

        def commit() -> None:
            reach("trainer.questions_before_commit")
            self._store.commit_questions(questions)
            reach("trainer.questions_after_commit")

        await self.persist(commit)
        if self.listener is not None:
            self.listener.asked(questions)

    async def close_questions(self, ids: Sequence[str], why: str) -> None:
        def commit() -> None:
            reach("trainer.closing_before_commit")
            self._store.close_questions(ids, why)
            reach("trainer.closing_after_commit")

        await self.persist(commit)

    async def save_pool(self, snapshot: bytes) -> None:
        """Keep it if that can be done: without it a restart only scores candidates again."""

        def save() -> None:
            reach("trainer.pool_before_commit")
            self._store.save_pool(snapshot)
            reach("trainer.pool_after_commit")

        try:
            await self.run(save)
        except (StoreError, OSError) as error:
            if isinstance(error, FINAL):
                raise
            self._note("warning", f"the pool is not kept: {error}")

    async def record(self, answer: Answer) -> Outcome:
        """Check and commit; returns only when it is durable.

        What cannot be written now (a full disk, another program's lock) is `storage_full`: its labeler says it again.
        """
        try:
            outcome = await self._committed(lambda: self._record(answer))
        except StoreError as error:
            if isinstance(error, FINAL):
                raise
            return _refused("storage_full", str(error))
        if self.listener is not None and outcome.event is not None and outcome.status in (Stored.STORED, Stored.LATE):
            self.listener.stored(outcome.event, outcome.status)
        return outcome

    def _record(self, answer: Answer) -> Outcome:
        question = self._store.question(answer.question)
        if question is None:
            return self._set_aside(answer)
        text = self._objection(answer)
        if text:
            return _refused("bad_value", text)
        event = _event(answer, question.key)
        reach("trainer.answer_before_commit")
        status = self._store.commit_event(event, is_surplus=self._is_surplus(event))
        reach("trainer.answer_after_commit")
        if status in (Stored.STORED, Stored.LATE):
            self._words.take(event)
        aside = status in (Stored.CONFLICT, Stored.SURPLUS) and self._store.quarantine(event)
        labeled = event.action in SAYING or self._is_labeled(question.key)
        return Outcome(status.value, "", event, labeled, question.features, aside)

    def _is_surplus(self, event: LabelEvent) -> bool:
        """A word of who has none yet, when there are enough."""
        if event.action not in SAYING or event.annotator in self._words.votes(event.key):
            return False
        return self._has_all(event.key)

    def _set_aside(self, answer: Answer) -> Outcome:
        """Labels are costly: somebody may find out what was meant."""
        kept = self._store.quarantine(_event(answer, ""))
        text = f"this question was never asked{'; the answer is kept aside' if kept else ''}"
        return replace(_refused("unknown_question", text), kept_aside=kept)

    def _is_labeled(self, key: str) -> bool:
        return any(label.key == key for label in self._store.labels())

    def _objection(self, answer: Answer) -> str:
        has_value = answer.action in (Action.ANSWER, Action.REVISE)
        if has_value and (answer.value is None or not 0 <= answer.value < self._spec.classes):
            return f"{answer.value} is not a label: allowed are 0 to {self._spec.classes - 1}"
        if not has_value and answer.value is not None:
            return f"{answer.action.value} takes no value"
        return ""

    async def agreement(self) -> Agreement | None:
        """How far the annotators of the same samples agree; None: no sample has two."""
        return await self.persist(lambda: agreement(enumerate(self._store.events(), start=1)))

    async def report(self) -> tuple[list[AskedQuestion], list[Any]]:
        """Questions that were not taken back, in the order of asking, and labels: what a report shows."""
        return await self.run(lambda: (self._store.asked(), self._store.labels()))


def _event(answer: Answer, key: str) -> LabelEvent:
    return LabelEvent(
        id=answer.id,
        question=answer.question,
        key=key,
        annotator=answer.annotator,
        revision=answer.revision,
        action=answer.action.value,
        value=answer.value,
        at=answer.at,
        circumstances="" if circumstances.objection(answer.circumstances) else answer.circumstances,
    )


def _refused(status: str, text: str) -> Outcome:
    return Outcome(status, text, None, False, None)
