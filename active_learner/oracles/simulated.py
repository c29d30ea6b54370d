"""The simulated annotator: answers by a data set's true labels or by a rule, with delay, noise, skips and absence.

Knows the labels from its own copy of the data, found by the sample's content; nothing reaches it but questions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from active_learner import imports
from active_learner.core.records import Features, SampleSpec, canonical, content_key
from active_learner.core.seeds import derived_seed
from active_learner.errors import ConfigError
from active_learner.oracles.base import Oracle, Reply
from protocol.messages import Action, Question

log = logging.getLogger(__name__)

Rule = Callable[[Features], "int | None"]
"""One canonical sample (*shape) -> its label; None: it does not know."""


class SimulatedOracle(Oracle):
    """Answers after `delay_s`; leaves after `away_after` answers. What it does with a question depends on the seed and the
    question's id alone, not on the order of questions."""

    def __init__(
        self,
        *,
        spec: SampleSpec,
        base: Path,
        seed: int,
        answers: str = "dataset",
        path: str | None = None,
        delay_s: float = 0.0,
        noise: float = 0.0,
        skip_rate: float = 0.0,
        away_after: int | None = None,
        annotator: str = "simulated",
    ) -> None:
        """Raises: as `load_rule`."""
        self.annotator = annotator
        self._spec, self._seed = spec, seed
        self._rule = load_rule(answers, path, base, spec)
        self._delay_s, self._noise, self._skip_rate = delay_s, noise, skip_rate
        self._left = away_after

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        if self._left == 0:
            return None
        await asyncio.sleep(self._delay_s)
        value = None if self._chance("skip", question) < self._skip_rate else self._value(question)
        if value is None:
            return Reply(question.id, Action.SKIP, None)
        if self._left is not None:
            self._left -= 1
        return Reply(question.id, Action.ANSWER, value)

    def _value(self, question: Question) -> int | None:
        """The label to give, noise included; None: skip, with the reason in the log."""
        try:
            value = self._rule(canonical(question.features, self._spec))
        except Exception as error:  # the rule is the user's: whatever it raises, the run goes on
            log.warning("question %s skipped: %s: %s", question.id, type(error).__name__, error)
            return None
        if value is None:
            log.warning("question %s skipped: its sample is not in this labeler's data", question.id)
            return None
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < question.classes:
            log.warning(
                "question %s skipped: the rule says %r, allowed are 0 to %d", question.id, value, question.classes - 1
            )
            return None
        return self._noisy(int(value), question)

    def _noisy(self, value: int, question: Question) -> int:
        if question.classes < 2 or self._chance("noise", question) >= self._noise:
            return value
        step = 1 + derived_seed("wrong", self._seed, question.id) % (question.classes - 1)
        return (value + step) % question.classes

    def _chance(self, what: str, question: Question) -> float:
        """Uniform in [0, 1), of the seed and the question alone."""
        return derived_seed(what, self._seed, question.id) / 2**63


def load_rule(answers: str, path: str | None, base: Path, spec: SampleSpec) -> Rule:
    """`dataset`, `melody`, or `module:function` of one sample. Raises: ConfigError, BadNetwork (not importable)."""
    if answers == "dataset":
        return true_labels(path, base, spec)
    if answers == "melody":
        return _listener
    if ":" not in answers:
        raise ConfigError([f"labeler.answers: {answers!r} is not dataset, melody or module:function"])
    rule = imports.resolve(answers, base)
    if not callable(rule):
        raise ConfigError([f"labeler.answers: {answers} cannot be called"])
    found: Rule = rule
    return found


def true_labels(path: str | None, base: Path, spec: SampleSpec) -> Rule:
    """The labels of a data set by the content of its samples; of a repeated sample the first counts."""
    if path is None:
        raise ConfigError(["labeler.path: answers from a data set need its path (the source has none to take it from)"])
    from active_learner.datasets.reading import read_dataset

    dataset = read_dataset(path, base)
    labels: dict[str, int] = {}
    for features, values in ((dataset.X_train, dataset.y_train), (dataset.X_test, dataset.y_test)):
        if features is None or values is None:
            continue
        for key, value in zip(_keys(features, spec, dataset.path), values, strict=True):
            labels.setdefault(key, int(value))
    if not labels:
        raise ConfigError([f"labeler.path: {dataset.path} has no labels (y_train or y_test)"])
    return lambda sample: labels.get(content_key(sample))


def _keys(features: Features, spec: SampleSpec, path: Path) -> list[str]:
    if features.shape[1:] != spec.shape:
        raise ConfigError(
            [f"labeler.path: {path} has samples of {features.shape[1:]}, the experiment's are {spec.shape}"]
        )
    try:
        return [content_key(sample) for sample in canonical(features, spec)]
    except ValueError as error:
        raise ConfigError([f"labeler.path: {path} {error}"]) from error


def _listener(sample: Features) -> int:
    from active_learner.melody.listener import rate

    return int(rate(sample[np.newaxis])[0])
