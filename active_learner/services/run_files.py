"""What a run leaves for people in its folder: metrics.jsonl, validation.npz, report.html. Knows files; decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learner.core.pool import Pool
from active_learner.core.records import RoundResult
from active_learner.results import metrics
from active_learner.results.record import VALIDATION_FILE
from active_learner.services.label_book import LabelBook

Array = NDArray[Any]


class RunFiles:
    """Written on the store's thread: a slow disk must not stop the loop."""

    def __init__(
        self,
        folder: Path,
        book: LabelBook,
        strategy: str,
        labels: Array | None,
        write_report: Callable[[list[Any], list[Any]], object],
    ) -> None:
        """`labels`: of the held-out rows."""
        self._folder, self._book, self._strategy, self._labels = folder, book, strategy, labels
        self._write_report = write_report

    async def keep(self, result: RoundResult, predictions: Array | None, pool: Pool) -> None:
        """Commit the round's result, then its line and the last validation: a file that is missing can be made again."""
        result.extra.update(
            strategy=self._strategy,
            pool=len(pool),
            uncertainty=pool.histogram(),
            held_out=None if predictions is None else len(predictions),
            at=time.time(),
        )
        agreement = await self._book.agreement()
        if agreement is not None:
            result.extra["agreement"] = agreement._asdict()
        await self._book.finish_plan(result)
        await self._book.persist(lambda: self._write(result, predictions))

    def _write(self, result: RoundResult, predictions: Array | None) -> None:
        metrics.append(self._folder / metrics.METRICS_FILE, result)
        if predictions is not None and self._labels is not None and not result.held_back:
            draft = self._folder / f".draft-{VALIDATION_FILE}"
            np.savez_compressed(draft, predictions=predictions, labels=self._labels)
            draft.replace(self._folder / VALIDATION_FILE)

    async def report(self) -> str | None:
        """Draw report.html; returns why it could not be drawn: that must not fail a run that is kept."""
        try:
            questions, labels = await self._book.report()
            await self._book.run(lambda: self._write_report(questions, labels))
        except Exception as error:  # anything: it is the last thing that a run does, and nothing depends on it
            return f"{type(error).__name__}: {error}"
        return None
