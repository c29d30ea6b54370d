"""What `memory` and `csv` have in common: a store that reads from a ledger. Knows when an entry is made; not where it is kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from active_learner.core.records import AskedQuestion, Features, Label, LabelEvent, Plan, RoundResult
from active_learner.errors import StoreError
from active_learner.stores import rules
from active_learner.stores.base import QUARANTINE_LIMIT, Store, Stored
from active_learner.stores.ledger import (
    Asked,
    Began,
    Closed,
    Entry,
    Finished,
    Imported,
    Ledger,
    Planned,
    Quarantined,
    Said,
)


class LedgerStore(Store):
    """A variant makes entries durable in `_keep`, and says by `_state` what they add up to."""

    @abstractmethod
    def _state(self) -> Ledger:
        """Raises: StoreError when the store is not open."""

    @abstractmethod
    def _keep(self, entry: Entry) -> None:
        """Make it durable, then apply it. Raises: StoreError, with nothing kept."""

    def _writable(self) -> Ledger:
        if self._read_only:
            raise StoreError("the store was opened for reading only")
        return self._state()

    _read_only = False

    def next_term(self) -> int:
        term = self._writable().term + 1
        self._keep(Began(term))
        self.renew()
        return term

    def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        ledger = self._writable()
        settled = [rules.settled(question, ledger.spec) for question in questions]
        new = tuple(question for question in settled if question.id not in ledger.questions)
        if new:
            self._keep(Asked(new))

    def close_questions(self, ids: Sequence[str], why: str) -> None:
        ledger = self._writable()
        rules.check_why(why)
        fresh = tuple(one for one in ids if one in ledger.questions and one not in ledger.closed)
        if fresh:
            self._keep(Closed(fresh, why))

    def open_questions(self) -> list[AskedQuestion]:
        ledger = self._state()
        return [question for question in ledger.questions.values() if question.id not in ledger.closed]

    def question(self, id: str) -> AskedQuestion | None:
        return self._state().questions.get(id)

    def questions(self) -> list[tuple[AskedQuestion, str]]:
        ledger = self._state()
        return [(question, ledger.closed.get(question.id, "")) for question in ledger.questions.values()]

    def commit_event(self, event: LabelEvent, *, is_surplus: bool = False) -> Stored:
        verdict = rules.unless_surplus(self._writable().judge(event), is_surplus)
        if verdict in (Stored.STORED, Stored.LATE):
            self._keep(Said(event))
        return verdict

    def quarantine(self, event: LabelEvent) -> bool:
        kept = self._writable().quarantine
        if event.id in kept:
            return True
        if len(kept) >= QUARANTINE_LIMIT:
            return False
        self._keep(Quarantined(replace(event, key="")))
        return True

    def quarantined(self) -> list[LabelEvent]:
        return list(self._state().quarantine.values())

    def add_labels(
        self,
        features: Features,
        values: Sequence[int],
        annotator: str | Sequence[str],
        at: float | Sequence[float],
        circumstances: str | Sequence[str] = "",
    ) -> int:
        ledger = self._writable()
        rows = rules.check_rows(features, values, annotator, at, circumstances, ledger.spec)
        made = rules.imports(ledger.numbered(), rows)
        if made:
            self._keep(Imported(tuple(event for event, _ in made), tuple(sample for _, sample in made)))
        return len(made)

    def labels(self) -> list[Label]:
        return self._state().labels()

    def events(self) -> list[LabelEvent]:
        return list(self._state().events)

    def commit_plan(self, plan: Plan) -> None:
        if self._writable().plan_is_new(plan):
            self._keep(Planned(plan))

    def finish_plan(self, result: RoundResult) -> None:
        ledger = self._writable()
        rules.check_planned(result.round, ledger.plans)
        if result.round not in ledger.results:
            self._keep(Finished(result))

    def counts(self) -> dict[str, int]:
        """As of Findings."""
        ledger = self._state()
        return {
            "samples": len(ledger.samples),
            "questions": len(ledger.questions),
            "events": len(ledger.events),
            "plans": len(ledger.plans),
            "terms": ledger.term,
            "quarantine": len(ledger.quarantine),
        }

    def plans(self) -> list[tuple[Plan, RoundResult | None]]:
        ledger = self._state()
        return [(plan, ledger.results.get(number)) for number, plan in ledger.plans.items()]
