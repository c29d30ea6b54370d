"""Stands beside every machine: each event, what it was called, and now and then a copy that is told the same twice. Knows
machines; not what must hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from active_learner.core import answering_events, evaluation_events, session_events, training_events
from active_learner.core.asking_events import CandidatesHeard, ScoresHeard, SelectionMade
from active_learner.core.machine import Machine
from active_learner.core.training_events import GradientReady
from active_learner.simulator.fingerprint import fingerprint

SAMPLED = 0.004
"""Share of the messages that are handled twice on a copy: each costs a millisecond."""
SAMPLED_REJECTED = 0.02

MESSAGES = frozenset(
    (
        evaluation_events.Heard,
        session_events.Heard,
        answering_events.QuestionArrived,
        answering_events.QuestionGone,
        answering_events.ReceiptArrived,
        training_events.PredictionHeard,
        training_events.AppliedHeard,
        training_events.PromotedHeard,
        CandidatesHeard,
        ScoresHeard,
    )
)
"""Events that are a message of somebody else. POSITION is not among them: one that does not fit makes the trainer ask, and the
same one again is then an answer, though an old one; what comes of that is the next misfit, not the same state."""

OF_NUMBERS = {SelectionMade: "selected", GradientReady: "numbers", ScoresHeard: "numbers"}

REJECTED = frozenset(
    {
        ("EvaluationMachine", "not for us"),
        ("EvaluationMachine", "not theirs to say"),
        ("EvaluationMachine", "stale term"),
        ("EvaluationMachine", "wrong run"),
        ("EvaluationMachine", "repeat at work"),
        ("EvaluationMachine", "misfit"),
        ("EvaluationMachine", "restore impossible"),
        ("TrainingMachine", "stale"),
        ("ScoringMachine", "not for us"),
        ("ScoringMachine", "known"),
        ("AskingMachine", "stray scores"),
        ("AskingMachine", "no effect"),
        ("Answering", "receipt_other"),
        ("Answering", "question_again"),
        ("Answering", "closed_other"),
        ("Proposing", "odd receipt"),
        ("Proposing", "repeated receipt"),
        ("Proposing", "odd scores"),
        ("Proposing", "scores of others"),
        ("Session", "stale"),
    }
)
"""Rows of what is not heeded."""


@dataclass(slots=True)
class Handled:
    """One event of one machine, after it."""

    machine: Machine[Any, Any]
    event: Any
    name: str
    phases: frozenset[str]
    twin: Any = None
    """A copy that was told once what its original was told."""
    twin_again: Any = None
    """A copy that was told twice."""
    rejected_before: Any = None
    """State before an event that is not heeded."""


@cache
def phases_of(kind: type[Machine[Any, Any]]) -> frozenset[str]:
    """Those that rows are for, and those that the machine can only rest in."""
    named = {phase for phase, _ in kind.TABLE} - {"*"}
    return frozenset(named | EVERYWHERE.get(kind.__name__, frozenset()))


EVERYWHERE: dict[str, frozenset[str]] = {}
"""Phases of a machine that have only rows which hold in every phase."""


class Witness:
    def __init__(self, random: Random, report: Callable[[str, Handled], None]) -> None:
        self._random, self._report = random, report

    def handle(self, original: Callable[[Any, Any], list[Any]], machine: Machine[Any, Any], event: Any) -> list[Any]:
        kind = type(machine)
        handled = Handled(machine, event, kind.__name__, phases_of(kind))
        if type(event) in MESSAGES:
            self._copy(original, handled)
        commands = original(machine, event)
        self._report("handled", handled)
        moment = OF_NUMBERS.get(type(event))
        if moment is not None:
            self._report(moment, handled)
        if handled.twin is not None:
            self._report("copied", handled)
        elif handled.rejected_before is not None:
            self._report("rejected", handled)
        return commands

    def _copy(self, original: Callable[[Any, Any], list[Any]], handled: Handled) -> None:
        chance = self._random.random()
        if chance < SAMPLED:
            observe, Machine.observe = Machine.observe, None
            chances = Chances()
            try:
                handled.twin, handled.twin_again = deepcopy(handled.machine), deepcopy(handled.machine)
                for twin, times in ((handled.twin, 1), (handled.twin_again, 2)):
                    for _ in range(times):
                        chances.restore()
                        original(twin, handled.event)
            finally:
                chances.restore()
                Machine.observe = observe
        elif chance < SAMPLED + SAMPLED_REJECTED and _is_rejected(handled):
            handled.rejected_before = fingerprint(handled.machine)


class Chances:
    """The generator of the process that runs, as it stands now: copies must not draw what is their original's."""

    def __init__(self) -> None:
        self._random = getattr(asyncio.get_running_loop(), "random", None)
        self._state = self._random.getstate() if self._random is not None else None

    def restore(self) -> None:
        if self._random is not None:
            self._random.setstate(self._state)


def _is_rejected(handled: Handled) -> bool:
    return (handled.name, handled.machine.classify(handled.event)) in REJECTED
