"""Which machine decides what is asked, by the configuration, and what it knows when a trainer starts. Knows both; decides nothing."""

from __future__ import annotations

import numpy as np

from active_learner.config.schema import Config
from active_learner.core.asking import AskingMachine
from active_learner.core.asking_base import AskingBase
from active_learner.core.asking_events import AskingRules
from active_learner.core.leasing import Leasing
from active_learner.core.pool import Pool
from active_learner.core.queueing import QueueMachine
from active_learner.core.words import Enough
from active_learner.services.goals import Goals
from active_learner.services.label_book import History


def asking_machine(config: Config, goals: Goals, pool: Pool, history: History, name: str, at: float) -> AskingBase:
    """`name`: of this trainer, before the numbers of its questions."""
    rules = asking_rules(config, goals)
    if config.trainer.round_when == "batch":
        return _by_batch(rules, pool, history, name, at)
    return _by_queue(rules, pool, history, name, at)


def leasing_machine(config: Config, history: History) -> Leasing:
    return Leasing(enough(config), config.trainer.lease_s, open_questions=history.open_questions, said=history.said)


def enough(config: Config) -> Enough:
    return Enough(config.trainer.labels_per_item, config.trainer.adjudicate)


def _by_batch(rules: AskingRules, pool: Pool, history: History, name: str, at: float) -> AskingMachine:
    return AskingMachine(
        rules,
        pool,
        name=name,
        at=at,
        labeled=history.labeled,
        open_questions=history.open_questions,
        round=history.plans[-1][0].round if history.plans else 0,
        model_version=history.plans[-1][0].last_step if history.plans else 0,
        holding=_is_unfinished(history) or (history.untrained and not history.open_questions),
        untrained=history.untrained and not _is_unfinished(history),
    )


def _by_queue(rules: AskingRules, pool: Pool, history: History, name: str, at: float) -> QueueMachine:
    """Labels that were there before any plan are trained first of all; by time, how long the last plan was ago is not known."""
    restore_given_up(pool, history)
    rounds = [plan.round for plan, result in history.plans if result is not None]
    return QueueMachine(
        rules,
        pool,
        name=name,
        at=at,
        labeled=history.labeled,
        open_questions=history.open_questions,
        round=rounds[-1] if rounds else 0,
        model_version=history.plans[-1][0].last_step if history.plans else 0,
        changes=history.changes,
        under_way=_is_unfinished(history),
        due=rules.round_labels is None or _is_untouched(history),
    )


def _is_unfinished(history: History) -> bool:
    return bool(history.plans) and history.plans[-1][1] is None


def _is_untouched(history: History) -> bool:
    """Nobody was asked anything yet."""
    return not history.plans and not history.open_questions and not history.given_up


def restore_given_up(pool: Pool, history: History) -> None:
    """What was taken back since the pool was kept is in neither. Nothing that was asked is lost."""
    asked = {question.key for question in history.open_questions}
    for question in history.given_up:
        if question.key not in asked and pool.add(question.key, question.features) and question.probabilities:
            pool.score(question.key, np.array(question.probabilities, np.float32), question.model_version)
    pool.evict()


def asking_rules(config: Config, goals: Goals) -> AskingRules:
    trainer = config.trainer
    return AskingRules(
        pool_size=trainer.pool_size,
        query_size=trainer.query_size,
        initial_labels=trainer.initial_labels,
        clear_pool=trainer.pool_after_round == "clear",
        label_timeout_s=trainer.label_timeout_s,
        skip_cooldown_s=trainer.skip_cooldown_s,
        source_timeout_s=trainer.source_timeout_s,
        refresh_timeout_s=trainer.refresh_timeout_s,
        label_budget=goals.labels,
        queue_size=trainer.queue_size,
        round_labels=trainer.round_labels if trainer.round_when == "labels" else None,
        round_s=trainer.round_s,
    )
