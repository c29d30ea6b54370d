"""The asking machine of batches: from candidates to questions to labels, then a round. Knows the pool, what is labeled, who is
here; not who answers (leasing.py does), the strategy, the store, training, sockets or clocks.

Phases: collecting, selecting, storing, asking, holding (a round trains), refreshing (new scores), cooling (all skipped).
Decisions are rows of Tick: whoever runs the machine ticks after every event and a few times a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from active_learner.core.acquisition import AcquisitionBatch
from active_learner.core.asking_base import RANDOM, AskingBase
from active_learner.core.asking_events import (
    AnswerStored,
    AskingRules,
    CloseQuestions,
    Command,
    Event,
    ModelStands,
    Note,
    OpenQuestions,
    QuestionPassed,
    QuestionReopened,
    QuestionResolved,
    QuestionsStored,
    RoundOver,
    SavePool,
    Select,
    SelectionMade,
    StoreQuestions,
    Tick,
    WantRound,
)
from active_learner.core.pool import Pool
from active_learner.core.records import AskedQuestion


class AskingMachine(AskingBase):
    """Batch by batch: ask, wait, train. `open_questions` of an earlier trainer. `holding`: a round is under way."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        **AskingBase.SHARED,
        ("*", "model stands"): "_model_stands",
        ("*", "round planned"): "_wait",
        ("*", "resolved"): "_resolve",
        ("*", "passed"): "_give_up",
        ("*", "reopened"): "_reopen",
        ("collecting", "pool full"): "_select",
        ("collecting", "sources ended"): "_select",
        ("collecting", "sources silent"): "_select",
        ("collecting", "evaluator away, pool full"): "_select",
        ("collecting", "all cooling"): "_cool",
        ("collecting", "starved"): "_diversify",
        ("selecting", "selection"): "_store_questions",
        ("selecting", "empty selection"): "_collect",
        ("storing", "questions stored"): "_open",
        ("asking", "batch answered"): "_want_round",
        ("asking", "batch skipped"): "_give_up_batch",
        ("asking", "time is up"): "_want_round",
        ("asking", "nobody answered"): "_give_up_batch",
        ("holding", "round over"): "_refresh",
        ("*", "round over"): "_model_stands",
        ("refreshing", "refreshed"): "_collect",
        ("refreshing", "refresh late"): "_collect_stale",
        ("cooling", "cooled"): "_collect",
    }

    def __init__(
        self,
        rules: AskingRules,
        pool: Pool,
        *,
        name: str,
        at: float,
        labeled: Iterable[str] = (),
        open_questions: Sequence[AskedQuestion] = (),
        round: int = 0,
        model_version: int = 0,
        holding: bool = False,
        untrained: bool = False,
    ) -> None:
        """`name` is this trainer's own (run and term): ids of questions and refreshes begin with it. `untrained`: the last plan had
        not all labels, those of the open batch, which an earlier trainer has heard."""
        phase = "holding" if holding else "asking" if open_questions else "collecting"
        super().__init__(
            phase, rules, pool, name=name, at=at, labeled=labeled, round=round, model_version=model_version
        )
        self.batch = AcquisitionBatch(open_questions, at)
        self._deadline = float("inf")
        self._untrained = untrained

    def unanswered(self) -> tuple[AskedQuestion, ...]:
        return self.batch.unanswered()

    def _asks(self, key: str) -> bool:
        return self.batch.asks(key)

    # --- what is due

    def _classify_tick(self, at: float) -> str:
        match self.phase:
            case "collecting":
                return self._readiness(at) if self._count() > 0 else "tick"
            case "asking":
                return self._classify_asking(at)
            case "refreshing" if not self.intake.refreshing:
                return "refreshed"
            case "refreshing" if at >= self._deadline:
                return "refresh late"
            case "cooling" if at >= self._deadline or self._askable(at):
                return "cooled"
            case _:
                return "tick"

    def _classify_asking(self, at: float) -> str:
        if self.batch.is_over:
            return "batch answered" if self._has_label() else "batch skipped"
        timeout = self.rules.label_timeout_s
        if timeout is not None and at >= self.batch.asked_at + timeout:
            return "time is up" if self._has_label() else "nobody answered"
        return "tick"

    def _has_label(self) -> bool:
        """A sample of the batch has one, though it may lack others that are wanted of it."""
        return self._untrained or any(question.key in self.labeled for question in self.batch.questions.values())

    def _count(self) -> int:
        """Samples to ask now; 0: the budget of labels is used up."""
        missing = self.rules.initial_labels - len(self.labeled)
        count = missing if missing > 0 else self.rules.query_size
        budget = self.rules.label_budget
        return count if budget is None else min(count, budget - len(self.labeled))

    # --- asking

    def _select(self, event: Tick) -> list[Command]:
        self.phase = "selecting"
        self.selections += 1
        cooling = [key for key, until in self._cooling.items() if until > event.at]
        self._cooling = {key: self._cooling[key] for key in cooling}
        strategy = RANDOM if len(self.labeled) < self.rules.initial_labels else ""
        return [Select(self.pool.view(without=cooling), self._count(), strategy, self.selections)]

    def _store_questions(self, event: SelectionMade) -> list[Command]:
        self.phase = "storing"
        away = self._nobody_scores(event.at)
        keys = [event.view.keys[row] for row in event.selection.rows]
        questions = tuple(
            self._question(event, row, self.pool[key], away) for row, key in enumerate(keys) if key in self.pool
        )
        self.batch = AcquisitionBatch(questions, event.at)
        self.pool.remove(keys)
        return [StoreQuestions(questions)]

    def _open(self, event: QuestionsStored) -> list[Command]:
        self.phase = "asking"
        self.batch.asked_at = event.at
        return [OpenQuestions(self.batch.unanswered()), SavePool()]

    # --- labels

    def _hear_answer(self, event: AnswerStored) -> list[Command]:
        self.labeled.add(event.event.key)
        self.pool.remove([event.event.key])
        return []

    def _hear_undo(self, event: AnswerStored) -> list[Command]:
        """Its labeler asks it again; until then it is an open question, or (batch over) in the pool again."""
        key, question = event.event.key, event.event.question
        if not event.labeled:
            self.labeled.discard(key)
        if question in self.batch:
            reopened = self.batch.take_back(question)
            return [OpenQuestions((reopened,))] if reopened is not None else []
        if not event.labeled and event.features is not None and not self.batch.asks(key):
            self.pool.add(key, event.features)
            self.pool.evict()
        return []

    def _hear_skip(self, _: AnswerStored) -> list[Command]:
        return []

    def _resolve(self, event: QuestionResolved) -> list[Command]:
        if event.id in self.batch:
            self.batch.answer(event.id)
        return []

    def _give_up(self, event: QuestionPassed) -> list[Command]:
        """It stays open until the batch is over: somebody may come who can say."""
        self.batch.give_up(event.id)
        return []

    def _reopen(self, event: QuestionReopened) -> list[Command]:
        self.batch.reopen(event.id)
        return []

    def _want_round(self, event: Tick) -> list[Command]:
        why = "skipped" if self.batch.is_over else "timed_out"
        closing = self._return_unanswered(event.at, why)
        self.phase, self._untrained = "holding", False
        return [*closing, WantRound()]

    def _give_up_batch(self, event: Tick) -> list[Command]:
        """Not one label: these samples cool down, others are asked (or they again, when there are no others)."""
        skipped = self.batch.is_over
        closing = self._return_unanswered(event.at, "skipped" if skipped else "timed_out")
        self.phase = "collecting"
        text = "all questions were skipped" if skipped else "nobody answered in time"
        return [*closing, Note("warning", f"{text}: asking elsewhere")]

    def _return_unanswered(self, at: float, why: str) -> list[Command]:
        unanswered = self.batch.unanswered()
        self.batch = AcquisitionBatch()
        for question in unanswered:
            self._cooling[question.key] = at + self.rules.skip_cooldown_s
            is_labeled = question.key in self.labeled  # by a late answer to an earlier question about it
            if not is_labeled and self.pool.add(question.key, question.features) and question.probabilities:
                self.pool.score(question.key, np.array(question.probabilities, np.float32), question.model_version)
        self.pool.evict()
        return [CloseQuestions(tuple(question.id for question in unanswered), why)] if unanswered else []

    # --- after a round

    def _model_stands(self, event: ModelStands | RoundOver) -> list[Command]:
        self.model_version = event.model_version
        return self.intake.refresh(self.model_version)

    def _refresh(self, event: RoundOver) -> list[Command]:
        self.model_version = event.model_version
        if event.round is not None:
            self.round = event.round
        if self.rules.clear_pool:
            self.pool.clear()
        self.phase = "refreshing"
        self._deadline = event.at + self.rules.refresh_timeout_s
        return [*self.intake.refresh(self.model_version), SavePool()]

    def _collect(self, _: Event) -> list[Command]:
        self.phase = "collecting"
        return []

    def _collect_stale(self, _: Tick) -> list[Command]:
        self.intake.abandon_refresh()
        self.phase = "collecting"
        return [Note("warning", "the evaluator does not score: asking by older scores")]

    def _cool(self, event: Tick) -> list[Command]:
        self.phase = "cooling"
        self._deadline = min(until for until in self._cooling.values() if until > event.at)
        return [Note("info", "every sample of the pool was skipped or timed out: waiting before asking again")]
