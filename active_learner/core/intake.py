"""Candidates on their way into the pool: waiting for scores, taken, receipted; and the pool's own refreshes.

Knows the pool and who is known already; not when to ask.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from active_learner.core.asking_events import (
    CandidatesHeard,
    Command,
    Note,
    Refresh,
    ScoresHeard,
    ScoresRefused,
    SendReceipt,
)
from active_learner.core.batches import rows_at_once
from active_learner.core.pool import Pool
from active_learner.core.records import Features

PARKED_LIMIT = 256
PARKED_BYTES = 256 * 1024 * 1024
"""Batches that wait for their scores, and their bytes together: four messages of the largest size. Beyond it the oldest is
dropped: its source sends it again."""

KNOWN_LIMIT = 64
"""Batches of known samples whose scores are on their way; beyond it the oldest keeps the scores that its samples have."""

RECEIPTS_LIMIT = 1024
"""Receipts kept for a repeat; older repeats are taken as new and come out as known."""

REFRESH_ROWS = 512
"""Samples in one refresh, of large ones fewer: small enough that training steps of the evaluator do not wait long for it."""


class _Known(NamedTuple):
    """A batch without anything new."""

    keys: tuple[str, ...]
    places: Sequence[int]
    """Row of each key among the batch as it was said."""
    rows: int


class Intake:
    """Counts every candidate exactly once: new + known + refused."""

    def __init__(
        self, pool: Pool, is_known: Callable[[str], bool], prefix: str, at: float, beside: Pool | None = None
    ) -> None:
        """`is_known`: labeled or asked. `prefix` makes the ids of refreshes unlike those of another trainer. `beside`: samples that
        nothing is added to here, but that are scored again with those of the pool."""
        self.pool, self._beside = pool, beside
        self._is_known = is_known
        self._prefix = prefix
        self._parked: OrderedDict[str, CandidatesHeard] = OrderedDict()
        self._receipts: OrderedDict[str, SendReceipt] = OrderedDict()
        self._refreshing: dict[str, tuple[str, ...]] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refreshes = 0
        self.last_new_at = at
        self.counters = dict.fromkeys(("new", "known", "refused", "evicted", "dropped_unscored", "stray_scores"), 0)

    @property
    def waiting(self) -> int:
        """Batches without scores."""
        return len(self._parked)

    @property
    def refreshing(self) -> bool:
        return bool(self._refreshing)

    def hear(self, event: CandidatesHeard) -> list[Command]:
        """A batch: park it for its scores; one that is known whole is receipted at once, a repeat as before."""
        receipt = self._receipts.get(event.id)
        if receipt is not None:
            return [replace(receipt, session=event.session)]
        if event.id in self._parked:
            self._parked[event.id] = replace(self._parked[event.id], session=event.session)
            return []
        if all(key in self.pool or self._is_known(key) for key in event.keys):
            self._expect_news(event)
            return [self._receipt(event, 0, 0)]
        self._parked[event.id] = event
        while len(self._parked) > PARKED_LIMIT or (len(self._parked) > 1 and self._parked_bytes > PARKED_BYTES):
            self._parked.popitem(last=False)
            self.counters["dropped_unscored"] += 1
        return []

    def _expect_news(self, event: CandidatesHeard) -> None:
        """The evaluator scores it all the same, perhaps by a newer model: what is in the pool may have that."""
        if any(key in self.pool for key in event.keys):
            self._known[event.id] = _Known(event.keys, event.places or range(len(event.keys)), _size(event))
            if len(self._known) > KNOWN_LIMIT:
                self._known.popitem(last=False)

    @property
    def _parked_bytes(self) -> int:
        return sum(batch.features.nbytes for batch in self._parked.values())

    def knows_scores(self, event: ScoresHeard) -> bool:
        """They are for a parked or a known batch or a refresh of ours, and have its number of rows."""
        parked, known = self._parked.get(event.re), self._known.get(event.re)
        rows = _size(parked) if parked is not None else len(self._refreshing.get(event.re, ()))
        rows = known.rows if known is not None else rows
        return rows > 0 and event.probabilities.shape == (rows, self.pool.classes)

    def score(self, event: ScoresHeard) -> list[Command]:
        """Scores of a parked batch bring it into the pool; those of a known one or of a refresh renew the pool's."""
        known = self._known.pop(event.re, None)
        if known is not None:
            self._renew(known.keys, event.probabilities[list(known.places)], event.model_version)
            return []
        keys = self._refreshing.pop(event.re, None)
        if keys is not None:
            self._renew(keys, event.probabilities, event.model_version)
            return []
        return [self._take(self._parked.pop(event.re), event)]

    def _renew(self, keys: tuple[str, ...], rows: NDArray[Any], model_version: int) -> None:
        """Wherever the samples are now."""
        self.pool.score_all(keys, rows, model_version)
        if self._beside is not None:
            self._beside.score_all(keys, rows, model_version)

    def refuse(self, event: ScoresRefused) -> list[Command]:
        """Unscored for ever: a parked batch is refused to its source, a refresh leaves the older scores."""
        parked = self._parked.pop(event.re, None)
        self._known.pop(event.re, None)
        if parked is None and self._refreshing.pop(event.re, None) is None:
            return []
        note = Note("warning", f"not scored: {event.text}")
        if parked is None:
            return [note]
        whole = replace(parked, keys=(), refused=_size(parked), text=event.text, at=event.at)
        return [self._receipt(whole, 0, 0), note]

    def stray(self) -> None:
        self.counters["stray_scores"] += 1

    def take_unscored(self, at: float) -> list[Command]:
        """Nobody will score them soon: take all that is parked as it is."""
        batches = list(self._parked.values())
        self._parked.clear()
        return [self._take(replace(batch, at=at), None) for batch in batches]

    def refresh(self, model_version: int) -> list[Command]:
        """Ask for the scores that are not of this model, the most uncertain samples first."""
        self._refreshing.clear()
        pools = (self.pool,) if self._beside is None else (self._beside, self.pool)
        return [command for pool in pools for command in self._refresh(*pool.outdated(model_version))]

    def _refresh(self, keys: list[str], features: Features) -> list[Command]:
        commands: list[Command] = []
        rows = rows_at_once(features, REFRESH_ROWS)
        for start in range(0, len(keys), rows):
            self._refreshes += 1
            refresh_id = f"{self._prefix}-{self._refreshes}"
            self._refreshing[refresh_id] = tuple(keys[start : start + rows])
            commands.append(Refresh(refresh_id, features[start : start + rows]))
        return commands

    def abandon_refresh(self) -> None:
        self._refreshing.clear()

    def _take(self, batch: CandidatesHeard, scores: ScoresHeard | None) -> Command:
        new = 0
        for row, key in enumerate(batch.keys):
            if self._is_known(key):
                continue
            new += self.pool.add(key, batch.features[row])
            if scores is not None:
                place = row if batch.places is None else batch.places[row]
                self.pool.score(key, scores.probabilities[place], scores.model_version)
        if new:
            self.last_new_at = batch.at if scores is None else scores.at
        return self._receipt(batch, new, self.pool.evict())

    def _receipt(self, batch: CandidatesHeard, new: int, evicted: int) -> SendReceipt:
        known = len(batch.keys) - new
        receipt = SendReceipt(batch.session, batch.id, new, known, batch.refused, evicted, batch.text)
        for name, count in (("new", new), ("known", known), ("refused", batch.refused), ("evicted", evicted)):
            self.counters[name] += count
        self._receipts[batch.id] = receipt
        if len(self._receipts) > RECEIPTS_LIMIT:
            self._receipts.popitem(last=False)
        return receipt


def _size(batch: CandidatesHeard) -> int:
    """Rows of the batch as it was said."""
    return len(batch.keys) if batch.places is None else len(batch.keys) + batch.refused
