"""The asking machine that never stops: a queue of open questions, filled ahead and chosen anew by each new model, while rounds
come and go beside it. Knows the pool, what is labeled, when a round is due; not who holds a question, the strategy or clocks.

Phases: collecting (until there is enough to choose from), asking, selecting, storing, taking back. Decisions are rows of Tick.
New questions are in the store before old ones are taken back, so that at no moment there is nothing to ask.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import ClassVar

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
    QuestionResolved,
    QuestionsStored,
    RoundOver,
    RoundPlanned,
    SavePool,
    Select,
    SelectionMade,
    StoreQuestions,
    TakeBack,
    TakenBack,
    Tick,
    WantRound,
)
from active_learner.core.open_queue import OpenQueue
from active_learner.core.pool import Pool, PoolSample
from active_learner.core.records import RERANKED, AskedQuestion
from active_learner.core.rounds import Rounds

SAVE_POOL_S = 30.0
"""Least time between two savings of the pool: one of 10,000 samples is megabytes, and answers wait behind it."""

ANEW_S = 1.0
"""Least time between two choices of the whole queue: when a round takes milliseconds, nobody gains by more."""

EACH = 6
"""Open questions for each person at least, whatever `queue_size` is: three are held, and as many are there when these are answered."""

MOST_AHEAD = 500
"""Open questions that one person may have had while others have not; who is further ahead waits for them."""

FILL_SHARE = 4
"""The queue is filled up when a fourth of it is missing: each filling is a commit, and answers wait behind it."""


class QueueMachine(AskingBase):
    """`open_questions` of an earlier trainer. `changes`: labels that the last plan had not, or otherwise. `under_way`: a round is;
    `due`: one was due in an earlier trainer."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {
        **AskingBase.SHARED,
        ("*", "model stands"): "_model_stands",
        ("*", "round planned"): "_round_planned",
        ("*", "round over"): "_round_over",
        ("*", "round due"): "_want_round",
        ("*", "twins"): "_close_twins",
        ("*", "resolved"): "_resolve",
        ("*", "passed"): "_give_up",
        ("*", "reopened"): "_wait",
        ("collecting", "pool full"): "_select",
        ("collecting", "sources ended"): "_select",
        ("collecting", "sources silent"): "_select",
        ("collecting", "evaluator away, pool full"): "_select",
        ("collecting", "all cooling"): "_tell_cooling",
        ("collecting", "starved"): "_diversify",
        ("asking", "room"): "_select",
        ("asking", "all cooling"): "_tell_cooling",
        ("asking", "starved"): "_diversify",
        ("asking", "rescored"): "_choose_anew",
        ("asking", "scores late"): "_choose_by_older",
        ("selecting", "selection"): "_store_questions",
        ("selecting", "empty selection"): "_ask",
        ("storing", "questions stored"): "_open",
        ("storing", "chosen stored"): "_take_back",
        ("taking back", "taken back"): "_open_chosen",
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
        changes: int = 0,
        under_way: bool = False,
        due: bool = False,
    ) -> None:
        """`round`: the last one that is over."""
        self.queue = OpenQueue(pool.classes)
        self._twins = self.queue.add(open_questions)
        super().__init__(
            "asking" if open_questions else "collecting",
            rules,
            pool,
            name=name,
            at=at,
            labeled=labeled,
            round=round,
            model_version=model_version,
            beside=self.queue.samples,
        )
        self.rounds = Rounds(rules.round_labels, rules.round_s, at, changes=changes, under_way=under_way, due=due)
        self._has_begun = bool(open_questions)
        self._chosen: tuple[AskedQuestion, ...] = ()
        self._is_anew = self._is_behind = False
        self._anew_by, self._anew_from = float("inf"), at
        self._save_at = self._tell_at = at

    def unanswered(self) -> tuple[AskedQuestion, ...]:
        return self.queue.questions()

    def _asks(self, key: str) -> bool:
        return self.queue.asks(key)

    # --- what is due

    def _classify_tick(self, at: float) -> str:
        if self._twins:
            return "twins"
        asking = "tick"
        if self.phase == "collecting":
            asking = self._readiness(at) if self._room() > 0 else "tick"
        elif self.phase == "asking":
            asking = self._classify_asking(at)
        if asking == "tick" and self.rounds.is_due(at, self._is_last(at)):
            return "round due"
        return asking

    def _readiness(self, at: float) -> str:
        """That all are cooling is told once, not at every look at the clock."""
        ready = super()._readiness(at)
        return "tick" if ready == "all cooling" and at < self._tell_at else ready

    def _classify_asking(self, at: float) -> str:
        askable = self._room() >= max(1, min(self._size(), self._left()) // FILL_SHARE) and self._askable(at) > 0
        if askable and not len(self.queue):
            return "room"
        if self._anew_by < float("inf") and not self.intake.refreshing and at >= self._anew_from:
            return "rescored"
        if at >= self._anew_by:
            return "scores late"
        if askable:
            return "room"
        return "tick" if len(self.queue) or not self._room() else self._classify_dry(at)

    def _classify_dry(self, at: float) -> str:
        """Nothing is open, and nothing can be asked now."""
        if len(self.pool):
            return "all cooling" if at >= self._tell_at else "tick"
        return "starved" if self._is_starved(at) else "tick"

    def _classify_selection(self, event: SelectionMade) -> str:
        keys = (event.view.keys[row] for row in event.selection.rows)
        return "selection" if any(self._sample(key) is not None for key in keys) else "empty selection"

    def _classify_stored(self, event: QuestionsStored) -> str:
        return "chosen stored" if self._is_anew else "questions stored"

    def _size(self) -> int:
        """Questions that are there for whoever has had fewest of those that are open."""
        return max(self.rules.queue_size, EACH * self.here.annotators)

    def _most(self) -> int:
        """Questions that may be open: who is ahead of the others waits for nobody."""
        return self._size() + min(MOST_AHEAD, self.here.had)

    def _left(self) -> int:
        """Samples that may still be labelled."""
        budget = self.rules.label_budget
        return sys.maxsize if budget is None else max(0, budget - len(self.labeled))

    def _room(self) -> int:
        """The budget of labels has no room for more without a label."""
        return min(self._most() - len(self.queue), self._left() - len(self.queue) + len(self._answered()))

    def _answered(self) -> set[str]:
        """Samples with a label whose questions are open for others."""
        return {question.key for question in self.queue.questions() if question.key in self.labeled}

    def _is_last(self, at: float) -> bool:
        """Nothing is open, and nothing will be asked unless somebody proposes more."""
        if len(self.queue) or self.phase not in ("collecting", "asking"):
            return False
        over = (self.here.sources_ended and not self.intake.waiting) or self._is_silent(at)
        return self._left() <= 0 or (not self._askable(at) and over)

    # --- choosing

    def _sample(self, key: str) -> PoolSample | None:
        return self.pool.get(key) or self.queue.samples.get(key)

    def _select(self, event: Tick) -> list[Command]:
        """As many as are missing: at random until there are the initial labels."""
        self._has_begun = True
        initial = self.rules.initial_labels - len(self.labeled) - len(self.queue)
        strategy, count = (RANDOM, min(initial, self._room())) if initial > 0 else ("", self._room())
        return [self._choice(event.at, count, strategy)]

    def _choose_anew(self, event: Tick) -> list[Command]:
        """What is open and what is in the pool compete for all places; what is held will keep its place."""
        self._anew_by, self._anew_from = float("inf"), event.at + ANEW_S
        rescoring = self._rescore(event.at) if self._is_behind else []
        if not self._left() or len(self.labeled) < self.rules.initial_labels:
            return rescoring
        self._is_anew = True
        return [self._choice(event.at, min(self._size(), self._left()), "", self.queue.samples), *rescoring]

    def _choose_by_older(self, event: Tick) -> list[Command]:
        self.intake.abandon_refresh()
        note = Note("warning", "scores of the new model are missing: asking by those there are")
        return [note, *self._choose_anew(event)]

    def _choice(self, at: float, count: int, strategy: str, beside: Pool | None = None) -> Select:
        self.phase = "selecting"
        self.selections += 1
        self._cooling = {key: until for key, until in self._cooling.items() if until > at}
        return Select(
            self.pool.view(without=self._cooling.keys() | self._answered(), beside=beside),
            count,
            strategy,
            self.selections,
        )

    def _store_questions(self, event: SelectionMade) -> list[Command]:
        self.phase = "storing"
        self._chosen = self._questions(event)
        if not self._is_anew:
            self.pool.remove([question.key for question in self._chosen])
            self.queue.add(self._chosen)
        return [StoreQuestions(self._chosen)]

    def _questions(self, event: SelectionMade) -> tuple[AskedQuestion, ...]:
        away, found = self._nobody_scores(event.at), []
        for row, place in enumerate(event.selection.rows):
            sample = self._sample(event.view.keys[place])
            if sample is not None:
                found.append(self._question(event, row, sample, away))
        return tuple(found)

    def _next_round(self) -> int:
        """The plan of a round that is under way is made, or as good as made."""
        return self.round + 1 + self.rounds.under_way

    def _open(self, event: QuestionsStored) -> list[Command]:
        self._ask(event)
        return [OpenQuestions(self._chosen), *self._save_pool(event.at)]

    def _take_back(self, event: QuestionsStored) -> list[Command]:
        if not len(self.queue):
            return self._open_chosen(TakenBack((), event.at))
        self.phase = "taking back"
        return [TakeBack(self.queue.ids)]

    def _open_chosen(self, event: TakenBack) -> list[Command]:
        """In the places that came free; of the rest, and of what is open still or labeled meanwhile, nobody has heard."""
        self._ask(event)
        for question in event.ids:
            self._return(question)
        fit = [one for one in self._chosen if self._is_free(one.key)]
        opened = tuple(fit[: max(0, self._room())])
        self.pool.remove([question.key for question in opened])
        self.queue.add(opened)
        self.pool.evict()
        left = tuple(question.id for question in self._chosen if question.id not in self.queue)
        closing = [CloseQuestions(left, RERANKED)] if left else []
        return [*([OpenQuestions(opened)] if opened else []), *closing, *self._save_pool(event.at)]

    def _is_free(self, key: str) -> bool:
        return not self._is_known(key) and key not in self._cooling

    def _ask(self, _: Event) -> list[Command]:
        self.phase = "asking" if self._has_begun else "collecting"
        self._is_anew = False
        return []

    def _save_pool(self, at: float) -> list[Command]:
        if at < self._save_at:
            return []
        self._save_at = at + SAVE_POOL_S
        return [SavePool()]

    # --- labels

    def _hear_answer(self, event: AnswerStored) -> list[Command]:
        self.labeled.add(event.event.key)
        self.pool.remove([event.event.key])
        self.rounds.changed()
        return []

    def _hear_undo(self, event: AnswerStored) -> list[Command]:
        """Its labeler asks it again; should it not, others are asked after a while."""
        key = event.event.key
        self.rounds.changed()
        if event.labeled:
            return []
        self.labeled.discard(key)
        if event.features is not None and not self.queue.asks(key) and self.pool.add(key, event.features):
            self._cooling[key] = event.at + self.rules.skip_cooldown_s
            self.pool.evict()
        return []

    def _hear_skip(self, _: AnswerStored) -> list[Command]:
        return []

    def _resolve(self, event: QuestionResolved) -> list[Command]:
        self.queue.remove(event.id)
        return []

    def _give_up(self, event: QuestionPassed) -> list[Command]:
        """Nobody who is here can say: it is asked again later, if at all."""
        key = self._return(event.id)
        if not key:
            return []
        self._cooling[key] = event.at + self.rules.skip_cooldown_s
        self.pool.evict()
        return [CloseQuestions((event.id,), "skipped")]

    def _return(self, id: str) -> str:
        """An open question's sample to the pool, unless it has a label; its key, or "" when it is not open."""
        sample = self.queue.remove(id)
        if sample is None:
            return ""
        is_new = sample.key not in self.labeled and self.pool.add(sample.key, sample.features)
        if is_new and sample.probabilities is not None:
            self.pool.score(sample.key, sample.probabilities, sample.model_version)
        return sample.key

    def _close_twins(self, _: Tick) -> list[Command]:
        """A trainer that died while it chose anew left two questions about one sample: the older one may be held."""
        twins, self._twins = self._twins, ()
        return [CloseQuestions(twins, RERANKED)]

    def _tell_cooling(self, event: Tick) -> list[Command]:
        self._tell_at = event.at + self.rules.skip_cooldown_s
        return [Note("info", "every sample of the pool was skipped: waiting before asking again")]

    # --- rounds

    def _want_round(self, _: Tick) -> list[Command]:
        self.rounds.want()
        return [WantRound()]

    def _round_planned(self, event: RoundPlanned) -> list[Command]:
        self.rounds.planned(event.at)
        return []

    def _round_over(self, event: RoundOver) -> list[Command]:
        self.rounds.over(trained=event.round is not None)
        if event.round is not None:
            self.round = event.round
        if self.rules.clear_pool:
            self.pool.clear()
            self._has_begun = False
            self.phase = "collecting" if self.phase == "asking" else self.phase
        return self._model_stands(event)

    def _model_stands(self, event: ModelStands | RoundOver) -> list[Command]:
        """Its scores are asked for when those under way are in: when models come faster than scores, the latter still come."""
        is_new = event.model_version != self.model_version
        self.model_version = event.model_version
        if self.intake.refreshing:
            self._is_behind = True
            return []
        rescoring = self._rescore(event.at)
        if is_new:
            self._anew_by = event.at + self.rules.refresh_timeout_s
        return rescoring

    def _rescore(self, at: float) -> list[Command]:
        self._is_behind = False
        refreshes = self.intake.refresh(self.model_version)
        if refreshes:
            self._anew_by = at + self.rules.refresh_timeout_s
        return list(refreshes)
