"""The scoring machine: candidates in, what the promoted snapshot says of them out. Knows nothing of training.

One phase: every batch of candidates stands for itself. In a chain the first evaluator turns CANDIDATES into FORWARD (SCORE)
with the id as ticket, those between pass it on, and the last says SCORES; the wish for embeddings is lost on the way,
because a FORWARD has no place for it.
"""

from __future__ import annotations

from typing import ClassVar

from active_learner.core.evaluation_events import (
    TRAINER,
    Heard,
    Inferred,
    Note,
    Place,
    RunInfer,
    RunScore,
    Say,
    Scored,
    ScoringCommand,
    ScoringEvent,
    ScoringFailed,
)
from active_learner.core.machine import Machine
from protocol.messages import Candidates, Forward, Scores, Status, StepRefused

SCORING_LIMIT = 256
"""Candidate batches under way: a few sources' windows. Beyond it they are dropped; the source repeats them."""

TOLD = {Scored: "scored", Inferred: "inferred", ScoringFailed: "failed"}


class ScoringMachine(Machine[ScoringEvent, ScoringCommand]):
    """A repeat of candidates that are still under way is absorbed; of answered ones, scored again."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        ("open", "not for us"): "_ignore",
        ("open", "candidates"): "_score",
        ("open", "passing"): "_score_passing",
        ("open", "known"): "_count_repeat",
        ("open", "too many"): "_drop",
        ("open", "scored"): "_answer",
        ("open", "inferred"): "_pass_on",
        ("open", "failed"): "_refuse",
    }

    def __init__(self, place: Place) -> None:
        super().__init__("open")
        self.place = place
        self.dropped = 0
        """Batches dropped because too many were under way."""
        self.repeats = 0
        """Batches that came again while they were under way."""
        self.under_way: dict[str, str] = {}
        """Ticket -> name of the sender."""

    def classify(self, event: ScoringEvent) -> str:
        if not isinstance(event, Heard):
            return TOLD[type(event)]
        message = event.message
        if isinstance(message, Candidates) and self.place.first:
            ticket, trigger = message.id, "candidates"
        elif self._is_passing(event) and isinstance(message, Forward):
            ticket, trigger = message.ticket, "passing"
        else:
            return "not for us"
        if ticket in self.under_way:
            return "known"
        return "too many" if len(self.under_way) >= SCORING_LIMIT else trigger

    def _is_passing(self, event: Heard) -> bool:
        message = event.message
        is_score = isinstance(message, Forward) and message.status == Status.SCORE
        is_ours = not self.place.first and event.room == self.place.input_room
        return is_score and is_ours and event.role == self.place.before

    def _ignore(self, _: Heard) -> list[ScoringCommand]:
        return []

    def _count_repeat(self, _: Heard) -> list[ScoringCommand]:
        self.repeats += 1
        return []

    def _drop(self, _: Heard) -> list[ScoringCommand]:
        self.dropped += 1
        return []

    def _score(self, event: Heard) -> list[ScoringCommand]:
        message = event.message
        assert isinstance(message, Candidates)
        self.under_way[message.id] = event.name or TRAINER
        if self.place.last:
            return [RunScore(message.id, message.features, message.embeddings)]
        return [RunInfer(message.id, message.features)]

    def _score_passing(self, event: Heard) -> list[ScoringCommand]:
        message = event.message
        assert isinstance(message, Forward)
        self.under_way[message.ticket] = TRAINER  # their source is not known here
        if self.place.last:
            return [RunScore(message.ticket, message.data, False)]
        return [RunInfer(message.ticket, message.data)]

    def _answer(self, event: Scored) -> list[ScoringCommand]:
        self.under_way.pop(event.ticket, None)
        reply = Scores(
            re=event.ticket,
            model_version=event.model_version,
            probabilities=event.probabilities,
            fitness=event.fitness,
            embeddings=event.embeddings,
        )
        return [Say(self.place.evolution_room, reply)]

    def _pass_on(self, event: Inferred) -> list[ScoringCommand]:
        self.under_way.pop(event.ticket, None)
        passed = Forward(
            term=0,
            step=event.model_version,
            status=Status.SCORE,
            ticket=event.ticket,
            round=0,
            epoch=0,
            batch=0,
            seed=0,
            data=event.predictions,
        )
        return [Say(self.place.output_room, passed)]

    def _refuse(self, event: ScoringFailed) -> list[ScoringCommand]:
        """Term 0: nothing of training is refused."""
        name = self.under_way.pop(event.ticket, TRAINER)
        refusal = StepRefused(
            term=0, step=0, ticket=event.ticket, role=self.place.role, code=event.code, text=event.text
        )
        told = [Say(f"@{to}", refusal) for to in dict.fromkeys((name, TRAINER))]  # the trainer waits for their scores
        return [*told, Note("warning", f"candidates of {name} refused: {event.text}")]
