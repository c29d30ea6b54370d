"""Store in a database by SQLAlchemy Core: `sqlite:///FILE` (relative to the run folder; `sqlite:////FILE` is absolute).

Knows which rows a record is; what events mean is in rules.py, what the chain proves in sql_chain.py. A commit is one
transaction; an event costs the same in a store of ten as of a million. FILE.lock names the one writer; readers (`read_only`)
need no lock and see every commit. FILE.mark says how far it had come.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, inspect, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from active_learner.core.records import AskedQuestion, Features, Label, LabelEvent, Plan, RoundResult, SampleSpec
from active_learner.crash_points import reach
from active_learner.durable.lease import this_process
from active_learner.durable.lock import WriterLock
from active_learner.durable.watermark import Watermark, refusal
from active_learner.errors import LeaseHeld, StoreError, WrongStore
from active_learner.stores import forms, rules, sql_check
from active_learner.stores.base import QUARANTINE_LIMIT, Store, Stored
from active_learner.stores.findings import damaged
from active_learner.stores.sql_chain import Chain
from active_learner.stores.sql_engine import Database
from active_learner.stores.sql_schema import VERSION, schema


class SqlStore(Store):
    def __init__(self, url: str, run_dir: Path) -> None:
        self._path = run_dir / url.removeprefix("sqlite:///")
        self._mark = Watermark(self._path)
        self._database: Database | None = None
        self._lock: WriterLock | None = None
        self._read_only = False
        self._aside: frozenset[str] | None = None
        """Ids of all that is in quarantine, once it is full: who goes on sending costs no more transactions."""

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
        if read_only and not self._path.exists():
            raise StoreError(f"{self._path}: there are no labels yet")
        self._read_only, self._spec, self._tables = read_only, spec, schema(spec.classes)
        self._chain, self._term = Chain(self._tables), 0
        if not read_only:
            self._lock = WriterLock(self._path, takes_over=takes_over)
        try:
            self.warnings = self._compare(experiment, accept_rollback)
            self._database = Database(self._path, read_only=read_only)
            self._begin(experiment)
        except BaseException:
            self.close()
            raise

    def _compare(self, experiment: str, accept_rollback: bool) -> list[str]:
        """What is there with what was written; returns warnings. Raises: WrongStore."""
        if not self._path.exists():
            mark, _ = self._mark.remembered()
            lost = "" if mark is None else self._mark.lost(mark, 0, lambda _: None)
            return self._accepted(lost, [], accept_rollback)
        found = sql_check.look(self._path, experiment, self._spec, self._mark)
        if found.damage:
            raise WrongStore(damaged(str(self._path), found))
        return self._accepted(found.lost, found.warnings, accept_rollback)

    def _accepted(self, lost: str, warnings: list[str], accept_rollback: bool) -> list[str]:
        if lost and not accept_rollback:
            raise refusal(lost)
        replaced = "" if self._lock is None else self._lock.replaced
        return [
            *([f"{lost}; it is gone on with"] if lost else []),
            *([f"{replaced} did not answer and was replaced"] if replaced else []),
            *warnings,
        ]

    def _begin(self, experiment: str) -> None:
        """Make the tables if there are none. After this transaction a writer that was replaced cannot write any more."""
        database = self._reading()
        with database.transaction() as connection:
            if not inspect(connection).get_table_names():
                if self._read_only:
                    raise WrongStore(f"{self._path} is a database, but not a label store")
                self._create(connection, experiment)
            meta = self._tables.meta.c
            self._run: str = connection.execute(select(meta.value).where(meta.name == "run")).scalar_one()
            head = self._chain.begin(connection)
        if not self._read_only:
            self._mark.write(head)

    def _create(self, connection: Connection, experiment: str) -> None:
        self._tables.metadata.create_all(connection)
        kept = {
            "schema": VERSION,
            "experiment": experiment,
            "spec": forms.dumps(rules.spec_form(self._spec)),
            "run": secrets.token_hex(16),
            "layout": sql_check.layout(connection, self._tables),
        }
        connection.execute(insert(self._tables.meta), [{"name": name, "value": value} for name, value in kept.items()])
        self._chain.extend(connection, "meta")

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._mark.close()
        if self._lock is not None:
            self._lock.release()
        self._database = self._lock = None

    @property
    def run(self) -> str:
        self._reading()
        return self._run

    def _reading(self) -> Database:
        if self._database is None:
            raise StoreError(f"{self._path} is not open")
        return self._database

    def _writing(self) -> Database:
        if self._read_only:
            raise StoreError(f"{self._path} was opened for reading only")
        return self._reading()

    @contextlib.contextmanager
    def _change(self) -> Iterator[Connection]:
        """A transaction of the present writer; when it is on the disk, the mark follows. Raises: LeaseHeld."""
        with self._writing().transaction() as connection:
            self._check_term(connection)
            self._chain.begin(connection)
            yield connection
            reach("trainer.commit_written")
        reach("trainer.commit_durable")
        self._mark.write(self._chain.head)

    def _check_term(self, connection: Connection) -> None:
        """Raises: LeaseHeld. The term is looked up in the transaction itself: whoever raised it has committed before."""
        assert self._lock is not None
        self._lock.check()
        terms = self._tables.terms.c
        newest = connection.execute(select(terms.term, terms.holder).order_by(terms.term.desc()).limit(1)).first()
        if self._term and newest is not None and newest.term != self._term:
            raise LeaseHeld(f"{self._path} has a newer trainer, term {newest.term}: {newest.holder}")

    def next_term(self) -> int:
        terms = self._tables.terms
        with self._change() as connection:
            term = (connection.execute(select(func.max(terms.c.term))).scalar() or 0) + 1
            connection.execute(insert(terms).values(term=term, holder=this_process().told()))
            self._chain.extend(connection, "began", terms.c.term == term)
        self._term = term
        self.renew()
        return term

    def renew(self) -> None:
        if self._lock is not None:
            self._lock.renew()

    def hurry(self, until: float) -> None:
        if self._database is not None:
            self._database.give_up_at = until

    # --- questions

    def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        self._writing()
        settled, table = [rules.settled(question, self._spec) for question in questions], self._tables.questions
        if not settled:
            return
        with self._change() as connection:
            before = connection.execute(select(func.max(table.c.number))).scalar() or 0
            self._keep_samples(connection, [(one.key, one.features) for one in settled])
            rows = [_question_row(question) for question in settled]
            connection.execute(insert(table).on_conflict_do_nothing(index_elements=["id"]), rows)
            self._chain.extend(connection, "asked", table.c.number > before)

    def _keep_samples(self, connection: Connection, samples: Sequence[tuple[str, Features]]) -> None:
        rows = [{"key": key, "features": forms.to_blob(features)} for key, features in samples]
        connection.execute(insert(self._tables.samples).on_conflict_do_nothing(index_elements=["key"]), rows)

    def close_questions(self, ids: Sequence[str], why: str) -> None:
        self._writing()
        table = self._tables.questions
        rules.check_why(why)
        with self._change() as connection:
            for one in ids:
                still_open = select(table.c.number).where(table.c.id == one, table.c.closed.is_(None))
                number = connection.execute(still_open).scalar()
                if number is not None:
                    connection.execute(update(table).where(table.c.number == number).values(closed=why))
                    self._chain.extend(connection, "closed", table.c.number == number)

    def open_questions(self) -> list[AskedQuestion]:
        return [question for question, _ in self._questions(self._tables.questions.c.closed.is_(None))]

    def question(self, id: str) -> AskedQuestion | None:
        return next((question for question, _ in self._questions(self._tables.questions.c.id == id)), None)

    def questions(self) -> list[tuple[AskedQuestion, str]]:
        return self._questions()

    def _questions(self, *which: Any) -> list[tuple[AskedQuestion, str]]:
        table, samples = self._tables.questions, self._tables.samples
        query = select(table, samples.c.features).join(samples).where(*which).order_by(table.c.number)
        with self._reading().transaction() as connection:
            return [self._question(row) for row in connection.execute(query)]

    def _question(self, row: Row[Any]) -> tuple[AskedQuestion, str]:
        form = dict(row._mapping)
        closed = form.pop("closed")
        del form["number"]
        form["features"] = forms.from_blob(form["features"], self._spec)
        form["score"] = math.nan if form["score"] is None else form["score"]
        form["stale"] = bool(form["stale"])
        form["probabilities"] = tuple(json.loads(form["probabilities"]))
        return AskedQuestion(**form), closed or ""

    # --- labels

    def commit_event(self, event: LabelEvent, *, is_surplus: bool = False) -> Stored:
        self._writing()
        rules.check_event(event, self._spec.classes)
        with self._change() as connection:
            verdict = rules.unless_surplus(self._judge(connection, event), is_surplus)
            if verdict in (Stored.STORED, Stored.LATE):
                self._append(connection, [event], late=verdict is Stored.LATE)
        return verdict

    def _judge(self, connection: Connection, event: LabelEvent) -> Stored:
        events, questions = self._tables.events.c, self._tables.questions.c
        own = (events.question == event.question) & (events.annotator == event.annotator)
        in_slot = own & (events.revision == event.revision)
        query = select(*self._tables.event_columns).where(or_(events.id == event.id, in_slot))
        there = [_event(row)[1] for row in connection.execute(query)]
        newest = connection.execute(select(func.max(events.revision)).where(own)).scalar()
        asked = connection.execute(
            select(questions.key, questions.closed).where(questions.id == event.question)
        ).first()
        about = (asked.key, asked.closed or "") if asked else (None, "")
        return rules.verdict(event, there, newest, *about)

    def _append(self, connection: Connection, events: Sequence[LabelEvent], *, late: bool = False) -> None:
        rows = [{**forms.plain(event), "question": event.question or None, "late": int(late)} for event in events]
        sequence = self._tables.events.c.sequence
        before = connection.execute(select(func.max(sequence))).scalar() or 0
        connection.execute(insert(self._tables.events), rows)
        self._chain.extend(connection, "said", sequence > before)

    def quarantine(self, event: LabelEvent) -> bool:
        self._writing()
        if self._aside is not None:
            return event.id in self._aside
        table = self._tables.quarantine
        with self._change() as connection:
            there = frozenset(connection.execute(select(table.c.id)).scalars())
            if event.id not in there and len(there) < QUARANTINE_LIMIT:
                connection.execute(insert(table).values(forms.plain(event, "key")))
                self._chain.extend(connection, "quarantined", table.c.id == event.id)
        self._aside = there if len(there) >= QUARANTINE_LIMIT else None
        return event.id in there or self._aside is None

    def quarantined(self) -> list[LabelEvent]:
        table = self._tables.quarantine.c
        columns = [table[name] for name in LabelEvent.__slots__ if name != "key"]
        with self._reading().transaction() as connection:
            rows = connection.execute(select(*columns).order_by(table.number)).all()
        return [LabelEvent(**row._mapping, key="") for row in rows]

    def add_labels(
        self,
        features: Features,
        values: Sequence[int],
        annotator: str | Sequence[str],
        at: float | Sequence[float],
        circumstances: str | Sequence[str] = "",
    ) -> int:
        self._writing()
        rows = rules.check_rows(features, values, annotator, at, circumstances, self._spec)
        with self._change() as connection:
            made = rules.imports(self._numbered(connection), rows)
            if made:
                self._keep_samples(connection, [(event.key, sample) for event, sample in made])
                self._append(connection, [event for event, _ in made])
        return len(made)

    def _numbered(self, connection: Connection) -> list[rules.Numbered]:
        query = select(*self._tables.event_columns).order_by(self._tables.events.c.sequence)
        return [_event(row) for row in connection.execute(query)]

    def events(self) -> list[LabelEvent]:
        with self._reading().transaction() as connection:
            return [event for _, event in self._numbered(connection)]

    def labels(self) -> list[Label]:
        events, asked, samples = self._tables.events, self._tables.questions, self._tables.samples
        details = (samples.c.features, asked.c.round, asked.c.model_version, asked.c.score, asked.c.strategy)
        joined = events.join(samples, samples.c.key == events.c.key).outerjoin(asked, asked.c.id == events.c.question)
        query = select(*self._tables.event_columns, *details).select_from(joined).order_by(events.c.sequence)
        with self._reading().transaction() as connection:
            rows = {row[0]: row for row in connection.execute(query)}
        standing = rules.standing(map(_event, rows.values()))
        features = forms.from_blobs([rows[one.number][-5] for one in standing], self._spec)
        return [
            rules.label(one, sample, *_question_part(one.event, rows[one.number]))
            for one, sample in zip(standing, features, strict=True)
        ]

    # --- rounds

    def commit_plan(self, plan: Plan) -> None:
        table, text = self._tables.plans, forms.dumps(forms.plan_form(plan))
        with self._change() as connection:
            known = connection.execute(select(table.c.plan).where(table.c.round == plan.round)).scalar()
            if known is not None:
                rules.check_same_plan(forms.plan_from(json.loads(known)), plan)
                return
            rules.check_round(plan.round, connection.execute(select(func.max(table.c.round))).scalar())
            connection.execute(insert(table).values(round=plan.round, plan=text))
            self._chain.extend(connection, "planned", table.c.round == plan.round)

    def finish_plan(self, result: RoundResult) -> None:
        table, text = self._tables.plans, forms.dumps(forms.plain(result))
        this = table.c.round == result.round
        with self._change() as connection:
            known = connection.execute(select(table.c.round, table.c.result).where(this)).first()
            rules.check_planned(result.round, [] if known is None else [known.round])
            if known is not None and known.result is None:
                connection.execute(update(table).where(this).values(result=text))
                self._chain.extend(connection, "finished", this)

    def plans(self) -> list[tuple[Plan, RoundResult | None]]:
        table = self._tables.plans
        with self._reading().transaction() as connection:
            rows = connection.execute(select(table.c.plan, table.c.result).order_by(table.c.round)).all()
        return [(forms.plan_from(json.loads(plan)), _result(text)) for plan, text in rows]

    # --- pool

    def save_pool(self, snapshot: bytes) -> None:
        row = {"snapshot": bytes(snapshot), "digest": forms.digest(snapshot)}
        replacing = (
            insert(self._tables.pool).values(one=1, **row).on_conflict_do_update(index_elements=["one"], set_=row)
        )
        with self._change() as connection:
            connection.execute(replacing)

    def load_pool(self) -> bytes | None:
        with self._reading().transaction() as connection:
            return sql_check.pool(connection)


def _question_row(question: AskedQuestion) -> forms.Form:
    score = None if math.isnan(question.score) else question.score
    texts = {"probabilities": json.dumps(question.probabilities), "score": score, "stale": int(question.stale)}
    return {**forms.plain(question, "features"), **texts}


def _event(row: Sequence[Any]) -> rules.Numbered:
    """Of a row that begins with `event_columns`; by place, because a round reads all labels."""
    return row[0], LabelEvent(row[1], row[2] or "", *row[3:10])


def _question_part(event: LabelEvent, row: Sequence[Any]) -> tuple[Any, ...]:
    """Round, model version, score and strategy that a label was asked by; nothing when nobody was asked."""
    if not event.question:
        return ()
    return row[-4], row[-3], math.nan if row[-2] is None else row[-2], row[-1]


def _result(text: str | None) -> RoundResult | None:
    return None if text is None else forms.result_from(json.loads(text))
