"""Rating before the first run: an oracle and the store, without broker and trainer. Knows no network and no source."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Iterator

from active_learner.core.records import Features, SampleSpec, canonical, content_key
from active_learner.errors import StoreError
from active_learner.oracles.base import Oracle
from active_learner.services.label_book import FINAL, RETRY_S
from active_learner.services.shell import Service
from active_learner.stores.base import Store
from protocol.messages import Action, AnswerReceipt, Question

READY_FIRST_S = 0.01
"""The ready line is written when `start` has returned; a prompt before it would confuse a person."""

MOST_KNOWN = 10_000
"""Known samples in a row after which there is nothing new to be had: a space of few genomes would be searched for ever."""


def unlabeled(samples: Iterable[Features], known: set[str], spec: SampleSpec) -> Iterator[Features]:
    """Canonical samples whose content is not in `known`, each once; ends after MOST_KNOWN known ones in a row."""
    seen, misses = set(known), 0
    for sample in samples:
        row = canonical(sample, spec)
        key = content_key(row)
        misses = misses + 1 if key in seen else 0
        if misses > MOST_KNOWN:
            return
        if key not in seen:
            seen.add(key)
            yield row


class Prelabeling(Service):
    """Asks until `count` samples have a label. Each label is committed before the next sample is asked."""

    def __init__(
        self,
        store: Store,
        oracle: Oracle,
        spec: SampleSpec,
        samples: Iterator[Features],
        count: int,
        wall: Callable[[], float] = time.time,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """`store` is open. `samples` are not labeled yet (`unlabeled`). `told` is called with each label that was committed."""
        super().__init__()
        self._store, self._oracle, self._spec = store, oracle, spec
        self._samples, self._count, self._wall, self._told = samples, count, wall, told
        self._shown: dict[str, Question] = {}
        self._later: list[Question] = []
        self.labeled: set[str] = set()
        """Ids of the questions that have a label now."""
        self._asking: asyncio.Task[None] | None = None

    async def start(self) -> str:
        self._asking = asyncio.create_task(self._run())
        return f"prelabel: {self._count} samples to rate"

    async def stop(self) -> None:
        """What was answered is in the store already."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
        await self._oracle.leave()
        self._oracle.close()
        self._store.close()

    async def _run(self) -> None:
        try:
            await asyncio.sleep(READY_FIRST_S)
            question = self._next()
            while question is not None:
                question = await self._ask(question)
            self.finish(0)
        except Exception as error:
            self.fail(error)

    async def _ask(self, question: Question) -> Question | None:
        """Ask one; the next to ask, or None: enough, nothing left, or the annotator leaves."""
        waiting = self._count - len(self.labeled | {question.id})
        reply = await self._oracle.ask(question, waiting)
        if reply is None:
            return None
        about = self._shown[reply.question]
        if reply.action is Action.UNDO:
            text = "asked again; its label stays until you give another" if about.id in self.labeled else "asked again"
            await self._oracle.receipt(AnswerReceipt("", about.id, "stored", text))
            self._later.append(question)
            return about
        if reply.value is not None:
            await self._label(about, reply.value)
        await self._oracle.receipt(AnswerReceipt("", about.id, "stored", ""))
        if about is not question:  # an earlier one was changed
            return question
        return self._next() if len(self.labeled) < self._count else None

    def _next(self) -> Question | None:
        """The one that was on the screen when an earlier one was undone, or a new one."""
        return self._later.pop() if self._later else self._new()

    async def _label(self, question: Question, value: int) -> None:
        if not 0 <= value < self._spec.classes:
            raise ValueError(f"the oracle said {value}, allowed are 0 to {self._spec.classes - 1}")
        add = (question.features[None], [value], self._oracle.annotator, self._wall())
        told = False
        while not await self._committed(question, lambda: self._store.add_labels(*add), told):
            told = True
            await asyncio.sleep(RETRY_S)
        if self._told is not None:
            self._told(value)

    async def _committed(self, question: Question, add: Callable[[], object], told: bool) -> bool:
        """False: there is no room for it now, which the person knows (`told`)."""
        writing = asyncio.ensure_future(asyncio.to_thread(add))
        try:
            await asyncio.shield(writing)
        except StoreError as error:
            if isinstance(error, FINAL):
                raise
            if not told:
                self._oracle.notice(f"not saved yet: {error}; tried again every {RETRY_S:g} s until there is room")
            return False
        finally:
            await asyncio.wait({writing})  # also when cancelled: the store must not be closed under it
            if writing.exception() is None:
                self.labeled.add(question.id)
        return True

    def _new(self) -> Question | None:
        features = next(self._samples, None)
        if features is None:
            self._oracle.notice(f"there are no more samples without a label: {len(self.labeled)} were labeled")
            return None
        question = Question(
            id=uuid.uuid4().hex,
            key=content_key(features),
            features=features,
            media=self._spec.media,
            classes=self._spec.classes,
            round=0,
            strategy="prelabel",
            score=0.0,
            rank=len(self._shown) + 1,
            model_version=0,
            stale=False,
            pool=0,
        )
        self._shown[question.id] = question
        return question
