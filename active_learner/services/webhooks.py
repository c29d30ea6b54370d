"""Tells another program what happened: one signed POST of JSON each. Knows what is told and whom; the schedule is the core's.

Headers and signature as Standard Webhooks has them. A task of the loop beside all others: nothing waits for it, and
whatever goes wrong with it is counted and told, and ends nothing.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from active_learner.core.deliveries import Deliveries, Delivery, Patience
from active_learner.core.measures import Reading, gauge
from active_learner.core.records import AskedQuestion, LabelEvent, RoundResult
from active_learner.security.webhook_secret import WebhookSecret
from active_learner.services.http_post import Address, post
from active_learner.services.shell import jitter

TIMEOUT_S = 10.0
"""For one attempt: a receiver has to take it, not to work on it."""
DRAIN_S = 0.5
"""At the end of the trainer."""
LATER = (408, 425, 429)
"""Of the 4xx, those that say: not now."""
TOLD_S = 60.0
"""Trouble is told at most once in so long."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Whom to tell what."""

    address: Address
    secret: WebhookSecret
    events: Sequence[str]


class Webhooks:
    def __init__(
        self, hook: Hook, about: Mapping[str, str], note: Callable[[str, str], None], patience: Patience | None = None
    ) -> None:
        """`about`: experiment and run, said in every message."""
        self._hook, self._about, self._note = hook, about, note
        self._queue = Deliveries(jitter, patience)
        self._changed, self._turn = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told_at = -math.inf

    @property
    def counters(self) -> Mapping[str, int]:
        return self._queue.counters

    def readings(self) -> Iterator[Reading]:
        yield from gauge("webhooks_waiting", len(self._queue))

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """What is not delivered in a moment is not delivered: the run goes on without it, and says how many."""
        if self._task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while len(self._queue):
                    await self._turn.wait()
                    self._turn.clear()
        self._task.cancel()
        await asyncio.wait({self._task})
        if len(self._queue):
            self._note("warning", f"{len(self._queue)} webhook messages were not delivered")

    # --- what happened

    def asked(self, questions: Sequence[AskedQuestion]) -> None:
        names = ("key", "round", "strategy", "score", "rank", "model_version", "asked_at")
        for question in questions:
            self._tell("question.asked", {"question": question.id, **_said(question, names)})

    def stored(self, event: LabelEvent, status: str) -> None:
        names = ("question", "key", "annotator", "revision", "action", "value", "at")
        how = json.loads(event.circumstances or "null")
        self._tell("label.stored", {"id": event.id, **_said(event, names), "circumstances": how, "status": status})

    def trained(self, result: RoundResult) -> None:
        names = ("round", "model_version", "digest", "labels", "accuracy", "loss", "train_loss", "seconds", "held_back")
        self._tell("model.trained", _said(result, names))

    def _tell(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind not in self._hook.events:
            return
        name = f"msg_{secrets.token_hex(16)}"
        moment = datetime.now(UTC).isoformat()
        said = {"id": name, "type": kind, "timestamp": moment, "data": {**self._about, **data}}
        if not self._queue.add(name, json.dumps(said, allow_nan=False).encode("ascii"), _now()):
            self._trouble(
                f"{self._queue.counters['webhooks.dropped']} messages dropped: {len(self._queue)} wait already"
            )
        self._changed.set()

    # --- the sender

    async def _run(self) -> None:
        while True:
            one = self._queue.next(_now())
            if one is None:
                await self._wait()
            else:
                await self._send(one)
            self._turn.set()

    async def _wait(self) -> None:
        due = self._queue.due_at()
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - _now())):
                await self._changed.wait()

    async def _send(self, one: Delivery) -> None:
        try:
            answer = await post(self._hook.address, self._headers(one), one.body, TIMEOUT_S)
        except Exception as error:  # whatever it is, nothing of the run depends on it
            self._queue.failed(_now())
            self._trouble(f"{type(error).__name__}: {error}")
            return
        if 200 <= answer.status < 300:
            self._queue.delivered(one)
        elif 400 <= answer.status < 500 and answer.status not in LATER:
            self._queue.refused(one, _now())
            self._trouble(f"answered {answer.status}")
        else:
            self._queue.failed(_now(), answer.retry_after_s)
            followed = "; it is not followed elsewhere" if 300 <= answer.status < 400 else ""
            self._trouble(f"answered {answer.status}{followed}")

    def _headers(self, one: Delivery) -> dict[str, str]:
        """Of this attempt: receivers refuse a timestamp that is minutes old."""
        now = int(time.time())
        return {
            "Content-Type": "application/json",
            "User-Agent": "active-learner",
            "webhook-id": one.id,
            "webhook-timestamp": str(now),
            "webhook-signature": self._hook.secret.signature(one.id, now, one.body),
        }

    def _trouble(self, text: str) -> None:
        if _now() - self._told_at >= TOLD_S:
            self._told_at = _now()
            self._note("warning", f"webhook: {self._hook.address.host}:{self._hook.address.port}: {text}")


def _said(record: Any, names: Sequence[str]) -> dict[str, Any]:
    """JSON knows no NaN and no infinity."""
    values = {name: getattr(record, name) for name in names}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _now() -> float:
    return asyncio.get_running_loop().time()
