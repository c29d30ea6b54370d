"""The outside observer of a run: what is durable, what was acknowledged, what every machine was told. It feeds the invariants
at their moments and decides nothing itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from active_learner.core.machine import Machine
from active_learner.simulator.disk import Lines
from active_learner.simulator.experiment import Experiment
from active_learner.simulator.people import SPEC
from active_learner.simulator.processes import Process
from active_learner.simulator.store import FILE
from active_learner.stores.ledger import Entry, Ledger, Said
from protocol.messages import Answer, AnswerReceipt

ROWS_IN_ONE_EVENT = 2000
"""More rows of tables than that in one event are a livelock: the longest chain that is meant is a re-send of 64 messages."""


class Violated(Exception):
    """An invariant does not hold."""

    def __init__(self, number: int, title: str, words: str) -> None:
        super().__init__(f"invariant {number} ({title}): {words}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Invariant:
    """`check` returns what is wrong, or None; it is called at its `moment` with that moment's subject."""

    number: int
    moment: str
    check: Callable[[Watch, Any], str | None]

    @property
    def title(self) -> str:
        return self.check.__name__.replace("_", " ")


class Watch:
    """Moments: an `entry` became durable; a person was shown a `receipt`; a `question` reached a labeler; an event of a
    `trainer`, `stage` or `broker` is over; a machine has `handled` an event, one of `numbers`, with which it has `selected`, which is `copied` or
    `rejected`; the trainer has `recovered`; the `end`."""

    def __init__(self, experiment: Experiment, processes: dict[str, Process], invariants: list[Invariant]) -> None:
        self.experiment, self.processes = experiment, processes
        self.roles = experiment.roles
        self._by_moment: dict[str, list[Invariant]] = {}
        for one in invariants:
            self._by_moment.setdefault(one.moment, []).append(one)
        self.moments: Counter[str] = Counter()
        self.durable = Ledger(SPEC)
        self.entries = 0
        self._last: Entry | None = None
        self.ids: Counter[str] = Counter()
        """Of the label events that are durable."""
        self.said: dict[str, Answer] = {}
        """Answers that labelers sent, by id."""
        self.acked: dict[str, str] = {}
        """Their final receipts."""
        self.furthest: dict[str, int] = dict.fromkeys(self.roles, 0)
        """The highest step that each stage ever applied."""
        self.seen_steps: dict[str, tuple[int, int]] = {}
        """Of each process of a stage: which start it was, and how many of its steps were looked at."""
        self.terms: dict[str, tuple[tuple[int, str], int]] = {}
        """Of each process of a stage: which start it was, of which run it is, and its highest term there."""
        self.highest_term = 0
        self.forgotten_questions: set[str] = set()
        self.forgotten_answers: set[str] = set()
        """Ids of what was asked and said before the store was put back from a backup: of these nothing is promised."""
        self.rows_in_event = 0
        self.open_at_start: set[str] = set()
        """Questions that a trainer found open."""
        self._begun: list[Any] = []
        """Trainers that were looked at when they had begun."""

    def run(self, moment: str, subject: Any) -> None:
        """Raises: Violated."""
        self.moments[moment] += 1
        for one in self._by_moment.get(moment, ()):
            wrong = one.check(self, subject)
            if wrong is not None:
                raise Violated(one.number, one.title, wrong)

    def checks(self) -> Counter[int]:
        """How often each invariant was looked at."""
        found: Counter[int] = Counter()
        for moment, ones in self._by_moment.items():
            for one in ones:
                found[one.number] += self.moments[moment]
        return found

    # --- moments

    def event_over(self, process: Process) -> None:
        """An event of that process is over."""
        name, service = process.name, process.service
        self.rows_in_event = 0
        if name == "trainer":
            self.follow()
            if process.is_up and getattr(service, "_is_built", False):
                self._trainer(service)
        elif name in self.furthest:
            self.run("stage", process)
        elif name == "broker":
            self.run("broker", service)

    def _trainer(self, service: Any) -> None:
        if not any(service is one for one in self._begun):
            self._begun.append(service)
            self.open_at_start |= {question.id for question in service._asking.machine.unanswered()}
            self.run("recovered", service)
        self.run("trainer", service)

    def follow(self) -> None:
        """Take up what became durable."""
        lines: Lines | None = self.processes["trainer"].disk.lines.get(FILE)
        if lines is None or lines.synced == self.entries:
            return
        if lines.synced < self.entries or (self.entries and lines.records[self.entries - 1] is not self._last):
            raise Violated(1, "the store never shrinks", f"{self.entries} entries were durable, now {lines.synced}")
        for entry in lines.records[self.entries : lines.synced]:
            self.run("entry", entry)
            self.durable.apply(entry)
            self._last = entry
            self.entries += 1
            self.highest_term = max(self.highest_term, self.durable.term)
            if isinstance(entry, Said):
                self.ids[entry.event.id] += 1
                self.run("stored", entry.event)

    def put_back(self, entries: int) -> None:
        """The store is again what it was when it had so many entries."""
        lines = self.processes["trainer"].disk.lines[FILE]
        self.follow()
        self.forgotten_questions.update(self.durable.questions)
        self.forgotten_answers.update(self.said)
        del lines.records[entries:]
        self.durable, self.ids = Ledger(SPEC), Counter()
        for entry in lines.records:
            self.durable.apply(entry)
            if isinstance(entry, Said):
                self.ids[entry.event.id] += 1
        self._last, self.entries, lines.synced = lines.records[-1], entries, entries

    def told(self, name: str, receipt: AnswerReceipt) -> None:
        if receipt.status != "storage_full":
            self.acked[receipt.id] = receipt.status
        self.follow()
        self.run("receipt", receipt)

    def count_row(self, machine: Machine[Any, Any], event: Any) -> None:
        """A machine is about to be told something. Raises: Violated."""
        self.rows_in_event += 1
        if self.rows_in_event > ROWS_IN_ONE_EVENT:
            raise Violated(14, "no livelock", f"{type(machine).__name__} is told {event!r:.200} again and again")

    @staticmethod
    def process_name() -> str:
        return getattr(asyncio.get_running_loop(), "name", "")
