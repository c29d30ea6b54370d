"""Looking after a CSV store: verify and backup. Knows its files; there is one schema so far."""

from __future__ import annotations

from pathlib import Path

from active_learner.core.records import SampleSpec
from active_learner.durable import journal
from active_learner.durable.files import replace_file
from active_learner.durable.watermark import Mark, Watermark
from active_learner.errors import StoreError, WrongStore
from active_learner.stores.care import Care
from active_learner.stores.csv_file import CsvStore, events_of, pool_of
from active_learner.stores.findings import Findings


class CsvCare(Care):
    def verify(self, experiment: str, spec: SampleSpec, *, marked: bool = True) -> Findings:
        mark = Watermark(self.path)
        remembered, problem = mark.remembered() if marked else (None, "")
        lines = self._lines()
        if isinstance(lines, str):
            return Findings(damage=[lines])
        found = Findings(head=Mark(len(lines.digests), lines.digest))
        if remembered is not None:
            found.lost = mark.lost(remembered, found.head.number, lambda number: lines.digests[number - 1])
        elif marked:
            found.warnings.append(f"{problem or f'{mark.path} is missing'}: an older copy would not be noticed")
        self._count(experiment, spec, found)
        return found

    def _lines(self) -> journal.Lines | str:
        """Of the journal; or what is damaged."""
        try:
            return journal.read_lines(events_of(self.path))
        except WrongStore as error:
            return str(error)

    def _count(self, experiment: str, spec: SampleSpec, found: Findings) -> None:
        store = self._opened(experiment, spec)
        try:
            found.counts = store.counts()
            if store.load_pool() is None and pool_of(self.path).exists():
                found.warnings.append("the pool's snapshot is damaged and is left: candidates are scored again")
        finally:
            store.close()

    def _opened(self, experiment: str, spec: SampleSpec) -> CsvStore:
        store = CsvStore(f"csv:{self.path}", Path())
        store.open(experiment, spec, read_only=True, accept_rollback=True)
        return store

    def backup(self, experiment: str, spec: SampleSpec, target: Path) -> Findings:
        """The journal leads: the table of the copy is written from it, so the two agree whatever is written meanwhile."""
        events = events_of(self.path)
        if not events.exists():
            raise StoreError(f"{self.path}: there are no labels yet")
        try:
            replace_file(events_of(target), events.read_bytes()[: journal.read_lines(events).length])
        except OSError as error:
            raise StoreError(f"{self.path} could not be copied to {target}: {error.strerror}") from error
        copy = CsvStore(f"csv:{target}", Path())
        copy.open(experiment, spec)
        copy.close()
        return CsvCare(target).verify(experiment, spec)

    def upgrade(self, experiment: str, spec: SampleSpec) -> Path | None:
        self._opened(experiment, spec).close()
        return None
