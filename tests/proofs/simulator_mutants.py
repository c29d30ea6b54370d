"""Machines and shells with a mistake put into them: each must be found out by the simulator. Knows what to break and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from active_learner.core import asking_events, schedule
from active_learner.core.answering import Answering
from active_learner.core.asking import AskingMachine
from active_learner.core.evaluation import EvaluationMachine
from active_learner.core.pool import Pool
from active_learner.core.schedule import place_of
from active_learner.core.stages import Stages
from active_learner.core.training import TrainingMachine
from active_learner.core.training_events import SendForward
from active_learner.services.asking_shell import AskingShell
from active_learner.services.label_book import LabelBook, Outcome
from active_learner.simulator import drills
from active_learner.simulator.answers import DiskAnswers
from active_learner.simulator.engine import HashBackend
from active_learner.simulator.store import SimulatedStore
from active_learner.stores import rules
from active_learner.stores.base import Stored
from active_learner.stores.ledger import Began, Ledger
from active_learner.strategies.uncertainty import LeastConfidence

Change = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Gets the original, returns what stands in its place."""


def always(value: Any) -> Change:
    return lambda original: lambda *_, **__: value


def _no_commit(original: Callable[..., Any]) -> Callable[..., Any]:
    def record(book: Any, answer: Any) -> Outcome:
        question = book._store.question(answer.question)
        return original(book, answer) if question is None else Outcome("stored", "", None, False, None)

    return record


def _counts_repeats(original: Callable[..., Any]) -> Callable[..., Any]:
    def repeat(machine: Any, event: Any) -> Any:
        machine.applied += 1
        return original(machine, event)

    return repeat


def _takes_lower_term(original: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(machine: Any, event: Any) -> Any:
        machine.term = event.message.term
        return machine.handle(event)

    return refuse


def _wrong_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    def forward(machine: Any, plan: Any, at: float) -> Any:
        said = original(machine, plan, at)
        return [SendForward(place_of(plan, plan.last_step)) if isinstance(one, SendForward) else one for one in said]

    return forward


def _skips_a_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    def again(machine: Any, event: Any) -> Any:
        place = machine.place
        if machine.phase == "predicting" and place is not None and place.step < place.plan.last_step:
            machine.place = place_of(place.plan, place.step + 1)
        return original(machine, event)

    return again


def _sends_unstored(original: Callable[..., Any]) -> Callable[..., Any]:
    def store(shell: Any, command: Any) -> None:
        ids = tuple(question.id for question in command.questions)
        shell.handle(asking_events.QuestionsStored(ids, 0.0))
        original(shell, command)

    return store


def _undo_into_the_pool(original: Callable[..., Any]) -> Callable[..., Any]:
    def undo(machine: Any, event: Any) -> Any:
        said = original(machine, event)
        if event.features is not None and not event.labeled:
            machine.pool.add(event.event.key, event.features)
        return said

    return undo


def _loads_the_snapshot(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(backend: Any, path: Any, run: str) -> int:
        step: int = original(backend, path, run)
        backend.weights = bytes(reversed(backend.weights))
        return step

    return load


def _same_term_again(original: Callable[..., Any]) -> Callable[..., Any]:
    def begin(store: Any) -> int:
        term = store._state().term or 1
        store._keep(Began(term))
        return term

    return begin


def _label_of_another(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda book, template: original(
        book, lambda keys, values, asked: replace(template(keys, values, asked), values=tuple(reversed(values)))
    )


MUTANTS: dict[str, list[tuple[Any, str, Change]]] = {
    "every answer is stored, also a second time": [(Ledger, "judge", always(Stored.STORED))],
    "acknowledged before the commit": [(LabelBook, "_record", _no_commit)],
    "sent before the commit": [(AskingShell, "_store_questions", _sends_unstored)],
    "any number is a label": [
        (LabelBook, "_objection", always("")),
        (rules, "check_event", always(None)),
    ],
    "asks the most certain": [(LeastConfidence, "uncertainty", lambda _: lambda self, rows: rows.max(axis=1))],
    "what is asked stays in the pool": [(Pool, "remove", always([]))],
    "an undone answer is always in the pool": [(AskingMachine, "_hear_undo", _undo_into_the_pool)],
    "the pool is never emptied": [(Pool, "evict", always(0))],
    "a repeated batch counts as a step": [(EvaluationMachine, "_repeat_forward", _counts_repeats)],
    "a lower term is obeyed": [(EvaluationMachine, "_refuse_term", _takes_lower_term)],
    "the last batch first": [(TrainingMachine, "_forward", _wrong_batch)],
    "a batch is skipped when it is said again": [(TrainingMachine, "_say_again", _skips_a_batch)],
    "a row twice in an epoch": [(schedule, "epoch_order", lambda _: lambda seed, round, epoch, rows: [0] * rows)],
    "a plan of other labels": [(LabelBook, "_make_plan", _label_of_another)],
    "plans are forgotten by a restart": [(SimulatedStore, "plans", always([]))],
    "a term is used again": [(SimulatedStore, "next_term", _same_term_again)],
    "weights of a checkpoint are mixed up": [(HashBackend, "load", _loads_the_snapshot)],
    "the outbox is forgotten by a restart": [(DiskAnswers, "all", always([]))],
    "answers are sent once": [(Answering, "_send_due", always([])), (Answering, "_send_all", always([]))],
    "questions about positions without end": [(Stages, "may_ask", always(True))],
}
"""What is wrong in words -> what is replaced."""

PROVOKED: dict[str, Callable[..., None]] = {
    "any number is a label": drills.be_clumsy,
    "an undone answer is always in the pool": drills.waver,
    "the outbox is forgotten by a restart": drills.die_unheard,
    "a batch is skipped when it is said again": drills.stutter,
    "a lower term is obeyed": drills.echo_to_the_next,
    "questions about positions without end": drills.double_all,
}
"""Those that few runs bring to light, and what their drills do or begin with."""


def seeds_for(name: str, first: int, most: int) -> list[int]:
    """So many that may find a mutant out, from `first` on."""
    wanted = PROVOKED.get(name)
    seeds = range(first, first + 2 * most * len(drills.DRILLS))
    return [seed for seed in seeds if wanted is None or _provokes(seed, wanted)][:most]


def _provokes(seed: int, wanted: Callable[..., None]) -> bool:
    drill = drills.drill_of(seed)
    return drill is not None and wanted in (drill.act, drill.begin)


@contextmanager
def mutated(name: str) -> Iterator[None]:
    changes = MUTANTS[name]
    before = [(place, attribute, place.__dict__.get(attribute, MISSING)) for place, attribute, _ in changes]
    schedule._epoch_batches.cache_clear()
    try:
        for place, attribute, change in changes:
            setattr(place, attribute, change(getattr(place, attribute)))
        yield
    finally:
        for place, attribute, original in before:
            if original is MISSING:
                delattr(place, attribute)
            else:
                setattr(place, attribute, original)
        schedule._epoch_batches.cache_clear()


MISSING = object()
