"""The state of a store as the sum of its entries, in memory. Pure: knows nothing of files; an entry is never changed.

`memory` keeps a ledger, `csv` writes every entry to its journal first; both read from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from active_learner.core.records import AskedQuestion, Features, Label, LabelEvent, Plan, RoundResult, SampleSpec
from active_learner.core.voting import Elected
from active_learner.stores import rules
from active_learner.stores.base import Stored


@dataclass(frozen=True, slots=True)
class Asked:
    questions: tuple[AskedQuestion, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    ids: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Said:
    event: LabelEvent


@dataclass(frozen=True, slots=True)
class Imported:
    events: tuple[LabelEvent, ...]
    samples: tuple[Features, ...]
    """Of the events, row by row."""


@dataclass(frozen=True, slots=True)
class Planned:
    plan: Plan


@dataclass(frozen=True, slots=True)
class Finished:
    result: RoundResult


@dataclass(frozen=True, slots=True)
class Began:
    term: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    event: LabelEvent


Entry = Asked | Closed | Said | Imported | Planned | Finished | Began | Quarantined
Change = tuple[str, int | None]
"""Key of a sample and its label after an entry; None: it has none any more."""


class Ledger:
    """What the entries add up to."""

    def __init__(self, spec: SampleSpec) -> None:
        self.spec = spec
        self.term = 0
        self.samples: dict[str, Features] = {}
        self.questions: dict[str, AskedQuestion] = {}
        self.closed: dict[str, str] = {}
        self.events: list[LabelEvent] = []
        self.plans: dict[int, Plan] = {}
        self.results: dict[int, RoundResult] = {}
        self.quarantine: dict[str, LabelEvent] = {}
        self._of_sample: dict[str, list[rules.Numbered]] = {}
        self._by_id: dict[str, LabelEvent] = {}
        self._by_slot: dict[tuple[str, str, int], LabelEvent] = {}
        self._newest: dict[tuple[str, str], int] = {}
        """Of a question and an annotator, the highest revision."""

    # --- before an entry

    def judge(self, event: LabelEvent) -> Stored:
        """Raises: BadLabel, BadSample."""
        rules.check_event(event, self.spec.classes)
        found = (self._by_id.get(event.id), self._by_slot.get(rules.slot(event)))
        question = self.questions.get(event.question)
        there = [one for one in found if one is not None]
        newest = self._newest.get((event.question, event.annotator))
        about = (question.key if question else None, self.closed.get(event.question, ""))
        return rules.verdict(event, there, newest, *about)

    def plan_is_new(self, plan: Plan) -> bool:
        """Raises: WrongStore."""
        known = self.plans.get(plan.round)
        if known is None:
            rules.check_round(plan.round, max(self.plans, default=None))
            return True
        rules.check_same_plan(known, plan)
        return False

    def changes(self, events: Sequence[LabelEvent]) -> list[Change]:
        """The labels that differ once `events` are applied."""
        news: dict[str, list[rules.Numbered]] = {}
        for number, event in enumerate(events, start=len(self.events) + 1):
            news.setdefault(event.key, []).append((number, event))
        after = {key: _value([*self._of_sample.get(key, []), *more]) for key, more in news.items()}
        return [(key, value) for key, value in after.items() if value != self.value(key)]

    # --- entries

    def apply(self, entry: Entry) -> None:
        self._APPLY[type(entry)](self, entry)

    def _asked(self, entry: Asked) -> None:
        for question in entry.questions:
            if question.id not in self.questions:
                self.questions[question.id] = question
                self.samples.setdefault(question.key, question.features)

    def _closed(self, entry: Closed) -> None:
        for one in entry.ids:
            if one in self.questions:
                self.closed.setdefault(one, entry.why)

    def _said(self, entry: Said) -> None:
        self._append(entry.event)
        self._by_slot[rules.slot(entry.event)] = entry.event
        own = (entry.event.question, entry.event.annotator)
        self._newest[own] = max(entry.event.revision, self._newest.get(own, 0))

    def _imported(self, entry: Imported) -> None:
        for event, sample in zip(entry.events, entry.samples, strict=True):
            self.samples.setdefault(event.key, sample)
            self._append(event)

    def _append(self, event: LabelEvent) -> None:
        self.events.append(event)
        self._by_id[event.id] = event
        self._of_sample.setdefault(event.key, []).append((len(self.events), event))

    def _planned(self, entry: Planned) -> None:
        self.plans[entry.plan.round] = entry.plan

    def _finished(self, entry: Finished) -> None:
        self.results.setdefault(entry.result.round, entry.result)

    def _began(self, entry: Began) -> None:
        self.term = entry.term

    def _quarantined(self, entry: Quarantined) -> None:
        self.quarantine.setdefault(entry.event.id, entry.event)

    _APPLY: ClassVar[dict[type, Callable[[Ledger, Any], None]]] = {
        Asked: _asked,
        Closed: _closed,
        Said: _said,
        Imported: _imported,
        Planned: _planned,
        Finished: _finished,
        Began: _began,
        Quarantined: _quarantined,
    }

    # --- views

    def numbered(self) -> list[rules.Numbered]:
        return list(enumerate(self.events, start=1))

    def labels(self) -> list[Label]:
        return [self._label(elected) for elected in rules.standing(self.numbered())]

    def value(self, key: str) -> int | None:
        """The current label of one sample."""
        return _value(self._of_sample.get(key, []))

    def _label(self, elected: Elected) -> Label:
        event = elected.event
        sample, asked = self.samples[event.key], self.questions.get(event.question)
        why = (asked.round, asked.model_version, asked.score, asked.strategy) if asked else ()
        return rules.label(elected, sample, *why)


def _value(events: Sequence[rules.Numbered]) -> int | None:
    kept = rules.standing(events)
    return kept[-1].event.value if kept else None
