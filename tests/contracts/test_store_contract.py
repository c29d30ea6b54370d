"""What stores/base.py promises, for every variant of the name table."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import AskedQuestion, LabelEvent, Plan, RoundResult, SampleSpec, content_key
from active_learner.errors import BadLabel, BadSample, StoreError, StoreLocked, WrongStore
from active_learner.stores import VARIANTS, open_store
from active_learner.stores.base import Store, Stored

SPEC = SampleSpec(shape=(3,), dtype="float32", classes=4)
URLS = {"sqlite": "sqlite:///labels.db", "csv": "csv:labels.csv", "memory": "memory:labels"}

HOW = '{"heard_s":12.5,"plays":2,"roll":true,"speed":"1.5x \u00fc"}'
BAD_CIRCUMSTANCES = (
    "[]",
    "3",
    "null",
    "{",
    '{"a": null}',
    '{"a": [1]}',
    '{"a": {"b": 1}}',
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": "\\ud800"}',
    '{"\\ud800": 1}',
    '{"a": "\n"}',
    '{"a": "' + "ü" * 512 + '"}',
    "[" * 1000,
)

Make = Callable[..., Store]


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a disk: hundreds of real fsyncs take longer than all else here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


@pytest.fixture(params=sorted(VARIANTS))
def make(request: pytest.FixtureRequest, folder: Path) -> Iterator[Make]:
    """Opens the store of this test once more."""
    opened: list[Store] = []

    def opener(experiment: str = "digits", spec: SampleSpec = SPEC, **how: bool) -> Store:
        store = open_store(URLS[request.param], folder)
        opened.append(store)
        store.open(experiment, spec, **how)
        return store

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(make: Make) -> Store:
    return make()


def sample(number: float) -> np.ndarray:
    return np.array([number, 0.1, -1.0], np.float32)


def asked(name: str = "q1", number: float = 1.0) -> AskedQuestion:
    features = sample(number)
    return AskedQuestion(
        id=name,
        key=content_key(features),
        features=features,
        round=2,
        strategy="margin",
        score=0.25,
        rank=1,
        model_version=40,
        stale=True,
        pool=200,
        asked_at=1700.5,
        probabilities=(0.1, 0.2, 0.3, 0.4),
    )


def said(
    value: int | None,
    *,
    name: str = "",
    question: str = "q1",
    number: float = 1.0,
    by: str = "ann",
    revision: int = 0,
    action: str = "answer",
    how: str = "",
) -> LabelEvent:
    key = content_key(sample(number))
    return LabelEvent(name or f"{question}-{by}-{revision}", question, key, by, revision, action, value, 1800.25, how)


def values(store: Store) -> dict[str, int]:
    return {label.key: label.value for label in store.labels()}


def same_question(one: AskedQuestion, other: AskedQuestion) -> bool:
    return np.array_equal(one.features, other.features) and all(
        getattr(one, name) == getattr(other, name) for name in AskedQuestion.__slots__ if name != "features"
    )


KEY = content_key(sample(1.0))
PLAN = Plan(0, 1, (KEY, "b" * 32), (3, 1), 7, 10, 20, "cross_entropy", 0)
RESULT = RoundResult(0, 10, "ab" * 32, 2, 0.5, 1.25, None, 1.5, 0.75, {"stages": 1})


# --- opening


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.labels() == []
    assert store.events() == []
    assert store.questions() == []
    assert store.plans() == []
    assert store.load_pool() is None
    assert len(store.run) == 32
    assert int(store.run, 16) >= 0


def test_a_second_writer_is_refused_until_the_first_closes(make: Make) -> None:
    first = make()
    with pytest.raises(StoreLocked):
        make()
    first.close()
    first.close()
    make()


def test_a_refused_writer_does_not_disturb_the_first(make: Make) -> None:
    first = make()
    with pytest.raises(StoreLocked):
        make()
    first.commit_questions([asked()])
    assert first.commit_event(said(2)) is Stored.STORED
    with pytest.raises(StoreLocked):
        make()


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    for call in (store.labels, store.next_term, store.open_questions, store.plans, store.load_pool):
        with pytest.raises(StoreError):
            call()
    with pytest.raises(StoreError):
        store.commit_event(said(1))


def test_a_store_that_could_not_be_opened_can_be_opened_by_its_owner(make: Make) -> None:
    make().close()
    with pytest.raises(WrongStore):
        make(experiment="melody")
    make()


def test_the_store_of_another_experiment_is_refused_by_name(make: Make) -> None:
    make().close()
    with pytest.raises(WrongStore, match=r"digits.*melody"):
        make(experiment="melody")


@pytest.mark.parametrize("change", [{"shape": (4,)}, {"dtype": "uint8"}, {"classes": 5}])
def test_the_store_of_another_sample_spec_is_refused(make: Make, change: dict[str, object]) -> None:
    make().close()
    with pytest.raises(WrongStore):
        make(spec=replace(SPEC, **change))


def test_how_samples_are_shown_may_change(make: Make) -> None:
    make().close()
    make(spec=replace(SPEC, media="image", class_names=("a", "b", "c", "d")))


def test_run_and_terms_outlive_the_process(make: Make) -> None:
    first = make()
    run = first.run
    assert [first.next_term(), first.next_term()] == [1, 2]
    first.close()
    again = make()
    assert again.run == run
    assert again.next_term() == 3


def test_a_store_that_is_as_it_was_left_has_nothing_to_warn_of(make: Make) -> None:
    make().close()
    store = make()
    assert not store.warnings
    store.next_term()
    store.renew()
    store.close()
    assert not make(read_only=True).warnings


# --- reading beside a writer


def test_a_reader_needs_no_lock_and_sees_what_was_committed(make: Make) -> None:
    writer = make()
    writer.commit_questions([asked()])
    writer.commit_event(said(3))
    writer.commit_plan(PLAN)
    reader = make(read_only=True)
    assert values(reader) == {KEY: 3}
    assert [question.id for question, _ in reader.questions()] == ["q1"]
    assert reader.plans() == [(PLAN, None)]
    assert reader.run == writer.run
    assert len(reader.events()) == 1
    reader.close()
    assert writer.commit_event(said(2, by="bob")) is Stored.STORED


def test_a_reader_leaves_the_lock_to_a_writer(make: Make) -> None:
    make().close()
    make(read_only=True)
    make()


def test_a_reader_cannot_write(make: Make) -> None:
    make().close()
    reader = make(read_only=True)
    for call in (
        reader.next_term,
        lambda: reader.commit_questions([asked()]),
        lambda: reader.close_questions(["q1"], "known"),
        lambda: reader.commit_event(said(1)),
        lambda: reader.add_labels(sample(1)[None], [1], "ann", 1.0),
        lambda: reader.commit_plan(PLAN),
        lambda: reader.finish_plan(RESULT),
        lambda: reader.save_pool(b""),
        lambda: reader.quarantine(said(1)),
    ):
        with pytest.raises(StoreError, match="reading only"):
            call()


def test_there_is_nothing_to_read_before_the_first_writer(make: Make) -> None:
    with pytest.raises(StoreError):
        make(read_only=True)


# --- questions


def test_questions_come_back_as_they_were_asked(make: Make) -> None:
    store = make()
    store.commit_questions([asked("q2", 2.0), asked("q1", 1.0)])
    store.commit_questions([asked("q3", 3.0)])
    store.close()
    again = make()
    assert [question.id for question in again.open_questions()] == ["q2", "q1", "q3"]
    found = again.question("q1")
    assert found is not None
    assert same_question(found, asked("q1", 1.0))
    assert found.features.dtype == np.float32
    assert again.question("q9") is None


def test_a_question_that_is_there_is_left_as_it_is(store: Store) -> None:
    store.commit_questions([asked()])
    store.commit_questions([replace(asked(), round=9), asked("q2", 2.0), asked("q2", 2.0)])
    assert [(question.id, question.round) for question in store.open_questions()] == [("q1", 2), ("q2", 2)]


def test_one_bad_question_keeps_all_out(store: Store) -> None:
    with pytest.raises(BadSample):
        store.commit_questions([asked(), replace(asked("q2"), features=np.zeros(4, np.float32))])
    assert store.questions() == []


def test_a_score_may_be_no_number(make: Make) -> None:
    store = make()
    store.commit_questions([replace(asked(), score=math.nan), replace(asked("q2", 2.0), score=math.inf)])
    store.commit_event(said(1))
    store.close()
    again = make()
    assert math.isnan(again.open_questions()[0].score)
    assert again.open_questions()[1].score == math.inf
    assert math.isnan(again.labels()[0].score or 0.0)


def test_closed_questions_keep_their_first_reason(make: Make) -> None:
    store = make()
    store.commit_questions([asked("q1", 1.0), asked("q2", 2.0)])
    store.close_questions(["q1", "nobody"], "timed_out")
    store.close_questions(["q1"], "answered")
    store.close()
    again = make()
    assert [(question.id, why) for question, why in again.questions()] == [("q1", "timed_out"), ("q2", "")]
    assert [question.id for question in again.open_questions()] == ["q2"]
    assert again.question("q1") is not None
    with pytest.raises(ValueError):
        again.close_questions(["q2"], "")


def test_questions_that_were_taken_back_unseen_are_not_among_the_asked(store: Store) -> None:
    store.commit_questions([asked("q1", 1.0), asked("q2", 2.0), asked("q3", 3.0), asked("q4", 4.0)])
    store.close_questions(["q1", "q2"], "re-ranked")
    store.close_questions(["q3"], "skipped")
    store.commit_event(said(1))
    assert [question.id for question in store.asked()] == ["q1", "q3", "q4"]
    assert len(store.questions()) == 4


# --- answers to what was never asked


def test_row_34_an_answer_to_what_was_never_asked_is_kept_aside_and_is_no_label(make: Make) -> None:
    store = make()
    stray = replace(said(3, question="nobody asked"), key="")
    assert store.quarantine(stray)
    assert store.quarantine(stray)
    assert store.quarantine(replace(stray, id="another", value=None, action="skip"))
    assert store.events() == store.labels() == []
    store.close()
    again = make()
    assert again.quarantined() == [stray, replace(stray, id="another", value=None, action="skip")]
    assert again.events() == again.labels() == []


def test_the_quarantine_has_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sql", "ledger_store"):
        monkeypatch.setattr(f"active_learner.stores.{module}.QUARANTINE_LIMIT", 3)
    kept = [store.quarantine(said(1, name=f"e{number}", question="?")) for number in range(5)]
    assert kept == [True, True, True, False, False]
    assert store.quarantine(said(1, name="e1", question="?"))
    assert [event.id for event in store.quarantined()] == ["e0", "e1", "e2"]


# --- label events


def test_an_answer_is_a_label_with_its_provenance(make: Make) -> None:
    store = make()
    store.commit_questions([asked()])
    assert store.commit_event(said(3)) is Stored.STORED
    store.close()
    again = make()
    (label,) = again.labels()
    assert (label.key, label.value, label.annotator, label.at) == (KEY, 3, "ann", 1800.25)
    assert (label.question, label.round, label.model_version, label.score) == ("q1", 2, 40, 0.25)
    assert np.array_equal(label.features, sample(1.0))
    assert again.events() == [said(3)]


def test_row_30_a_label_written_twice_is_one_label(make: Make) -> None:
    store = make()
    store.commit_questions([asked()])
    assert store.commit_event(said(3)) is Stored.STORED
    assert store.commit_event(said(3)) is Stored.DUPLICATE
    store.close()
    again = make()
    assert again.commit_event(said(3)) is Stored.DUPLICATE
    assert again.commit_event(said(3, name="pressed again")) is Stored.DUPLICATE
    assert len(again.events()) == 1


@pytest.mark.parametrize(
    "other",
    [
        said(2),
        said(2, name="another id"),
        said(None, name="another id", action="skip"),
        said(3, revision=1, action="revise", name="q1-ann-0"),
        said(3, by="bob", name="q1-ann-0"),
        said(3, question="unknown", name="q1-ann-0"),
    ],
)
def test_row_31_another_word_in_the_same_place_is_a_conflict_and_the_first_stays(
    store: Store, other: LabelEvent
) -> None:
    store.commit_questions([asked()])
    store.commit_event(said(3))
    assert store.commit_event(other) is Stored.CONFLICT
    assert store.events() == [said(3)]
    assert values(store) == {KEY: 3}


@pytest.mark.parametrize("since", [said(None, revision=1, action="undo"), said(2, revision=1, action="revise")])
def test_a_word_that_was_taken_back_or_changed_is_repeated_by_its_id_alone(store: Store, since: LabelEvent) -> None:
    """Another labeler of this person, without the answers of the first, begins with revision 0: that word is a new decision."""
    store.commit_questions([asked()])
    store.commit_event(said(3))
    store.commit_event(since)
    assert store.commit_event(said(3)) is Stored.DUPLICATE
    assert store.commit_event(said(3, name="elsewhere")) is Stored.CONFLICT
    assert len(store.events()) == 2
    assert store.commit_event(said(3, revision=2, name="elsewhere again")) is Stored.STORED
    assert values(store) == {KEY: 3}


def test_the_word_of_one_event_under_the_id_of_another_is_a_conflict(store: Store) -> None:
    store.commit_questions([asked()])
    store.commit_event(said(3))
    store.commit_event(said(2, by="bob"))
    assert store.commit_event(said(3, name="q1-bob-0")) is Stored.CONFLICT
    assert len(store.events()) == 2


def test_what_is_surplus_is_judged_and_not_stored(store: Store) -> None:
    store.commit_questions([asked()])
    store.commit_event(said(3))
    assert store.commit_event(said(2, by="bob"), is_surplus=True) is Stored.SURPLUS
    assert store.commit_event(said(3), is_surplus=True) is Stored.DUPLICATE
    assert store.commit_event(said(1), is_surplus=True) is Stored.CONFLICT
    assert store.events() == [said(3)]
    assert store.commit_event(said(2, by="bob")) is Stored.STORED


def test_an_answer_to_what_was_never_asked_is_not_stored(store: Store) -> None:
    assert store.commit_event(said(1)) is Stored.UNKNOWN_QUESTION
    assert store.commit_event(said(1, question="")) is Stored.UNKNOWN_QUESTION
    assert store.events() == []


@pytest.mark.parametrize("why", ["timed_out", "skipped", "known"])
def test_row_32_an_answer_to_a_closed_question_is_stored_as_late(store: Store, why: str) -> None:
    store.commit_questions([asked()])
    store.close_questions(["q1"], why)
    assert store.commit_event(said(3)) is Stored.LATE
    assert store.commit_event(said(3)) is Stored.DUPLICATE
    assert values(store) == {KEY: 3}


def test_an_answered_question_takes_second_opinions_and_revisions(store: Store) -> None:
    store.commit_questions([asked()])
    store.commit_event(said(3))
    store.close_questions(["q1"], "answered")
    assert store.commit_event(said(1, by="bob")) is Stored.STORED
    assert store.commit_event(said(2, revision=1, action="revise")) is Stored.STORED
    assert values(store) == {KEY: 2}


def test_a_revision_of_a_timed_out_question_is_not_late(store: Store) -> None:
    store.commit_questions([asked()])
    store.commit_event(said(3))
    store.close_questions(["q1"], "timed_out")
    assert store.commit_event(said(2, revision=1, action="revise")) is Stored.STORED


def test_a_skip_says_nothing(store: Store) -> None:
    store.commit_questions([asked()])
    assert store.commit_event(said(None, action="skip")) is Stored.STORED
    assert store.labels() == []
    assert store.commit_event(said(1, revision=1, action="revise")) is Stored.STORED
    assert store.commit_event(said(None, revision=2, action="skip")) is Stored.STORED
    assert values(store) == {KEY: 1}


def test_who_cannot_tell_says_nothing_and_is_kept(make: Make) -> None:
    store = make()
    store.commit_questions([asked()])
    assert store.commit_event(said(None, action="cannot_tell", how=HOW)) is Stored.STORED
    assert store.labels() == []
    assert store.commit_event(said(2, by="bob")) is Stored.STORED
    assert store.commit_event(said(None, by="bob", revision=1, action="cannot_tell")) is Stored.STORED
    store.close()
    again = make()
    assert values(again) == {KEY: 2}
    assert [event.action for event in again.events()] == ["cannot_tell", "answer", "cannot_tell"]
    assert again.events()[0].circumstances == HOW


def test_how_a_label_came_to_be_is_kept_as_it_was_said(make: Make) -> None:
    store = make()
    store.commit_questions([asked()])
    store.commit_event(said(3, how=HOW))
    assert store.commit_event(said(3, how="{}")) is Stored.DUPLICATE
    store.quarantine(said(3, question="nobody asked", how=HOW))
    store.add_labels(np.stack([sample(2), sample(3)]), [1, 2], "file", 1.0, ["", HOW])
    store.close()
    again = make()
    assert [label.circumstances for label in again.labels()] == [HOW, "", HOW]
    assert [event.circumstances for event in again.events()] == [HOW, "", HOW]
    assert again.quarantined()[0].circumstances == HOW


@pytest.mark.parametrize("how", BAD_CIRCUMSTANCES)
def test_circumstances_that_are_no_small_flat_object_are_refused(store: Store, how: str) -> None:
    store.commit_questions([asked()])
    with pytest.raises(BadLabel, match="circumstances"):
        store.commit_event(said(3, how=how))
    with pytest.raises(BadLabel, match="circumstances"):
        store.add_labels(sample(2)[None], [1], "file", 1.0, how)
    assert store.events() == []


def test_every_annotator_has_one_vote_and_most_votes_win(make: Make) -> None:
    store = make()
    store.commit_questions([asked()])
    for by, value in (("ann", 3), ("bob", 3), ("cyd", 1)):
        store.commit_event(said(value, by=by))
    (label,) = store.labels()
    assert (label.value, label.annotator, label.votes, label.voters) == (3, "bob", 2, 3)
    store.commit_event(said(1, by="ann", revision=1, action="revise"))
    store.close()
    (label,) = make().labels()
    assert (label.value, label.annotator, label.votes, label.voters) == (1, "ann", 2, 3)


def test_of_as_many_votes_the_last_said_wins(store: Store) -> None:
    store.commit_questions([asked()])
    for by, value in (("ann", 3), ("bob", 1), ("cyd", 1), ("dan", 3)):
        store.commit_event(said(value, by=by))
    assert values(store) == {KEY: 3}
    store.commit_event(said(None, by="dan", revision=1, action="undo"))
    assert values(store) == {KEY: 1}
    store.commit_event(said(2, by="eve"))
    store.commit_event(said(None, by="bob", revision=1, action="undo"))
    (label,) = store.labels()
    assert (label.value, label.annotator, label.votes, label.voters) == (2, "eve", 1, 3)


def test_undo_takes_back_all_that_its_annotator_said_of_the_question(make: Make) -> None:
    store = make()
    store.commit_questions([asked()])
    store.commit_event(said(3))
    store.commit_event(said(2, revision=1, action="revise"))
    assert store.commit_event(said(None, revision=2, action="undo")) is Stored.STORED
    assert store.labels() == []
    store.close()
    again = make()
    assert again.labels() == []
    assert again.commit_event(said(1, revision=3, action="revise")) is Stored.STORED
    assert values(again) == {KEY: 1}


def test_undo_leaves_what_others_said_and_what_was_imported(store: Store) -> None:
    store.add_labels(sample(1)[None], [0], "file", 1.0)
    store.commit_questions([asked(), asked("q2", 1.0)])
    store.commit_event(said(1, question="q2"))
    store.commit_event(said(2, by="bob"))
    store.commit_event(said(3))
    assert values(store) == {KEY: 3}
    store.commit_event(said(None, revision=1, action="undo"))
    assert values(store) == {KEY: 2}
    store.commit_event(said(None, by="bob", revision=1, action="undo"))
    assert values(store) == {KEY: 1}
    store.commit_event(said(None, question="q2", revision=1, action="undo"))
    (label,) = store.labels()
    assert (label.value, label.annotator, label.sequence, label.round, label.score) == (0, "file", 1, 0, None)


def test_labels_come_in_the_order_of_the_events_that_made_them(make: Make) -> None:
    store = make()
    store.commit_questions([asked(f"q{number}", number) for number in (1.0, 2.0, 3.0)])
    for number in (3.0, 1.0, 2.0):
        store.commit_event(said(1, question=f"q{number}", number=number))
    store.commit_event(said(2, question="q3.0", number=3.0, revision=1, action="revise"))
    store.close()
    labels = make().labels()
    assert [label.question for label in labels] == ["q1.0", "q2.0", "q3.0"]
    assert [label.sequence for label in labels] == [2, 3, 4]


@pytest.mark.parametrize(
    "event",
    [
        said(4),
        said(-1),
        said(None),
        said(True),
        said(2.0),
        said(1, action="skip"),
        said(1, action="undo"),
        said(1, action="approve"),
        said(1, revision=-1),
        replace(said(1), at=math.nan),
    ],
)
def test_row_33_an_event_that_makes_no_sense_is_refused(store: Store, event: LabelEvent) -> None:
    store.commit_questions([asked()])
    with pytest.raises(BadLabel):
        store.commit_event(event)
    assert store.events() == []


def test_an_answer_about_another_sample_than_was_asked_is_refused(store: Store) -> None:
    store.commit_questions([asked()])
    with pytest.raises(BadSample):
        store.commit_event(said(1, number=2.0))
    assert store.events() == []


# --- labels nobody was asked for


def test_imported_labels_are_labels_of_round_0(make: Make) -> None:
    store = make()
    assert store.add_labels(np.stack([sample(1), sample(2)]), [3, 0], "file", 12.5) == 2
    store.close()
    again = make()
    assert [(one.value, one.annotator, one.at, one.question, one.round) for one in again.labels()] == [
        (3, "file", 12.5, "", 0),
        (0, "file", 12.5, "", 0),
    ]
    assert [(event.question, event.action) for event in again.events()] == [("", "answer")] * 2


def test_importing_again_changes_nothing(make: Make) -> None:
    store = make()
    rows = np.stack([sample(1), sample(2), sample(1)])
    assert store.add_labels(rows, [3, 0, 3], "file", 1.0) == 2
    assert store.add_labels(rows, [3, 0, 3], "file", 2.0) == 0
    store.close()
    assert make().add_labels(rows, [3, 0, 3], "file", 3.0) == 0


def test_a_changed_import_counts_and_wins(make: Make) -> None:
    store = make()
    store.add_labels(sample(1)[None], [3], "file", 1.0)
    assert store.add_labels(sample(1)[None], [2], "file", 1.0) == 1
    store.close()
    again = make()
    assert again.add_labels(sample(1)[None], [3], "file", 1.0) == 1
    assert values(again) == {KEY: 3}
    assert len({event.id for event in again.events()}) == 3


def test_an_old_file_does_not_undo_what_was_said_since(store: Store) -> None:
    store.add_labels(sample(1)[None], [3], "file", 1.0)
    store.commit_questions([asked()])
    store.commit_event(said(1))
    assert store.add_labels(sample(1)[None], [3], "file", 1.0) == 0
    assert values(store) == {KEY: 1}
    assert store.add_labels(sample(1)[None], [1], "ann", 1.0) == 0


def test_what_an_annotator_took_back_can_be_imported(store: Store) -> None:
    store.commit_questions([asked()])
    store.commit_event(said(1))
    store.commit_event(said(None, revision=1, action="undo"))
    assert store.add_labels(sample(1)[None], [1], "ann", 1.0) == 1
    assert values(store) == {KEY: 1}


def test_each_row_may_have_its_own_annotator_and_time(store: Store) -> None:
    assert store.add_labels(np.stack([sample(1), sample(2)]), [1, 2], ["ann", "bob"], [5.0, 6.0]) == 2
    assert [(one.annotator, one.at) for one in store.labels()] == [("ann", 5.0), ("bob", 6.0)]


def test_numpy_labels_and_other_dtypes_are_taken_as_what_they_mean(store: Store) -> None:
    assert store.add_labels(np.array([[1, 2, 3]], np.int64), np.array([2], np.uint8), "ann", 1.0) == 1
    (label,) = store.labels()
    assert label.key == content_key(np.array([1, 2, 3], np.float32))
    assert type(label.value) is int


def test_minus_zero_is_zero(store: Store) -> None:
    store.add_labels(np.array([[0.0, 1, 2]], np.float32), [1], "ann", 1.0)
    assert store.add_labels(np.array([[-0.0, 1, 2]], np.float32), [1], "ann", 1.0) == 0


def test_nothing_is_a_fine_import(store: Store) -> None:
    assert store.add_labels(np.zeros((0, 3), np.float32), [], "ann", 1.0) == 0


@pytest.mark.parametrize(
    ("features", "labels", "error"),
    [
        (np.zeros((2, 3)), [1, 4], BadLabel),
        (np.zeros((2, 3)), [1, -1], BadLabel),
        (np.zeros((2, 3)), [1, 2.0], BadLabel),
        (np.zeros((2, 3)), [1, True], BadLabel),
        (np.zeros((2, 3)), [1], BadLabel),
        (np.zeros((2, 4)), [1, 1], BadSample),
        (np.full((1, 3), np.nan), [1], BadSample),
        (np.full((1, 3), 1e300), [1], BadSample),
        (np.array([["a", "b", "c"]]), [1], BadSample),
        (np.float32(1.0), [1], BadSample),
    ],
)
def test_one_bad_row_keeps_all_out(
    store: Store, features: np.ndarray, labels: list[int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.add_labels(features, labels, "ann", 1.0)
    assert store.labels() == []


def test_annotators_and_times_must_fit_the_rows(store: Store) -> None:
    with pytest.raises(BadLabel):
        store.add_labels(sample(1)[None], [1], ["ann", "bob"], 1.0)
    with pytest.raises(BadLabel):
        store.add_labels(sample(1)[None], [1], "ann", [1.0, 2.0])
    with pytest.raises(BadLabel):
        store.add_labels(sample(1)[None], [1], "ann", math.inf)


def test_what_is_returned_is_not_the_stores_own(store: Store) -> None:
    mine = sample(1)
    question = replace(asked(), features=mine)
    store.commit_questions([question])
    store.commit_event(said(1))
    mine[0] = 99.0
    store.events().clear()
    store.labels().clear()
    (label,) = store.labels()
    assert label.features[0] == 1.0
    with pytest.raises(ValueError):
        label.features[0] = 5.0


def test_images_and_bits_keep_shape_and_dtype(make: Make) -> None:
    spec = SampleSpec(shape=(2, 3), dtype="uint8", classes=2)
    store = make(spec=spec)
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    store.add_labels(pixels, [0, 1], "ann", 1.0)
    store.close()
    labels = make(spec=spec).labels()
    assert np.array_equal(np.stack([label.features for label in labels]), pixels)
    assert labels[0].features.dtype == np.uint8


# --- rounds and pool


def test_plans_and_results_come_back(make: Make) -> None:
    store = make()
    store.commit_plan(PLAN)
    store.commit_plan(PLAN)
    later = replace(PLAN, round=1, first_step=11, base_version=10)
    store.finish_plan(RESULT)
    store.commit_plan(later)
    store.close()
    assert make().plans() == [(PLAN, RESULT), (later, None)]


def test_a_round_has_one_plan(store: Store) -> None:
    store.commit_plan(PLAN)
    with pytest.raises(WrongStore, match="epochs"):
        store.commit_plan(replace(PLAN, epochs=11))
    assert store.plans() == [(PLAN, None)]


def test_rounds_only_rise(store: Store) -> None:
    store.commit_plan(replace(PLAN, round=3))
    with pytest.raises(WrongStore):
        store.commit_plan(replace(PLAN, round=2))


def test_the_first_result_of_a_round_stays(store: Store) -> None:
    store.commit_plan(PLAN)
    store.finish_plan(RESULT)
    store.finish_plan(replace(RESULT, seconds=9.0))
    assert store.plans() == [(PLAN, RESULT)]


def test_a_round_without_plan_cannot_be_finished(store: Store) -> None:
    with pytest.raises(WrongStore):
        store.finish_plan(RESULT)


def test_the_last_pool_is_kept(make: Make) -> None:
    store = make()
    store.save_pool(b"\x00first")
    store.save_pool(b"\x00second")
    store.close()
    assert make().load_pool() == b"\x00second"


def test_another_thread_may_go_on(store: Store) -> None:
    verdicts: list[Stored] = []

    def work() -> None:
        store.commit_questions([asked()])
        verdicts.append(store.commit_event(said(2)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert verdicts == [Stored.STORED]
    assert values(store) == {KEY: 2}
