"""A source's candidates on their way: a bounded window, receipts, re-sends. Knows ids and times; not the source or the wire.

Rows proposed = rows taken + rows dropped + rows under way, always. A batch of a source that wants fitness is over when
it has both its receipt and its scores. A source that does not want fitness waits for a receipt for ever; one that does
gives a batch up after PATIENCE_S in the presence of a trainer. Nothing is sent, and no patience runs out, without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from active_learner.core.machine import Machine
from active_learner.core.proposing_events import (
    EVALUATOR,
    TRAINER,
    Arrived,
    Command,
    ControlArrived,
    Count,
    Diversify,
    Event,
    Left,
    NothingProposed,
    Propose,
    Proposed,
    ReceiptArrived,
    Report,
    Restart,
    Say,
    SayEnded,
    ScoresArrived,
    Tick,
    Warn,
)
from active_learner.core.records import Features
from active_learner.core.resends import Backoff, Due, Jitter, no_jitter

WINDOW = 4
"""Batches under way: enough to hide the round trip, few enough that a slow trainer is not flooded."""
RESEND_FIRST_S = 0.5
RESEND_LONGEST_S = 8.0
PATIENCE_S = 30.0
"""A generation that got no receipt for so long is dropped, one without scores is over unscored: breeding goes on."""
UNSCORED_S = 2.0
"""The same when no evaluator is there to score it: it may be just restarting."""
FULL_REST_S = 1.0
"""Rest while each new candidate costs the pool another: a source without end would keep a core busy for nothing. A source
that breeds is not slowed: it needs its generations, and has its own interval."""
IDLE_S = 0.25
"""Rest after the source had nothing: a live file is looked at four times a second."""
ENDED_EVERY_S = 5.0
"""SOURCE_ENDED has no receipt, so it is said again; a trainer that missed it waits no longer than this."""
BARREN_BATCHES = 3
"""So many receipts in a row without anything new: look elsewhere."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Candidates under way; `since`: when patience began."""

    id: str
    features: Features
    since: float
    due: Due
    said: bool = False
    receipt: ReceiptArrived | None = None
    fitness: Features | None = None

    @property
    def rows(self) -> int:
        return len(self.features)


class Proposing(Machine[Event, Command]):
    """Phases: stopped (no new batches), proposing, ended (the source has no more)."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("*", "proposal"): "_proposal",
        ("*", "nothing"): "_nothing",
        ("*", "exhausted"): "_exhausted",
        ("*", "receipt"): "_receipt",
        ("*", "odd receipt"): "_odd_receipt",
        ("*", "repeated receipt"): "_repeated_receipt",
        ("*", "scores"): "_scores",
        ("*", "odd scores"): "_odd_scores",
        ("*", "scores of others"): "_scores_of_others",
        ("*", "trainer arrived"): "_trainer_arrived",
        ("*", "evaluator arrived"): "_evaluator_arrived",
        ("*", "nobody we need"): "_nobody_we_need",
        ("*", "left"): "_left",
        ("stopped", "start"): "_start",
        ("proposing", "start"): "_already",
        ("ended", "start"): "_ended_already",
        ("proposing", "stop"): "_stop",
        ("stopped", "stop"): "_already",
        ("ended", "stop"): "_already",
        ("*", "diversify"): "_diversify",
        ("*", "other control"): "_other_control",
        ("*", "tick"): "_tick",
    }

    def __init__(
        self,
        *,
        wants_fitness: bool,
        interval_s: float = 0.0,
        autostart: bool = True,
        jitter: Jitter = no_jitter,
    ) -> None:
        """`interval_s`: rest after a batch is over, before the next is asked for; with a rest one batch is under way."""
        super().__init__("proposing" if autostart else "stopped")
        self._wants_fitness = wants_fitness
        self._window = 1 if wants_fitness or interval_s else WINDOW
        self._interval_s = interval_s
        self._backoff = Backoff(RESEND_FIRST_S, RESEND_LONGEST_S, jitter)
        self._under_way: dict[str, _Batch] = {}
        self._peers: dict[str, set[int]] = {TRAINER: set(), EVALUATOR: set()}
        self._asked = False
        self._pool_full = False
        self._restarted = False
        """RESTART went out after the PROPOSE that is not answered yet: its "ended" is of the time before."""
        self._rest_until = 0.0
        self._ended_due = 0.0
        self._barren = 0
        self.proposed = self.taken = self.dropped = 0

    @property
    def under_way(self) -> int:
        """Rows without a receipt."""
        return sum(batch.rows for batch in self._under_way.values() if batch.receipt is None)

    @property
    def unfinished(self) -> int:
        """Batches that are not over: without a receipt, or without the scores that are wanted."""
        return len(self._under_way)

    def classify(self, event: Event) -> str:
        match event:
            case Proposed():
                return "proposal"
            case NothingProposed():
                return "exhausted" if event.ended and not self._restarted else "nothing"
            case ReceiptArrived():
                return self._kind_of_receipt(event)
            case ScoresArrived():
                return self._kind_of_scores(event)
            case Arrived():
                known = event.session in self._peers.get(event.role, {event.session})
                return "nobody we need" if known else f"{event.role} arrived"
            case Left():
                return "left" if event.session in self._peers.get(event.role, ()) else "nobody we need"
            case ControlArrived():
                return event.command if event.command in ("start", "stop", "diversify") else "other control"
            case _:
                return "tick"

    def _kind_of_receipt(self, event: ReceiptArrived) -> str:
        batch = self._under_way.get(event.re)
        if batch is None or batch.receipt is not None:
            return "repeated receipt"
        return "receipt" if event.new + event.known + event.refused == batch.rows else "odd receipt"

    def _kind_of_scores(self, event: ScoresArrived) -> str:
        batch = self._under_way.get(event.re)
        if batch is None or batch.fitness is not None or not self._wants_fitness:
            return "scores of others"
        return "scores" if event.fitness.shape == (batch.rows,) else "odd scores"

    # --- what the source says -------------------------------------------------------------------------------------

    def _proposal(self, event: Proposed) -> list[Command]:
        self._asked = self._restarted = False
        batch = _Batch(event.id, event.features, since=event.at, due=self._backoff.now(event.at))
        self._under_way[batch.id] = batch
        self.proposed += batch.rows
        return [Count("proposed", batch.rows), *self._due(event.at), *self._ask(event.at)]

    def _nothing(self, event: NothingProposed) -> list[Command]:
        self._asked = self._restarted = False
        self._rest_until = event.at + IDLE_S
        return []

    def _exhausted(self, event: NothingProposed) -> list[Command]:
        self._asked = False
        self.phase = "ended"
        self._ended_due = event.at
        return self._say_ended(event.at)

    # --- what became of a batch -----------------------------------------------------------------------------------

    def _receipt(self, event: ReceiptArrived) -> list[Command]:
        batch = self._under_way[event.re]
        batch.receipt = event
        batch.since = event.at
        self.taken += batch.rows
        self._barren = 0 if event.new else self._barren + 1
        self._pool_full = 0 < event.new <= event.evicted and not self._wants_fitness
        told: list[Command] = [Count("new", event.new), Count("known", event.known), Count("refused", event.refused)]
        if event.refused:
            told.append(Warn(f"the trainer refused {event.refused} of {batch.rows} candidates: {event.text}"))
        if self._barren >= BARREN_BATCHES:
            self._barren = 0
            told.append(Diversify())
        return told + self._over_when_complete(batch, event.at)

    def _odd_receipt(self, event: ReceiptArrived) -> list[Command]:
        """A receipt that does not add up is no receipt: the batch is sent again."""
        return [Count("odd_receipts", 1)]

    def _repeated_receipt(self, event: ReceiptArrived) -> list[Command]:
        return [Count("repeated_receipts", 1)]

    def _scores(self, event: ScoresArrived) -> list[Command]:
        batch = self._under_way[event.re]
        batch.fitness = event.fitness
        return self._over_when_complete(batch, event.at)

    def _odd_scores(self, event: ScoresArrived) -> list[Command]:
        return [Count("odd_scores", 1)]

    def _scores_of_others(self, event: ScoresArrived) -> list[Command]:
        """Repeated, or of the trainer's refresh, or of another source."""
        return []

    def _over_when_complete(self, batch: _Batch, at: float) -> list[Command]:
        if batch.receipt is None or (self._wants_fitness and batch.fitness is None):
            return []
        return self._over(batch, at) + self._ask(at) + self._say_ended(at)

    def _over(self, batch: _Batch, at: float) -> list[Command]:
        del self._under_way[batch.id]
        rest = max(self._interval_s, FULL_REST_S) if self._pool_full else self._interval_s
        self._rest_until = max(self._rest_until, at + rest)
        new = batch.receipt.new if batch.receipt else 0
        return [Report(batch.features, batch.fitness, new)]

    # --- who is there ---------------------------------------------------------------------------------------------

    def _trainer_arrived(self, event: Arrived) -> list[Command]:
        """It may be a new one that has lost its pool: the source begins again; what is known costs a receipt only."""
        self._peers[TRAINER].add(event.session)
        self._send_again_at(event.at)
        again: list[Command] = []
        if self.taken:
            again.append(Restart())
            self._restarted = self._asked
            if self.phase == "ended":
                self.phase = "proposing"
        self._ended_due = event.at
        return again + self._due(event.at) + self._ask(event.at) + self._say_ended(event.at)

    def _evaluator_arrived(self, event: Arrived) -> list[Command]:
        self._peers[EVALUATOR].add(event.session)
        if not self._wants_fitness:
            return []
        self._send_again_at(event.at)
        return self._due(event.at)

    def _nobody_we_need(self, event: Event) -> list[Command]:
        return []

    def _left(self, event: Left) -> list[Command]:
        self._peers[event.role].discard(event.session)
        return []

    def _send_again_at(self, at: float) -> None:
        """All under way is due now, with fresh patience: who should have answered was not there."""
        for batch in self._under_way.values():
            batch.since, batch.due = at, self._backoff.now(at)

    # --- control and time -----------------------------------------------------------------------------------------

    def _start(self, event: ControlArrived) -> list[Command]:
        self.phase = "proposing"
        return self._ask(event.at)

    def _stop(self, event: ControlArrived) -> list[Command]:
        self.phase = "stopped"
        return []

    def _already(self, event: ControlArrived) -> list[Command]:
        return []

    def _ended_already(self, event: ControlArrived) -> list[Command]:
        self._ended_due = event.at
        return self._say_ended(event.at)

    def _diversify(self, event: ControlArrived) -> list[Command]:
        self._barren = 0
        return [Diversify()]

    def _other_control(self, event: ControlArrived) -> list[Command]:
        return [Count("other_control", 1)]

    def _tick(self, event: Tick) -> list[Command]:
        return self._due(event.at) + self._ask(event.at) + self._say_ended(event.at)

    # --- what follows from the state ------------------------------------------------------------------------------

    def _due(self, at: float) -> list[Command]:
        """First sending, re-sending, and the end of patience, while a trainer is there."""
        if not self._peers[TRAINER]:
            return []
        said: list[Command] = []
        for batch in list(self._under_way.values()):
            if self._out_of_patience(batch, at):
                said += self._give_up(batch, at)
            elif at >= batch.due.at:
                said += self._say(batch, at)
        return said

    def _out_of_patience(self, batch: _Batch, at: float) -> bool:
        if not self._wants_fitness:
            return False
        hopeless = batch.receipt is not None and not self._peers[EVALUATOR]
        return at - batch.since >= (UNSCORED_S if hopeless else PATIENCE_S)

    def _give_up(self, batch: _Batch, at: float) -> list[Command]:
        if batch.receipt is not None:
            return [Count("unscored", batch.rows), *self._over(batch, at)]
        self.dropped += batch.rows
        return [
            Count("dropped", batch.rows),
            Warn(f"{batch.rows} candidates got no receipt in {PATIENCE_S:g} s and are dropped"),
            *self._over(batch, at),
        ]

    def _say(self, batch: _Batch, at: float) -> list[Command]:
        repeated, batch.said = batch.said, True
        batch.due = self._backoff.next(batch.due, at)
        said: list[Command] = [Say(batch.id, batch.features)]
        return [*said, Count("resent", 1)] if repeated else said

    def _ask(self, at: float) -> list[Command]:
        ready = self.phase == "proposing" and not self._asked and at >= self._rest_until
        window = 1 if self._pool_full else self._window
        if not ready or not self._peers[TRAINER] or len(self._under_way) >= window:
            return []
        self._asked = True
        return [Propose()]

    def _say_ended(self, at: float) -> list[Command]:
        settled = self.phase == "ended" and not self._under_way
        if not settled or not self._peers[TRAINER] or at < self._ended_due:
            return []
        self._ended_due = at + ENDED_EVERY_S
        return [SayEnded(self.proposed, self.dropped)]
