"""What every asking machine has: candidates and their scores, who is here, when there is enough to choose from. Knows the pool
and what is labeled; not which questions are open, nor when a round is due (asking.py and queueing.py do).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from active_learner.core.acquisition import question_of
from active_learner.core.asking_events import (
    AnnotatorsHere,
    AnswerStored,
    AskingRules,
    CandidatesHeard,
    Command,
    Diversify,
    EvaluatorHere,
    Event,
    LabelerHere,
    ModelStands,
    Note,
    QuestionPassed,
    QuestionReopened,
    QuestionResolved,
    QuestionsStored,
    RoundOver,
    RoundPlanned,
    ScoresHeard,
    ScoresRefused,
    SelectionMade,
    SourceGone,
    SourceHere,
    TakenBack,
    Tick,
)
from active_learner.core.attendance import Attendance
from active_learner.core.intake import Intake
from active_learner.core.machine import Machine
from active_learner.core.pool import Pool, PoolSample
from active_learner.core.records import AskedQuestion
from active_learner.core.seeds import derived_seed
from active_learner.core.voting import PASSES

RANDOM = "random"
"""Strategy of the initial labels: a model that saw nothing has no uncertainty worth following."""


class AskingBase(Machine[Event, Command]):
    """`labeled`: keys that have a label. A subclass has `TABLE`, with the rows of `SHARED` in it."""

    SHARED: ClassVar[dict[tuple[str, str], str]] = {
        ("*", "candidates"): "_hear_candidates",
        ("*", "scores"): "_hear_scores",
        ("*", "stray scores"): "_count_stray",
        ("*", "scores refused"): "_hear_refusal",
        ("*", "source here"): "_source_here",
        ("*", "source gone"): "_source_gone",
        ("*", "evaluator here"): "_evaluator_moved",
        ("*", "evaluator away"): "_evaluator_moved",
        ("*", "labeler here"): "_labeler_here",
        ("*", "labeler away"): "_labeler_away",
        ("*", "annotators here"): "_count_annotators",
        ("*", "answer"): "_hear_answer",
        ("*", "undo"): "_hear_undo",
        ("*", "skip"): "_hear_skip",
        ("*", "no effect"): "_wait",
        ("*", "tick"): "_wait",
        ("*", "nobody scores"): "_take_unscored",
    }

    def __init__(
        self,
        phase: str,
        rules: AskingRules,
        pool: Pool,
        *,
        name: str,
        at: float,
        labeled: Iterable[str],
        round: int,
        model_version: int,
        beside: Pool | None = None,
    ) -> None:
        """`beside`: samples that are scored again with those of the pool. `name` is this trainer's own (run and term): ids of questions and refreshes begin with it."""
        super().__init__(phase)
        self.rules = rules
        self.pool = pool
        self.labeled = set(labeled)
        self.intake = Intake(pool, self._is_known, name, at, beside)
        self.round = round
        self.model_version = model_version
        self.here = Attendance(at)
        self.selections = 0
        self._name = name
        self._cooling: dict[str, float] = {}
        self._starved_at = at

    @abstractmethod
    def unanswered(self) -> tuple[AskedQuestion, ...]:
        """The open questions, in the order of asking."""

    @abstractmethod
    def _asks(self, key: str) -> bool:
        """A question about the sample with this content key is open."""

    # --- what an event is now

    def classify(self, event: Event) -> str:
        match event:
            case Tick():
                return "nobody scores" if self._is_unscored(event.at) else self._classify_tick(event.at)
            case CandidatesHeard():
                return "candidates"
            case ScoresHeard():
                return "scores" if self.intake.knows_scores(event) else "stray scores"
            case ScoresRefused():
                return "scores refused"
            case SourceHere():
                return "source here"
            case SourceGone():
                return "source gone"
            case EvaluatorHere():
                return "evaluator here" if event.here else "evaluator away"
            case LabelerHere():
                return "labeler here" if event.here else "labeler away"
            case AnnotatorsHere():
                return "annotators here"
            case SelectionMade():
                return self._classify_selection(event)
            case QuestionsStored():
                return self._classify_stored(event)
            case QuestionResolved():
                return "resolved"
            case QuestionPassed():
                return "passed"
            case QuestionReopened():
                return "reopened"
            case TakenBack():
                return "taken back"
            case RoundPlanned():
                return "round planned"
            case AnswerStored():
                return self._classify_answer(event)
            case RoundOver():
                return "round over"
            case ModelStands():
                return "model stands"

    @abstractmethod
    def _classify_tick(self, at: float) -> str:
        """What is due; "tick" is nothing."""

    def _classify_selection(self, event: SelectionMade) -> str:
        found = any(event.view.keys[row] in self.pool for row in event.selection.rows)
        return "selection" if found else "empty selection"

    def _classify_stored(self, _: QuestionsStored) -> str:
        return "questions stored"

    def _classify_answer(self, event: AnswerStored) -> str:
        action = event.event.action
        if event.status not in ("stored", "late"):
            return "no effect"
        return "skip" if action in PASSES else "undo" if action == "undo" else "answer"

    def _readiness(self, at: float) -> str:
        """Whether there is enough to choose from, and why; "tick": not yet."""
        askable = self._askable(at)
        if not askable:
            if len(self.pool):
                return "all cooling"
            return "starved" if self._is_starved(at) else "tick"
        if self.pool.scored() >= self.rules.pool_size or self._has_no_place():
            return "pool full"
        if self._nobody_scores(at) and len(self.pool) >= self.rules.pool_size:
            return "evaluator away, pool full"
        if self.here.sources_ended and not self.intake.waiting:
            return "sources ended"
        return "sources silent" if self._is_silent(at) else "tick"

    def _has_no_place(self) -> bool:
        """Samples that nobody scored stay until the next refresh, and what comes meanwhile goes in their place."""
        return len(self.pool) >= self.pool.capacity

    def _is_starved(self, at: float) -> bool:
        return self.here.any_source and self._is_silent(at) and at >= self._starved_at

    def _is_unscored(self, at: float) -> bool:
        """Candidates wait for scores that nobody gives."""
        return bool(self.intake.waiting) and self._nobody_scores(at)

    def _is_known(self, key: str) -> bool:
        return key in self.labeled or self._asks(key)

    def _askable(self, at: float) -> int:
        cooling = sum(1 for key, until in self._cooling.items() if until > at and key in self.pool)
        return len(self.pool) - cooling

    def _nobody_scores(self, at: float) -> bool:
        return self.here.evaluator_away_for(at) >= self.rules.refresh_timeout_s

    def _is_silent(self, at: float) -> bool:
        return at >= self.intake.last_new_at + self.rules.source_timeout_s

    # --- who is here

    def _source_here(self, event: SourceHere) -> list[Command]:
        """Its silence counts from now: what it needs to start is not silence."""
        self.here.source(event.session)
        self.intake.last_new_at = max(self.intake.last_new_at, event.at)
        return []

    def _source_gone(self, event: SourceGone) -> list[Command]:
        if event.ended:
            self.here.source_ended(event.session)
        else:
            self.here.source_left(event.session)
        return []

    def _labeler_here(self, event: LabelerHere) -> list[Command]:
        self.here.labelers.add(event.name)
        return []

    def _labeler_away(self, event: LabelerHere) -> list[Command]:
        self.here.labelers.discard(event.name)
        return []

    def _count_annotators(self, event: AnnotatorsHere) -> list[Command]:
        self.here.annotators, self.here.had = event.number, event.had
        return []

    def _evaluator_moved(self, event: EvaluatorHere) -> list[Command]:
        self.here.evaluator(event.here, event.at)
        return []

    # --- candidates and scores

    def _hear_candidates(self, event: CandidatesHeard) -> list[Command]:
        self.here.source(event.session)
        return self.intake.hear(event)

    def _hear_scores(self, event: ScoresHeard) -> list[Command]:
        return self.intake.score(event)

    def _count_stray(self, _: ScoresHeard) -> list[Command]:
        self.intake.stray()
        return []

    def _hear_refusal(self, event: ScoresRefused) -> list[Command]:
        return self.intake.refuse(event)

    def _take_unscored(self, event: Tick) -> list[Command]:
        return self.intake.take_unscored(event.at)

    # --- asking

    def _question(self, event: SelectionMade, row: int, sample: PoolSample, away: bool) -> AskedQuestion:
        question_id = f"{derived_seed(self._name, self.selections, row):016x}"
        stale = away or sample.model_version != self.model_version
        asked_in, there = self._next_round(), len(self.pool)
        return question_of(event, row, sample, id=question_id, round=asked_in, pool=there, stale=stale)

    def _next_round(self) -> int:
        """The first that may train on what is asked now."""
        return self.round + 1

    def _diversify(self, event: Tick) -> list[Command]:
        self._starved_at = event.at + self.rules.source_timeout_s
        return [Diversify(), Note("warning", "the sources propose nothing that is not known")]

    def _wait(self, _: Event) -> list[Command]:
        return []
