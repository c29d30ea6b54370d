"""Store in a database by SQLAlchemy Core: `sqlite:///FILE` (relative to the run folder; `sqlite:////FILE` is absolute).

Knows which rows a record is; what events mean is in rules.py. A commit is one transaction; an event costs the same in a
store of ten as of a million. FILE.lock names the one writer; readers (`read_only`) need no lock and see every commit.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, inspect, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from active_learner.core.records import AskedQuestion, Features, Label, LabelEvent, Plan, RoundResult, SampleSpec
from active_learner.durable.lock import WriterLock
from active_learner.errors import StoreError, WrongStore
from active_learner.stores import forms, rules
from active_learner.stores.base import Store, Stored
from active_learner.stores.sql_engine import Database
from active_learner.stores.sql_schema import VERSION, Schema


class SqlStore(Store):
    def __init__(self, url: str, run_dir: Path) -> None:
        self._path = run_dir / url.removeprefix("sqlite:///")
        self._database: Database | None = None
        self._lock: WriterLock | None = None
        self._read_only = False

    # --- opening

    def open(self, experiment: str, spec: SampleSpec, *, read_only: bool = False) -> None:
        if read_only and not self._path.exists():
            raise StoreError(f"{self._path}: there are no labels yet")
        self._read_only, self._spec, self._tables = read_only, spec, Schema(spec.classes)
        if not read_only:
            self._lock = WriterLock(self._path)
        try:
            self._database = Database(self._path, read_only=read_only)
            with self._database.transaction() as connection:
                self._run = self._own(connection, experiment)
        except BaseException:
            self.close()
            raise

    def _own(self, connection: Connection, experiment: str) -> str:
        """Make the tables, or check whose they are. Returns the run."""
        names = inspect(connection).get_table_names()
        if not names and not self._read_only:
            self._create(connection, experiment)
        elif "meta" not in names:
            raise WrongStore(f"{self._path} is a database, but not a label store")
        meta = self._tables.meta
        kept: dict[str, str] = {row.name: row.value for row in connection.execute(select(meta.c.name, meta.c.value))}
        if kept.get("schema") != VERSION:
            raise WrongStore(f"{self._path} has schema {kept.get('schema')}, this version knows {VERSION}")
        rules.check_owner(str(self._path), {**kept, "spec": json.loads(kept["spec"])}, experiment, self._spec)
        return kept["run"]

    def _create(self, connection: Connection, experiment: str) -> None:
        self._tables.metadata.create_all(connection)
        kept = {
            "schema": VERSION,
            "experiment": experiment,
            "spec": forms.dumps(rules.spec_form(self._spec)),
            "run": secrets.token_hex(16),
            "term": "0",
        }
        rows = [{"name": name, "value": value} for name, value in kept.items()]
        connection.execute(insert(self._tables.meta), rows)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
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

    def next_term(self) -> int:
        meta = self._tables.meta
        with self._writing().transaction() as connection:
            term = int(connection.execute(select(meta.c.value).where(meta.c.name == "term")).scalar_one()) + 1
            connection.execute(update(meta).where(meta.c.name == "term").values(value=str(term)))
        return term

    # --- questions

    def commit_questions(self, questions: Sequence[AskedQuestion]) -> None:
        database = self._writing()
        settled = [rules.settled(question, self._spec) for question in questions]
        if not settled:
            return
        with database.transaction() as connection:
            self._keep_samples(connection, [(one.key, one.features) for one in settled])
            rows = [_question_row(question) for question in settled]
            connection.execute(insert(self._tables.questions).on_conflict_do_nothing(index_elements=["id"]), rows)

    def _keep_samples(self, connection: Connection, samples: Sequence[tuple[str, Features]]) -> None:
        rows = [{"key": key, "features": forms.to_blob(features)} for key, features in samples]
        connection.execute(insert(self._tables.samples).on_conflict_do_nothing(index_elements=["key"]), rows)

    def close_questions(self, ids: Sequence[str], why: str) -> None:
        database, table = self._writing(), self._tables.questions
        rules.check_why(why)
        with database.transaction() as connection:
            for one in ids:
                connection.execute(update(table).where(table.c.id == one, table.c.closed.is_(None)).values(closed=why))

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

    def commit_event(self, event: LabelEvent) -> Stored:
        database = self._writing()
        rules.check_event(event, self._spec.classes)
        with database.transaction() as connection:
            verdict = self._judge(connection, event)
            if verdict in (Stored.STORED, Stored.LATE):
                self._append(connection, [event], late=verdict is Stored.LATE)
        return verdict

    def _judge(self, connection: Connection, event: LabelEvent) -> Stored:
        events, questions = self._tables.events.c, self._tables.questions.c
        in_slot = (
            (events.question == event.question)
            & (events.annotator == event.annotator)
            & (events.revision == event.revision)
        )
        query = select(*self._tables.event_columns).where(or_(events.id == event.id, in_slot))
        there = [_event(row)[1] for row in connection.execute(query)]
        asked = connection.execute(
            select(questions.key, questions.closed).where(questions.id == event.question)
        ).first()
        return rules.verdict(event, there, asked.key if asked else None, (asked.closed or "") if asked else "")

    def _append(self, connection: Connection, events: Sequence[LabelEvent], *, late: bool = False) -> None:
        rows = [{**forms.plain(event), "question": event.question or None, "late": int(late)} for event in events]
        connection.execute(insert(self._tables.events), rows)

    def add_labels(
        self, features: Features, values: Sequence[int], annotator: str | Sequence[str], at: float | Sequence[float]
    ) -> int:
        database = self._writing()
        rows = rules.check_rows(features, values, annotator, at, self._spec)
        with database.transaction() as connection:
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
        details = (samples.c.features, asked.c.round, asked.c.model_version, asked.c.score)
        joined = events.join(samples, samples.c.key == events.c.key).outerjoin(asked, asked.c.id == events.c.question)
        query = select(*self._tables.event_columns, *details).select_from(joined).order_by(events.c.sequence)
        with self._reading().transaction() as connection:
            rows = {row[0]: row for row in connection.execute(query)}
        standing = rules.standing(map(_event, rows.values()))
        features = forms.from_blobs([rows[number][-4] for number, _ in standing], self._spec)
        return [
            rules.label(number, event, sample, *_question_part(event, rows[number]))
            for (number, event), sample in zip(standing, features, strict=True)
        ]

    # --- rounds

    def commit_plan(self, plan: Plan) -> None:
        database, table = self._writing(), self._tables.plans
        text = forms.dumps(forms.plan_form(plan))
        with database.transaction() as connection:
            known = connection.execute(select(table.c.plan).where(table.c.round == plan.round)).scalar()
            if known is not None:
                rules.check_same_plan(forms.plan_from(json.loads(known)), plan)
                return
            rules.check_round(plan.round, connection.execute(select(func.max(table.c.round))).scalar())
            connection.execute(insert(table).values(round=plan.round, plan=text))

    def finish_plan(self, result: RoundResult) -> None:
        database, table = self._writing(), self._tables.plans
        text = forms.dumps(forms.plain(result))
        with database.transaction() as connection:
            known = connection.execute(select(table.c.round).where(table.c.round == result.round)).scalars().all()
            rules.check_planned(result.round, known)
            fresh = (table.c.round == result.round) & table.c.result.is_(None)
            connection.execute(update(table).where(fresh).values(result=text))

    def plans(self) -> list[tuple[Plan, RoundResult | None]]:
        table = self._tables.plans
        with self._reading().transaction() as connection:
            rows = connection.execute(select(table.c.plan, table.c.result).order_by(table.c.round)).all()
        return [(forms.plan_from(json.loads(plan)), _result(text)) for plan, text in rows]

    # --- pool

    def save_pool(self, snapshot: bytes) -> None:
        change = insert(self._tables.pool).values(one=1, snapshot=bytes(snapshot))
        replacing = change.on_conflict_do_update(index_elements=["one"], set_={"snapshot": change.excluded.snapshot})
        with self._writing().transaction() as connection:
            connection.execute(replacing)

    def load_pool(self) -> bytes | None:
        with self._reading().transaction() as connection:
            return connection.execute(select(self._tables.pool.c.snapshot)).scalar()


def _question_row(question: AskedQuestion) -> forms.Form:
    score = None if math.isnan(question.score) else question.score
    texts = {"probabilities": json.dumps(question.probabilities), "score": score, "stale": int(question.stale)}
    return {**forms.plain(question, "features"), **texts}


def _event(row: Sequence[Any]) -> rules.Numbered:
    """Of a row that begins with `event_columns`; by place, because a round reads all labels."""
    return row[0], LabelEvent(row[1], row[2] or "", *row[3:9])


def _question_part(event: LabelEvent, row: Sequence[Any]) -> tuple[Any, ...]:
    """Round, model version and score that a label was asked by; nothing when nobody was asked."""
    if not event.question:
        return ()
    return row[-3], row[-2], math.nan if row[-1] is None else row[-1]


def _result(text: str | None) -> RoundResult | None:
    return None if text is None else forms.result_from(json.loads(text))
