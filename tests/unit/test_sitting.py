"""A sitting at the full screen: keys in, replies out, and what is on the screen. No terminal, no clock."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from active_learner.core.records import SampleSpec
from active_learner.errors import ConfigError
from active_learner.oracles import views
from active_learner.oracles.base import Reply
from active_learner.oracles.keys import COMMANDS, Keys, make_keys
from active_learner.oracles.sitting import UNSEEN_S, Leave, Sitting
from protocol.messages import Action, AnswerReceipt, Question

NAMES = ("cat", "cow", "dog")


def question(id: str, **fields: Any) -> Question:
    given: dict[str, Any] = {
        "key": "", "features": np.ones(2, np.float32), "media": "table", "classes": 3, "round": 2, "strategy": "margin",
        "score": 0.5, "rank": 1, "model_version": 7, "stale": False, "pool": 200,
    }  # fmt: skip
    return Question(id=id, **(given | fields))


class Person:
    """At a sitting whose clock stands still; `later` lets time pass."""

    def __init__(self, classes: int = 3, names: tuple[str, ...] = NAMES, keys: Keys | None = None) -> None:
        self.now = 0.0
        spec = SampleSpec((2,), "float32", classes, "table", names)
        self.sitting = Sitting(spec, make_keys(classes, names) if keys is None else keys, lambda: self.now)

    def asked(self, id: str, **fields: Any) -> None:
        self.sitting.asked(question(id, **fields), 4)
        self.now += 1

    def types(self, *keys: str) -> list[Reply]:
        """What was decided, without how it came about."""
        return [replace(reply, circumstances="") for reply in self.replies(*keys)]

    def replies(self, *keys: str) -> list[Reply]:
        return [reply for key in keys if (reply := self.sitting.pressed(key)) is not None]

    def is_told(self, question: str, status: str = "stored", text: str = "") -> None:
        self.sitting.told(AnswerReceipt("a", question, status, text))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(one.question.id, one.state) for one in self.sitting.past]


@pytest.fixture
def person() -> Person:
    return Person()


class TestAnswering:
    def test_a_digit_answers_and_the_next_key_answers_nothing_until_the_next_question(self, person: Person) -> None:
        person.asked("q1")
        assert person.types("2", "1") == [Reply("q1", Action.ANSWER, 2)]

    def test_skip_and_cannot_tell_are_decisions_without_a_label(self, person: Person) -> None:
        person.asked("q1")
        assert person.types("right") == [Reply("q1", Action.SKIP, None)]
        person.asked("q2")
        assert person.types("-") == [Reply("q2", Action.CANNOT_TELL, None)]
        assert (person.sitting.decided.answered, person.sitting.decided.unsaved) == (0, 2)

    def test_a_bouncing_key_does_not_answer_a_question_unseen(self, person: Person) -> None:
        person.sitting.asked(question("q1"), 0)
        person.now = UNSEEN_S * 0.9
        assert person.types("1") == []
        person.now = UNSEEN_S
        assert person.types("1") == [Reply("q1", Action.ANSWER, 1)]

    def test_how_long_it_was_seen_and_how_often_heard_goes_with_the_decision(self, person: Person) -> None:
        person.asked("q1")
        person.sitting.look.plays += 2
        person.now += 0.504
        (answer,) = person.replies("2")
        assert json.loads(answer.circumstances) == {"shown_s": 1.5, "plays": 2}
        person.asked("q2")
        person.replies("up", "enter")
        person.now += 3
        (change,) = person.replies("1")
        assert json.loads(change.circumstances) == {"shown_s": 3.0}
        (skip,) = person.replies("right")
        assert json.loads(skip.circumstances) == {"shown_s": 4.0}
        (undo,) = person.replies("backspace")
        assert undo == Reply("q2", Action.UNDO, None)

    def test_the_same_question_put_again_does_not_start_that_time_anew(self, person: Person) -> None:
        person.asked("q1")
        assert person.sitting.asked(question("q1"), 3) is False
        assert person.types("1") == [Reply("q1", Action.ANSWER, 1)]

    @pytest.mark.parametrize("key", ["3", "x", "left", "f5", "", "escape", "enter", "down"])
    def test_other_keys_answer_nothing(self, person: Person, key: str) -> None:
        person.asked("q1")
        assert person.types(key) == []
        assert person.sitting.question is not None

    def test_an_answer_that_this_question_does_not_have_is_told(self, person: Person) -> None:
        person.asked("q1", classes=2)
        assert person.types("2") == []
        assert person.sitting.notices[-1] == "this question has no answer 2: allowed are 0 to 1"

    def test_a_withdrawn_question_takes_no_answer(self, person: Person) -> None:
        person.asked("q1")
        person.sitting.withdrawn()
        assert person.types("1", "right", "-") == []

    def test_leaving(self, person: Person) -> None:
        with pytest.raises(Leave):
            person.types("q")


class TestSaved:
    def test_is_said_only_after_the_receipt(self, person: Person) -> None:
        person.asked("q1")
        person.types("1")
        assert person.states == [("q1", "sending")]
        assert "0 saved, 1 not saved yet" in views.head(person.sitting).plain
        person.is_told("q1")
        assert person.states == [("q1", "saved")]
        assert views.head(person.sitting).plain == "1 answered, 1 saved; 4 more waiting"
        assert person.sitting.notices[-1] == "saved: 1 cow"

    def test_a_changed_answer_is_saved_with_its_own_receipt(self, person: Person) -> None:
        person.asked("q1")
        person.types("1", "up", "enter", "2")
        person.is_told("q1")
        assert person.states == [("q1", "sending")]
        person.is_told("q1")
        assert person.states == [("q1", "saved")]

    def test_a_full_disk_is_told_and_the_answer_goes_on_being_sent(self, person: Person) -> None:
        person.asked("q1")
        person.types("1")
        person.is_told("q1", "storage_full", "no space")
        assert person.states == [("q1", "sending")]
        assert person.sitting.notices[-1].startswith("not saved yet: the trainer cannot write now")

    def test_a_refused_answer_has_a_sign_of_its_own_and_can_be_given_again(self, person: Person) -> None:
        person.asked("q1")
        person.types("1")
        person.is_told("q1", "conflict")
        assert person.states == [("q1", "refused")]
        assert "! refused" in views.past(person.sitting).plain
        assert person.types("up", "enter", "1") == [Reply("q1", Action.REVISE, 1)]

    @pytest.mark.parametrize("status", ["surplus", "unknown_question"])
    def test_what_is_kept_aside_is_not_called_saved(self, person: Person, status: str) -> None:
        person.asked("q1")
        person.types("1")
        person.is_told("q1", status)
        assert (person.states, person.sitting.decided.saved) == ([("q1", "aside")], 0)
        assert "~ aside" in views.past(person.sitting).plain

    def test_a_receipt_of_what_was_never_said_changes_nothing(self, person: Person) -> None:
        person.is_told("q9", "stored", "late")
        assert (person.sitting.decided.saved, person.states) == (0, [])


class TestUndoAndChange:
    def test_undo_takes_the_last_one_back_and_then_the_one_before(self, person: Person) -> None:
        for name, key in (("q1", "1"), ("q2", "right")):
            person.asked(name)
            person.types(key)
        assert person.types("backspace", "backspace") == [
            Reply("q2", Action.UNDO, None),
            Reply("q1", Action.UNDO, None),
        ]
        assert (person.sitting.decided.answered, person.types("backspace")) == (0, [])
        assert person.sitting.notices[-1] == "there is nothing to undo"

    def test_any_of_the_last_hundred_can_be_opened_and_changed(self, person: Person) -> None:
        for number in range(102):
            person.asked(f"q{number}")
            person.types("1")
        assert [name for name, _ in person.states] == [f"q{number}" for number in range(2, 102)]
        person.asked("q102")
        person.types("up", *["up"] * 120, "enter")
        assert person.sitting.shown is not None
        assert person.sitting.shown.id == "q2"
        assert views.title(person.sitting).plain == "You said 1 cow. Another answer changes it; Esc keeps it."
        assert person.types("2") == [Reply("q2", Action.REVISE, 2)]
        assert person.sitting.shown.id == "q102"

    def test_a_skipped_one_gets_its_answer_later(self, person: Person) -> None:
        person.asked("q1")
        person.types("right")
        assert person.types("up", "enter", "0") == [Reply("q1", Action.REVISE, 0)]
        assert person.sitting.decided.answered == 1

    def test_esc_keeps_it_and_the_same_answer_says_nothing(self, person: Person) -> None:
        person.asked("q1")
        person.types("1")
        assert person.types("up", "enter", "escape", "up", "enter", "1") == []
        assert person.sitting.correcting is None

    def test_the_chosen_one_can_be_taken_back(self, person: Person) -> None:
        for name in ("q1", "q2"):
            person.asked(name)
            person.types("1")
        assert person.types("up", "up", "backspace") == [Reply("q1", Action.UNDO, None)]
        assert person.types("up", "enter", "backspace") == [Reply("q2", Action.UNDO, None)]

    def test_one_of_long_ago_is_found_in_a_list_that_fits_the_screen(self, person: Person) -> None:
        for number in range(30):
            person.asked(f"q{number}")
            person.types("1")
        person.types("up")
        lines = views.page(person.sitting).plain.splitlines()
        assert len(lines) == 1 + views.ROWS
        assert (lines[0], lines[-1][:2]) == ("  (20 earlier)", "> ")
        person.types(*["up"] * 29)
        lines = views.page(person.sitting).plain.splitlines()
        assert (lines[0][:2], lines[-1]) == ("> ", "  (20 later)")
        assert person.types("enter", "0") == [Reply("q0", Action.REVISE, 0)]

    def test_skip_of_a_decided_one_says_what_can_be_done(self, person: Person) -> None:
        person.asked("q1")
        person.types("1")
        assert person.types("up", "enter", "right", "-") == []
        assert person.sitting.notices[-1] == "an answer is changed by another one, or taken back (Bksp)"

    def test_one_that_is_asked_again_after_an_undo_is_listed_once(self, person: Person) -> None:
        person.asked("q1")
        person.types("1", "backspace")
        person.asked("q1")
        person.types("2")
        assert person.states == [("q1", "sending")]


class TestPages:
    def test_keys_of_answers_do_nothing_behind_a_list_or_the_help(self, person: Person) -> None:
        person.asked("q1")
        assert person.types("?", "1", "right", "?", "/", "escape", "1") == [Reply("q1", Action.ANSWER, 1)]

    def test_why_this_one(self, person: Person) -> None:
        person.asked("q1", stale=True, score=0.123456)
        person.types("w")
        assert person.sitting.why
        words = views.why(person.sitting).plain
        assert "Of 200 samples in the pool it was asked as number 1: the network's two best guesses" in words
        assert "score 0.123, rank 1, strategy margin, model 7, which was not the newest, pool 200, round 2" in words

    def test_a_strategy_of_ones_own_is_named_and_cannot_paint(self, person: Person) -> None:
        person.asked("q1", strategy="[red]mine\x1b[2J")
        assert "the strategy [red]mine\\x1b[2J put it there" in views.why(person.sitting).plain

    def test_with_more_answers_than_keys_one_is_found_by_name_or_number(self) -> None:
        person = Person(40, tuple(f"kind {number}" for number in range(40)))
        person.asked("q1", classes=40)
        assert views.answers(person.sitting, 80).plain == "40 answers: / finds one by name or number"
        assert person.types("/", "k", "enter") == []
        assert person.sitting.notices[-1] == "40 answers fit 'k': type until it is one"
        assert person.types("backspace", "3", "7", "enter") == [Reply("q1", Action.ANSWER, 37)]

    def test_what_is_typed_to_find_one_can_be_corrected(self) -> None:
        person = Person(40, tuple(f"kind {number}" for number in range(40)))
        person.asked("q1", classes=40)
        assert person.types("/", "q", "?", "backspace", "backspace", "n", "d", "space", "3", "9", "enter") == [
            Reply("q1", Action.ANSWER, 39)
        ]

    def test_the_help_has_every_key_and_the_last_notices(self, person: Person) -> None:
        person.sitting.notice("the trainer is away\x1b[31m")
        person.types("?")
        shown = views.page(person.sitting).plain
        assert all(what in shown for _, what in COMMANDS.values())
        assert "the trainer is away\\x1b[31m" in shown

    @pytest.mark.parametrize("width", [20, 40, 80])
    def test_a_key_and_its_words_stay_on_a_line(self, person: Person, width: int) -> None:
        lines = views.commands(person.sitting, width).plain.split("\n")
        assert all(len(line) <= width for line in lines)
        assert any("q leave" in line for line in lines)


class TestKeys:
    def test_digits_up_to_ten_classes(self) -> None:
        assert make_keys(10).answers == tuple("0123456789")

    def test_the_first_free_letter_of_the_name_above_that(self) -> None:
        names = ("cat", "cow", "crab", "dog", "eel", "cod", "ox", "yak", "asp", "auk", "ray")
        keys = make_keys(11, names)
        assert keys.answers == ("c", "o", "r", "d", "e", "a", "x", "y", "s", "u", "b")

    def test_commands_are_capitals_where_letters_answer(self) -> None:
        keys = make_keys(36)
        assert (len(set(keys.answers)), keys.commands["why"], keys.printed("why")) == (36, "W", "Shift+W")
        assert (keys.answer("w"), keys.command("W"), keys.command("w")) == (22, "why", "")

    def test_more_classes_than_keys(self) -> None:
        assert make_keys(37).answers == ()

    def test_every_key_is_printed_from_the_table_that_handles_it(self) -> None:
        person = Person(keys=make_keys(3, NAMES, {"skip": "s", "undo": "f2"}))
        person.asked("q1")
        assert "s skip" in views.commands(person.sitting, 80).plain
        assert person.types("right") == []
        assert person.types("s", "f2") == [Reply("q1", Action.SKIP, None), Reply("q1", Action.UNDO, None)]

    @pytest.mark.parametrize(
        ("own", "told"),
        [
            ({"skip": "1"}, "labeler.keys.skip: '1' has another meaning already: it answers 1"),
            ({"skip": "w"}, "labeler.keys.why: 'w' has another meaning already: it is skip"),
            ({"jump": "j"}, "labeler.keys.jump: no such command; there are replay, skip,"),
            ({"skip": "ctrl+s"}, "labeler.keys.skip: 'ctrl+s' is no key; a character, or one of space,"),
            ({"skip": "\x1b"}, "labeler.keys.skip: '\\x1b' is no key"),
            ({"skip": ""}, "labeler.keys.skip: '' is no key"),
        ],
    )
    def test_a_key_that_is_none_or_has_two_meanings_is_told(self, own: dict[str, str], told: str) -> None:
        with pytest.raises(ConfigError) as caught:
            make_keys(3, NAMES, own)
        assert told in str(caught.value)
