"""What must hold at every moment of a run, whatever fate does: the 21 invariants, each a function that says what is wrong.

Where the design does otherwise than the wording from which an invariant comes, its docstring says what is checked instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from active_learner.core.queueing import EACH, QueueMachine
from active_learner.core.records import LabelEvent, Plan
from active_learner.core.schedule import place_of
from active_learner.core.training_events import GradientReady
from active_learner.core.voting import SILENT
from active_learner.simulator.answers import FILE as ANSWERS
from active_learner.simulator.fingerprint import fingerprint
from active_learner.simulator.people import SPEC
from active_learner.simulator.reference import replayed
from active_learner.simulator.watch import Invariant, Watch
from active_learner.simulator.witness import Handled
from active_learner.stores import rules
from active_learner.stores.base import Stored
from active_learner.stores.ledger import Began, Finished, Planned, Said
from protocol.messages import Answer, AnswerReceipt, Question

INVARIANTS: list[Invariant] = []
Check = Callable[[Watch, Any], str | None]


def holds(number: int, *moments: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        INVARIANTS.extend(Invariant(number, moment, check) for moment in moments)
        return check

    return add


# --- labels -------------------------------------------------------------------------------------------------------


@holds(1, "receipt")
def acknowledged_answers_are_in_the_store_once(watch: Watch, receipt: AnswerReceipt) -> str | None:
    """That the store never shrinks is looked at whenever it grows (watch.py)."""
    if receipt.id in watch.forgotten_answers:
        return None
    if receipt.status in ("stored", "late"):
        count = watch.ids[receipt.id]
        return (
            None if count == 1 else f"answer {receipt.id} has the receipt {receipt.status} and is there {count} times"
        )
    if receipt.status == "duplicate":
        said = watch.said[receipt.id]
        place = (said.question, said.annotator, said.revision)
        return None if place in watch.durable._by_slot else f"{place} is called a duplicate and is not there"
    return None


@holds(2, "entry")
def one_answer_in_each_place(watch: Watch, entry: Any) -> str | None:
    """(question, annotator, revision) is the place. What an answer supersedes stays: events are only ever appended."""
    if isinstance(entry, Said) and rules.slot(entry.event) in watch.durable._by_slot:
        return f"{rules.slot(entry.event)} is taken and was stored again"
    return None


@holds(3, "question")
def questions_are_durable_before_they_are_sent(watch: Watch, question: Question) -> str | None:
    is_known = question.id in watch.durable.questions or question.id in watch.forgotten_questions
    return None if is_known else f"question {question.id} was sent and is not durable"


@holds(3, "entry")
def answers_are_to_questions_that_were_asked(watch: Watch, entry: Any) -> str | None:
    if isinstance(entry, Said) and entry.event.question not in watch.durable.questions:
        return f"answer {entry.event.id} is stored, its question {entry.event.question} was never asked"
    return None


@holds(4, "entry")
def labels_are_classes(watch: Watch, entry: Any) -> str | None:
    if isinstance(entry, Said):
        value = entry.event.value
        silent = entry.event.action in SILENT
        good = value is None if silent else type(value) is int and 0 <= value < SPEC.classes
        return None if good else f"{entry.event.action} with {value!r} is stored"
    if isinstance(entry, Planned) and not all(0 <= value < SPEC.classes for value in entry.plan.values):
        return f"round {entry.plan.round} trains on {entry.plan.values}"
    return None


# --- the pool -----------------------------------------------------------------------------------------------------


@holds(5, "trainer")
def pool_open_questions_and_labels_are_apart(watch: Watch, trainer: Any) -> str | None:
    """An open question may be about a labeled sample: when it lacks another answer, or for the moment in which its label came
    by an earlier question. It gives a second opinion and no second row."""
    asking = trainer._asking.machine
    pool = asking.pool.keys()
    if not pool.isdisjoint(asking.labeled):
        return f"labeled samples in the pool: {sorted(set(pool) & asking.labeled)}"
    asked = [question.key for question in asking.unanswered()]
    if not pool.isdisjoint(asked):
        return f"asked samples in the pool: {sorted(set(pool) & set(asked))}"
    return None


@holds(6, "trainer")
def pool_and_batch_are_bounded(watch: Watch, trainer: Any) -> str | None:
    """Of a queue what this trainer has opened: those of the one before, whose closing may be lost, and those that were taken
    back come to them."""
    asking = trainer._asking.machine
    if len(asking.pool) > asking.pool.capacity:
        return f"{len(asking.pool)} samples in a pool of {asking.pool.capacity}"
    if isinstance(asking, QueueMachine):
        return _queue_is_bounded(watch, asking)
    most = max(asking.rules.query_size, asking.rules.initial_labels)
    opened = len(asking.batch.questions)
    return None if opened <= most else f"{opened} questions are open, {most} may be"


def _queue_is_bounded(watch: Watch, asking: QueueMachine) -> str | None:
    most = max(asking.rules.queue_size, asking.rules.initial_labels, EACH * watch.experiment.draft.labelers)
    if len(asking.queue) <= most:
        return None
    touched = {event.key for event in watch.durable.events}  # what somebody has had takes no place
    fresh = [one for one in asking.unanswered() if one.key not in touched and one.id not in watch.open_at_start]
    opened = len(fresh)
    return None if opened <= most else f"{opened} questions are open, {most} may be"


@holds(6, "broker")
def queues_are_bounded(watch: Watch, broker: Any) -> str | None:
    limit = broker.relay.membership.limits.queue_messages
    longest = max((len(one.messages) for one in broker.relay.backlogs.values()), default=0)
    return None if longest <= limit else f"{longest} messages wait for one peer, {limit} may"


@holds(7, "end")
def questions_come_to_an_end(watch: Watch, world: Any) -> str | None:
    """What leases are for: no question that was open when the faults ended is still open once training has gone on, with
    labelers there."""
    still = [one for one in world.open_at_heal if one not in watch.durable.closed]
    return f"questions {still} stayed open" if still else None


# --- steps --------------------------------------------------------------------------------------------------------


@holds(8, "stage")
def steps_rise_by_one(watch: Watch, process: Any) -> str | None:
    """Within one life of an evaluator. After a restart or a restore it goes on from a checkpoint, and that the same steps are
    done again to the same weights is looked at by the digests (21)."""
    backend = getattr(process.service, "_backend", None)
    start, seen = watch.seen_steps.get(process.seed, (0, 0))
    seen = seen if start == process.starts else 0
    if backend is None or len(backend.history) == seen:
        return None
    for step, before in backend.history[seen:]:
        if step != before + 1:
            return f"{process.name} applied step {step} on step {before}"
        watch.furthest[process.name] = max(watch.furthest[process.name], step)
    watch.seen_steps[process.seed] = (process.starts, len(backend.history))
    return None


@holds(9, "trainer")
def the_trainer_is_never_ahead_of_a_stage(watch: Watch, trainer: Any) -> str | None:
    """A step that the trainer counts as applied was applied by every stage; a stage that died since may stand behind, and is
    asked before anything goes on. That all stand alike at the end is looked at by 21."""
    applied = trainer._training.machine.applied
    behind = {role: step for role, step in watch.furthest.items() if step < applied}
    return f"step {applied} counts as applied, but {behind}" if behind else None


@holds(10, "stage")
def a_kept_graph_is_of_the_next_step(watch: Watch, process: Any) -> str | None:
    """The only gradient that is taken is that of the kept graph: its base is the step that is applied. Another term drops the
    graph."""
    machine = getattr(process.service, "machine", None)
    if machine is None or not machine.held or machine.held == machine.applied + 1:
        return None
    return f"{process.name} keeps the graph of step {machine.held} at step {machine.applied}"


@holds(11, "stage")
def terms_never_fall(watch: Watch, process: Any) -> str | None:
    """Within a life and a run: who has no training of a run may serve another, which counts its own terms."""
    machine = getattr(process.service, "machine", None)
    if machine is None:
        return None
    life = (process.starts, machine.run)
    before, highest = watch.terms.get(process.seed, (life, 0))
    if before == life and machine.term < highest:
        return f"{process.name} went from term {highest} back to {machine.term}"
    watch.terms[process.seed] = (life, machine.term)
    return None if machine.term <= watch.highest_term else f"term {machine.term} was never begun"


@holds(11, "entry")
def terms_rise(watch: Watch, entry: Any) -> str | None:
    if isinstance(entry, Began) and entry.term <= watch.durable.term:
        return f"term {entry.term} begins after term {watch.durable.term}"
    return None


@holds(12, "entry")
def epochs_use_each_row_once(watch: Watch, entry: Any) -> str | None:
    if not isinstance(entry, Planned):
        return None
    plan: Plan = entry.plan
    steps = range(plan.first_step, plan.last_step + 1)
    batches = [place_of(plan, step).rows for step in steps]
    per_epoch = plan.batches_per_epoch
    for epoch in range(plan.epochs):
        rows = [row for batch in batches[epoch * per_epoch : (epoch + 1) * per_epoch] for row in batch]
        if sorted(rows) != list(range(len(plan.rows))):
            return f"epoch {epoch} of round {plan.round} uses {rows} of {len(plan.rows)}"
    return None if all(batches) and len(batches) == plan.epochs * per_epoch else f"round {plan.round} has {batches}"


@holds(13, "entry")
def a_round_trains_on_the_labels_of_its_moment(watch: Watch, entry: Any) -> str | None:
    """And is never changed: a second plan of the same round is refused, and steps come from the plan alone (21)."""
    if not isinstance(entry, Planned):
        return None
    plan: Plan = entry.plan
    if plan.round in watch.durable.plans:
        return f"round {plan.round} is planned a second time"
    last = watch.durable.plans[max(watch.durable.plans)].last_step if watch.durable.plans else 0
    labels = watch.durable.labels()
    there = (tuple(label.key for label in labels), tuple(label.value for label in labels))
    if (plan.rows, plan.values) != there:
        return f"round {plan.round} trains on other labels than there are"
    return None if plan.first_step == last + 1 else f"round {plan.round} begins at step {plan.first_step} after {last}"


@holds(13, "entry")
def results_are_of_planned_rounds(watch: Watch, entry: Any) -> str | None:
    if isinstance(entry, Finished) and entry.result.round not in watch.durable.plans:
        return f"round {entry.result.round} has a result and no plan"
    return None


# --- machines -----------------------------------------------------------------------------------------------------


@holds(14, "handled")
def phases_change_along_the_table(watch: Watch, handled: Handled) -> str | None:
    """What is not in a table raises and ends the process, which is counted as broken; here: the phase is one of the table's.
    That no event leads to rows without end is looked at as they come (watch.py)."""
    return None if handled.machine.phase in handled.phases else f"{handled.name} is {handled.machine.phase}"


@holds(15, "stored")
def the_same_answer_again_is_a_duplicate(watch: Watch, event: LabelEvent) -> str | None:
    verdict = watch.durable.judge(event)
    return None if verdict is Stored.DUPLICATE else f"answer {event.id} again would be {verdict}"


@holds(15, "copied")
def a_message_twice_is_a_message_once(watch: Watch, handled: Handled) -> str | None:
    """On copies, for a sample of all messages to all machines."""
    once, twice = fingerprint(handled.twin), fingerprint(handled.twin_again)
    if once == twice:
        return None
    return f"{handled.name} after {handled.event!r:.200} twice is not as after once: {_difference(once, twice)}"


@holds(16, "recovered")
def what_was_persisted_is_recovered(watch: Watch, trainer: Any) -> str | None:
    """The ledger of a trainer that starts is what an observer added up entry by entry."""
    if fingerprint(trainer._parts.store.ledger) != fingerprint(watch.durable):
        return "the recovered ledger differs from what was made durable"
    machine = trainer._asking.machine
    labeled = {label.key for label in watch.durable.labels()}
    return None if machine.labeled == labeled else "the trainer starts with other labels than the store has"


@holds(16, "trainer")
def the_store_shows_what_is_durable(watch: Watch, trainer: Any) -> str | None:
    store = trainer._parts.store
    ledger = store.ledger
    if ledger is None or not store.is_held:  # another trainer has taken it over, and this one does not know it yet
        return None
    there, kept = _sizes(ledger), _sizes(watch.durable)
    return None if there == kept else f"the store shows {there}, durable are {kept}"


def _sizes(ledger: Any) -> tuple[int, ...]:
    return (
        ledger.term,
        len(ledger.events),
        len(ledger.questions),
        len(ledger.closed),
        len(ledger.plans),
        len(ledger.results),
    )


@holds(17, "selected")
def the_most_uncertain_are_asked(watch: Watch, handled: Handled) -> str | None:
    """Highest 1 - max probability first, ties by key, never scored last."""
    event = handled.event
    if event.strategy != "least_confidence":
        return None
    rows = list(zip(event.view.probabilities, event.view.keys, range(len(event.view.keys)), strict=True))
    ranked = sorted(rows, key=lambda row: (bool(np.isnan(row[0]).any()), _sureness(row[0]), row[1]))
    wanted = [row for _, _, row in ranked[: len(event.selection.rows)]]
    chosen = [int(row) for row in event.selection.rows]
    return None if chosen == wanted else f"rows {chosen} are asked, the most uncertain are {wanted}"


def _sureness(probabilities: Any) -> float:
    return 0.0 if np.isnan(probabilities).any() else float(probabilities.astype(np.float64).max())


@holds(18, "numbers")
def numbers_are_finite(watch: Watch, handled: Handled) -> str | None:
    event = handled.event
    if isinstance(event, GradientReady):
        good = bool(np.isfinite(event.gradient).all() and np.isfinite(event.loss))
    else:
        good = bool(np.isfinite(event.probabilities).all())
    return None if good else f"{type(event).__name__} has a number that is not finite"


@holds(19, "rejected")
def what_is_rejected_changes_nothing(watch: Watch, handled: Handled) -> str | None:
    """But counters. For a sample of the events that a machine does not heed."""
    after = fingerprint(handled.machine)
    if handled.rejected_before == after:
        return None
    return f"{handled.name} is changed by {handled.event!r:.200}: {_difference(handled.rejected_before, after)}"


@holds(20, "end")
def the_run_is_its_seed(watch: Watch, world: Any) -> str | None:
    """Nothing was drawn, read from a clock or waited for outside of the seed: the same seed gives the same list of events.
    `simulate` runs seeds twice for it; here: no time has passed but the heap's."""
    return None if world.time.now <= world.deadline else f"{world.time.now} s is beyond {world.deadline}"


# --- the end ------------------------------------------------------------------------------------------------------


@holds(21, "end")
def every_kept_answer_has_its_receipt(watch: Watch, world: Any) -> str | None:
    """Kept: it was on the labeler's disk, where it outlives its process. One that could not be kept (disk full) and whose
    labeler died with it is lost, and that it was not kept is told to the person at once."""
    kept = [
        record.id
        for process in watch.processes.values()
        for record in process.disk.read(ANSWERS)
        if isinstance(record, Answer)
    ]
    missing = [one for one in kept if one not in watch.acked]
    return f"answers {missing} have no receipt" if missing else None


@holds(21, "end")
def training_reaches_its_target(watch: Watch, world: Any) -> str | None:
    done = len(watch.durable.results)
    return (
        None
        if done >= world.target
        else f"{done} rounds are done after {world.time.now - world.healed_at:g} s, not {world.target}"
    )


@holds(21, "end")
def weights_are_those_of_the_undisturbed_run(watch: Watch, world: Any) -> str | None:
    for number, digest in replayed(watch).items():
        result = watch.durable.results.get(number)
        if result is not None and result.digest != digest:
            return f"round {number} came to {result.digest[:12]}, the undisturbed run to {digest[:12]}"
    return None


def _difference(one: Any, other: Any) -> str:
    """Where two fingerprints part, for a person."""
    while isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        parts = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        if not parts:
            break
        name = next((a for a in one if isinstance(a, str)), "")
        one, other = parts[0]
        if not isinstance(one, tuple):
            return f"{name}: {one!r:.80} and {other!r:.80}"
    return f"{one!r:.120} and {other!r:.120}"
