"""Any history of a store, reopened at any point, is what a naive model of base.py's words says."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from active_learner.core.records import AskedQuestion, LabelEvent, SampleSpec, content_key
from active_learner.stores import VARIANTS, open_store
from active_learner.stores.base import Store, Stored

SPEC = SampleSpec(shape=(2,), dtype="uint8", classes=3)
SAMPLES = [np.array([number, 1], np.uint8) for number in range(3)]
KEYS = [content_key(sample) for sample in SAMPLES]
PEOPLE = ["ann", "bob", "=cmd()\n'"]
URLS = {"sqlite": "sqlite:///labels.db", "csv": "csv:labels.csv", "memory": "memory:labels"}
MEMORY_DISK = Path("/dev/shm")  # what is tested here is the meaning, not the disk

numbers = st.integers(0, 2)
people = st.sampled_from(PEOPLE)
Said = tuple[str, str, str, str, int | None]
"""Question, key, annotator, action, value."""


class StoreMachine(RuleBasedStateMachine):
    variant = "memory"

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None)
        self.store = self.open()
        self.run = self.store.run
        self.asked: dict[str, tuple[int, str]] = {}
        self.said: list[tuple[str, int, Said]] = []
        self.term = 0
        self.pool: bytes | None = None

    def open(self) -> Store:
        store = open_store(URLS[self.variant], Path(self.folder.name))
        store.open("digits", SPEC)
        return store

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    # --- what happens

    @rule(samples=st.lists(numbers, min_size=1, max_size=3))
    def ask(self, samples: list[int]) -> None:
        made = []
        for sample in samples:
            name = f"q{len(self.asked)}"
            self.asked[name] = (sample, "")
            made.append(AskedQuestion(name, KEYS[sample], SAMPLES[sample], 1, "margin", 0.5, 1, 2, False, 9, 1.0))
        self.store.commit_questions([*made, made[0]])

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 9), why=st.sampled_from(["answered", "timed_out"]))
    def close(self, which: int, why: str) -> None:
        name = f"q{which}"
        self.store.close_questions([name], why)
        if name in self.asked and not self.asked[name][1]:
            self.asked[name] = (self.asked[name][0], why)

    @rule(
        name=st.integers(0, 20),
        which=st.integers(0, 5),
        by=people,
        revision=numbers,
        action=st.sampled_from(["answer", "answer", "revise", "undo", "skip", "cannot_tell"]),
        value=numbers,
        is_surplus=st.sampled_from([False, False, True]),
    )
    def say(self, name: int, which: int, by: str, revision: int, action: str, value: int, is_surplus: bool) -> None:
        question = f"q{which}"
        sample, closed = self.asked.get(question, (0, ""))
        word: Said = (question, KEYS[sample], by, action, value if action in ("answer", "revise") else None)
        event = LabelEvent(f"e{name}", question, KEYS[sample], by, revision, action, word[4], 5.0)
        before = [
            (other_revision, other)
            for other_id, other_revision, other in self.said
            if other_id == event.id or (other[0], other[2], other_revision) == (question, by, revision)
        ]
        if before:
            own = [later for _, later, other in self.said if (other[0], other[2]) == (question, by)]
            is_repeat = event.id in {other_id for other_id, *_ in self.said} or max(own) <= revision
            expected = Stored.DUPLICATE if set(before) == {(revision, word)} and is_repeat else Stored.CONFLICT
        elif question not in self.asked:
            expected = Stored.UNKNOWN_QUESTION
        elif is_surplus:
            expected = Stored.SURPLUS
        else:
            expected = Stored.LATE if action == "answer" and closed == "timed_out" else Stored.STORED
            self.said.append((event.id, revision, word))
        assert self.store.commit_event(event, is_surplus=is_surplus) is expected

    @rule(rows=st.lists(st.tuples(numbers, numbers, people), min_size=1, max_size=4))
    def import_labels(self, rows: list[tuple[int, int, str]]) -> None:
        new = 0
        for sample, value, by in rows:
            if self.word_of(KEYS[sample], by) != value:
                new += 1
                self.said.append(("", 0, ("", KEYS[sample], by, "answer", value)))
        features = np.stack([SAMPLES[sample] for sample, _, _ in rows])
        values, names = [value for _, value, _ in rows], [by for _, _, by in rows]
        assert self.store.add_labels(features, values, names, 3.0) == new

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()
        assert self.store.next_term() == self.term + 1
        self.term += 1

    @rule(snapshot=st.binary(max_size=5))
    def save_pool(self, snapshot: bytes) -> None:
        self.store.save_pool(snapshot)
        self.pool = snapshot

    # --- what must be

    def standing(self, key: str, by: str) -> list[tuple[int, int]]:
        """The values that an annotator said of a sample and did not take back, oldest first, each with its place."""
        kept = []
        for place, (_, _, (question, about, who, _, value)) in enumerate(self.said):
            taken_back = any(
                (later[0], later[2], later[3]) == (question, who, "undo") for _, _, later in self.said[place + 1 :]
            )
            if about == key and value is not None and not taken_back and by == who:
                kept.append((place, value))
        return kept

    def word_of(self, key: str, by: str) -> int | None:
        return next((value for _, value in reversed(self.standing(key, by))), None)

    def elected(self, key: str) -> int | None:
        """Of the values that most say, the one that was said last."""
        votes = sorted(self.standing(key, by)[-1] for by in PEOPLE if self.standing(key, by))
        said = [value for _, value in votes]
        return max(reversed(said), key=said.count, default=None)

    @invariant()
    def labels_are_what_most_say(self) -> None:
        expected = {key: self.elected(key) for key in KEYS if self.elected(key) is not None}
        labels = self.store.labels()
        assert {label.key: label.value for label in labels} == expected
        assert [label.sequence for label in labels] == sorted({label.sequence for label in labels})
        for label in labels:
            assert np.array_equal(label.features, SAMPLES[KEYS.index(label.key)])

    @invariant()
    def events_are_all_that_was_stored(self) -> None:
        kept = [(one.question, one.key, one.annotator, one.action, one.value) for one in self.store.events()]
        assert kept == [word for _, _, word in self.said]

    @invariant()
    def questions_are_open_until_closed(self) -> None:
        expected = [(name, why) for name, (_, why) in self.asked.items()]
        assert [(question.id, why) for question, why in self.store.questions()] == expected
        assert [one.id for one in self.store.open_questions()] == [name for name, why in expected if not why]

    @invariant()
    def run_and_pool_stay(self) -> None:
        assert self.store.run == self.run
        assert self.store.load_pool() == self.pool


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_store_is_its_model(variant: str) -> None:
    machine = type(f"{variant}Machine", (StoreMachine,), {"variant": variant})
    quick = settings(
        max_examples={"memory": 60, "csv": 20, "sqlite": 10}[variant],
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=quick)
