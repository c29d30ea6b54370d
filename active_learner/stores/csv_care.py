"""Looking after a CSV store: verify, backup and upgrade. Knows its files; not what its entries mean."""

from __future__ import annotations

from pathlib import Path

from active_learner.core.records import SampleSpec
from active_learner.durable import journal
from active_learner.durable.files import replace_file
from active_learner.durable.lock import WriterLock
from active_learner.durable.watermark import Mark, Watermark
from active_learner.errors import StoreError, WrongStore
from active_learner.stores import rules
from active_learner.stores.care import Care, free_name
from active_learner.stores.csv_file import SCHEMA, CsvStore, entry_of, events_of
from active_learner.stores.findings import POOL_IS_DAMAGED, Findings
from active_learner.stores.forms import Form

OLDER = (1,)
"""Schemas that can be upgraded."""


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
            found.warnings += [warning for warning in store.warnings if warning == POOL_IS_DAMAGED]
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
        """An entry of schema 1 is one of schema 2 as it stands; the header says which it is, so all digests are made anew."""
        lines = journal.read_lines(events_of(self.path))
        if not lines.forms or lines.forms[0].get("schema") not in OLDER:
            self._opened(experiment, spec).close()
            return None
        lock = WriterLock(self.path)
        try:
            self._check(journal.read_lines(events_of(self.path)), experiment, spec)
            return self._upgraded(lines.forms[0])
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        finally:
            lock.release()

    def _check(self, lines: journal.Lines, experiment: str, spec: SampleSpec) -> None:
        """New digests vouch for whatever they are made of. Raises: WrongStore."""
        rules.check_owner(str(self.path), lines.forms[0], experiment, spec)
        mark = Watermark(self.path)
        remembered, _ = mark.remembered()
        lost = "" if remembered is None else mark.lost(remembered, len(lines.digests), lambda at: lines.digests[at - 1])
        if lost:
            raise WrongStore(f"{lost}; restore the newest copy of it before it is upgraded")
        for number, form in enumerate(lines.forms[1:], start=2):
            entry_of(form, spec, f"{events_of(self.path)} line {number}")

    def _upgraded(self, header: Form) -> Path:
        """Raises: OSError, with all as it was."""
        events, mark = events_of(self.path), Watermark(self.path)
        copy = free_name(self.path, str(header["schema"]))
        for origin, target in ((self.path, copy), (events, events_of(copy))):
            if origin.exists():
                replace_file(target, origin.read_bytes())
        lines = journal.read_lines(events)
        file = journal.Journal(events, lines.length, lines.digest)
        try:
            mark.forget()  # of the old digests: a crash right after the replacement must not look like a rollback
            file.rewrite([{**header, "schema": SCHEMA}, *lines.forms[1:]])
            mark.write(Mark(len(lines.forms), file.digest))
        finally:
            file.close()
            mark.close()
        return copy
