"""Store in the tutorial's CSV file: `csv:FILE`. Knows the file and its journal; not what the events mean.

FILE has a row `"(0, 1, ...)",3` a label, and the tutorial's own loader can read it at any time (of two rows of a sample the
last counts, as it does there). What the tutorial has no place for (questions, events, plans, the run) is in
FILE.events, a journal of JSON lines: it is written first and leads. FILE follows: a new or changed label is appended; when
a label is taken back, the file is replaced by one without it. FILE.pool is the pool's snapshot, FILE.lock names the writer.

FILE.mark says how far the journal had come.

Rows that were in FILE before the store, or that somebody wrote into it between two runs, are taken in as labels of the
annotator "csv". A FILE that has to be put in order (a torn end, 3.0 for 3) is kept as FILE.before.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from active_learner.core.records import Features, LabelEvent, SampleSpec
from active_learner.crash_points import reach
from active_learner.durable import journal
from active_learner.durable.files import SyncError, replace_file
from active_learner.durable.lock import WriterLock
from active_learner.durable.watermark import Mark, Watermark, refusal
from active_learner.errors import DiskFailed, StoreError, StoreLocked, WrongStore
from active_learner.stores import forms, ledger_forms, rules
from active_learner.stores.findings import POOL_IS_DAMAGED, other_schema
from active_learner.stores.forms import Form
from active_learner.stores.label_file import LabelFile, Rated
from active_learner.stores.ledger import Change, Entry, Imported, Ledger, Said
from active_learner.stores.ledger_store import LedgerStore

SCHEMA = 2
"""2: events have circumstances, and the action cannot_tell."""
ANNOTATOR = "csv"


class CsvStore(LedgerStore):
    def __init__(self, url: str, run_dir: Path) -> None:
        self._path = run_dir / url.removeprefix("csv:")
        self._events_path, self._pool_path = events_of(self._path), pool_of(self._path)
        self._rows = LabelFile(self._path)
        self._mark = Watermark(self._path)
        self._ledger: Ledger | None = None
        self._journal: journal.Journal | None = None
        self._lock: WriterLock | None = None
        self._run = ""
        self._lines = 0
        self._failed: DiskFailed | None = None

    # --- opening

    def open(
        self,
        experiment: str,
        spec: SampleSpec,
        *,
        read_only: bool = False,
        accept_rollback: bool = False,
        takes_over: bool = False,
    ) -> None:
        if read_only and not self._path.exists() and not self._events_path.exists():
            raise StoreError(f"{self._path}: there are no labels yet")
        self._read_only = read_only
        if not read_only:
            self._lock = WriterLock(self._path, takes_over=takes_over)
        try:
            with self._told():
                self._wait_for_replaced()
                self._load(experiment, spec, accept_rollback)
        except BaseException:
            self.close()
            raise

    def _wait_for_replaced(self) -> None:
        """From now on it can write nothing more; what it had begun is waited for. Raises: StoreLocked, OSError."""
        if self._lock is not None and self._lock.replaced and self._events_path.exists():
            try:
                journal.wait_for_writer(self._events_path)
            except BlockingIOError:
                raise StoreLocked(f"{self._lock.replaced} hangs in the middle of writing to {self._path}") from None

    def _load(self, experiment: str, spec: SampleSpec, accept_rollback: bool) -> None:
        remembered = self._mark.remembered()
        kept = journal.read_lines(self._events_path)
        header = kept.forms[0] if kept.forms else _header(experiment, spec)
        self._check_header(header, experiment, spec)
        self.warnings = self._compare(kept.digests, *remembered, accept_rollback)
        self._ledger = ledger = Ledger(spec)
        if self._pool_path.exists() and self.load_pool() is None:
            self.warnings.append(POOL_IS_DAMAGED)
        before = self._replay(kept.forms[1:], ledger)
        if not self._read_only:
            rows = self._rows.read(spec, follows=bool(kept.forms))  # before anything is written: it may be refused
            self._journal = journal.Journal(self._events_path, kept.length, kept.digest)
            self._lines = len(kept.forms)
            if not kept.forms:
                self._append(header)
            self._take_in(ledger, rows, before)
            self._mark.write(Mark(self._lines, self._journal.digest))
        elif not kept.forms:  # else a running writer's rows may be ahead of what was read of its journal
            self._adopt(ledger, self._rows.read(spec))

    def _compare(self, digests: list[str], mark: Mark | None, problem: str, accept_rollback: bool) -> list[str]:
        """The journal with what had been committed; returns warnings. Raises: WrongStore."""
        lost = "" if mark is None else self._mark.lost(mark, len(digests), lambda number: digests[number - 1])
        if lost and not accept_rollback:
            raise refusal(lost)
        replaced = "" if self._lock is None else self._lock.replaced
        missing = mark is None and bool(digests)
        return [
            *([f"{lost}; it is gone on with"] if lost else []),
            *([f"{replaced} did not answer and was replaced"] if replaced else []),
            *([f"{problem or f'{self._mark.path} is missing'}: an older copy would not be noticed"] if missing else []),
        ]

    def _check_header(self, header: Form, experiment: str, spec: SampleSpec) -> None:
        if header.get("kind") != "store" or header.get("schema") != SCHEMA:
            raise WrongStore(other_schema(str(self._events_path), header.get("schema"), SCHEMA))
        rules.check_owner(str(self._path), header, experiment, spec)
        self._run = header["run"]

    def _replay(self, kept: Sequence[Form], ledger: Ledger) -> dict[str, int | None]:
        """Apply all; returns the labels that the last entry changed, as they were before it."""
        before: dict[str, int | None] = {}
        for number, form in enumerate(kept, start=2):
            entry = entry_of(form, ledger.spec, f"{self._events_path} line {number}")
            if number == len(kept) + 1:
                before = {event.key: ledger.value(event.key) for event in _events(entry)}
            ledger.apply(entry)
        return before

    def _take_in(self, ledger: Ledger, rows: dict[str, Rated], before: dict[str, int | None]) -> None:
        """Make file and ledger agree: rows that the ledger does not know are new labels, all else is as the ledger has it.

        A row that is as it was `before` the last entry is no news: a crash kept the file from following.
        """
        entry = self._adopt(ledger, {key: row for key, row in rows.items() if before.get(key) != row[1]})
        if entry.events:
            self._append(ledger_forms.to_form(entry))
        if not self._rows.tidy:
            self._rows.keep_copy()
        written = {key: value for key, (_, value) in rows.items()}
        if self._rows.tidy and written == {label.key: label.value for label in ledger.labels()}:
            self._rows.resume()
        else:
            self._rows.rewrite((label.features, label.value) for label in ledger.labels())

    def _adopt(self, ledger: Ledger, rows: dict[str, Rated]) -> Imported:
        """The labels of `rows` that the ledger does not have, applied to it."""
        news = {key: row for key, row in rows.items() if ledger.value(key) != row[1]}
        before = Counter(one.key for one in ledger.events if one.annotator == ANNOTATOR and not one.question)
        at = self._path.stat().st_mtime if news else 0.0
        events = tuple(
            rules.import_event(rules.Row(key, sample, value, ANNOTATOR, at), before[key])
            for key, (sample, value) in news.items()
        )
        entry = Imported(events, tuple(sample for sample, _ in news.values()))
        ledger.apply(entry)
        return entry

    def close(self) -> None:
        self._rows.close()
        self._mark.close()
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
        self._journal = self._lock = self._ledger = None

    # --- state

    @property
    def run(self) -> str:
        self._state()
        return self._run

    def _state(self) -> Ledger:
        if self._ledger is None:
            raise StoreError(f"{self._path} is not open")
        return self._ledger

    def save_pool(self, snapshot: bytes) -> None:
        self._writable()
        with self._told(), self._alone():
            replace_file(self._pool_path, forms.digest(snapshot).encode("ascii") + b"\n" + snapshot)

    def load_pool(self) -> bytes | None:
        self._state()
        with self._told():
            kept = self._pool_path.read_bytes() if self._pool_path.exists() else b""
        digest, _, snapshot = kept.partition(b"\n")
        return snapshot if digest == forms.digest(snapshot).encode("ascii") else None

    def renew(self) -> None:
        if self._lock is not None:
            self._lock.renew()

    # --- writing

    def _keep(self, entry: Entry) -> None:
        ledger = self._state()
        with self._told(), self._alone():
            self._append(ledger_forms.to_form(entry))
            reach("trainer.journal_durable")
            try:
                self._follow(ledger, entry)
            except SyncError:
                raise  # the journal may have it on the disk: nothing is known, nothing is taken back
            except OSError:
                self._opened_journal().take_back()
                self._lines -= 1
                raise
            self._mark.write(Mark(self._lines, self._opened_journal().digest))
        ledger.apply(entry)

    def _append(self, form: Form) -> None:
        self._opened_journal().append(form)
        self._lines += 1

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Whoever replaces us waits for the end of this block, and we write nothing once it has. Raises: LeaseHeld."""
        assert self._lock is not None
        with self._opened_journal().alone():
            self._lock.check()
            yield

    def _writable(self) -> Ledger:
        if self._failed is not None:
            raise self._failed
        return super()._writable()

    def _follow(self, ledger: Ledger, entry: Entry) -> None:
        """Bring the file to what the labels are after `entry`. Raises: OSError, with the file as it was."""
        changes = ledger.changes(_events(entry))
        if any(value is None for _, value in changes):
            gone = {key for key, _ in changes}
            kept = [label for label in ledger.labels() if label.key not in gone]
            self._rows.rewrite((label.features, label.value) for label in kept)
        elif changes:
            self._rows.append(_rated(changes, ledger, entry))

    def _opened_journal(self) -> journal.Journal:
        if self._journal is None:
            raise StoreError(f"{self._path} is not open")
        return self._journal

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SyncError as error:
            words = f"{self._path}: {error.strerror}: nothing is written any more; start again"
            self._failed = DiskFailed(words)
            raise self._failed from error
        except OSError as error:
            raise StoreError(f"{error.filename or self._path}: {error.strerror or error}") from error


def events_of(path: Path) -> Path:
    """The journal of the store in `path`."""
    return path.with_name(f"{path.name}.events")


def pool_of(path: Path) -> Path:
    """The pool's snapshot of the store in `path`."""
    return path.with_name(f"{path.name}.pool")


def entry_of(form: Form, spec: SampleSpec, place: str) -> Entry:
    """Raises: WrongStore."""
    try:
        return ledger_forms.from_form(form, spec)
    except (KeyError, TypeError, ValueError) as error:
        raise WrongStore(f"{place} cannot be read: {error}") from error


def _header(experiment: str, spec: SampleSpec) -> Form:
    owner = {"experiment": experiment, "spec": rules.spec_form(spec), "run": secrets.token_hex(16)}
    return {"kind": "store", "schema": SCHEMA, **owner}


def _events(entry: Entry) -> tuple[LabelEvent, ...]:
    if isinstance(entry, Said):
        return (entry.event,)
    return entry.events if isinstance(entry, Imported) else ()


def _rated(changes: Sequence[Change], ledger: Ledger, entry: Entry) -> list[Rated]:
    samples: dict[str, Features] = {}
    if isinstance(entry, Imported):
        samples = {event.key: sample for event, sample in zip(entry.events, entry.samples, strict=True)}
    samples.update((key, ledger.samples[key]) for key, _ in changes if key in ledger.samples)
    return [(samples[key], value) for key, value in changes if value is not None]
