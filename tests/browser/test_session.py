"""A whole session at the labeling page: start, answer by keys, undo, correct, skip, reload, two people side by side."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.browser.desk import GUIDE, Desk, melodies
from tests.browser.serving import Serving
from tests.browser.visit import Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]


def values(desk: Desk) -> list[tuple[str, int | None]]:
    return [(word["action"], word["value"]) for word in desk.unique()]


def test_the_start_shows_the_guide_the_volume_and_the_keys(serve: Serve, visit: Open) -> None:
    start = visit(serve()).page.locator("#start")
    assert start.locator("dd").all_inner_texts() == list(GUIDE.values())
    start.get_by_label("Volume").wait_for()
    assert "plays it again" in start.inner_text()


def test_digits_answer_and_the_next_question_is_there_at_once(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    first = person.question
    person.answer("3", "5", "0")
    person.saved()
    assert values(serving.desk) == [("answer", 3), ("answer", 5), ("answer", 0)]
    assert serving.desk.answers[0]["question"] == first
    assert person.chips() == ["0", "5", "3"]


def test_the_circumstances_go_with_the_answer(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.until("activeLearner.player.heard > 0.2")
    person.page.keyboard.press(" ")
    person.until("activeLearner.player.plays === 2")
    person.page.keyboard.press("w")
    person.page.keyboard.press("]")
    person.answer("4")
    person.saved()
    found = serving.desk.answers[0]["circumstances"]
    assert found.pop("heard_s") > 0.2
    assert found == {"plays": 2, "speed": 1.5, "roll": True, "reasons": True}


def test_the_roll_can_be_hidden_and_that_is_told(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.page.keyboard.press("h")
    person.page.get_by_text("Roll hidden: only listen").wait_for()
    assert not person.page.locator("canvas.roll").is_visible()
    person.answer("1", "2")
    person.saved()
    assert [word["circumstances"]["roll"] for word in serving.desk.answers] == [True, False]


def test_undo_takes_back_and_asks_the_same_again(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    first = person.question
    person.answer("2")
    second = person.question
    person.press("Backspace")
    person.until("id => activeLearner.session.current.id === id", first)
    assert person.chips() == []
    person.answer("4")
    assert person.question == second
    person.saved()
    assert values(serving.desk) == [("answer", 2), ("undo", None), ("answer", 4)]
    assert {word["question"] for word in serving.desk.answers} == {first}


def test_a_chip_corrects_an_earlier_answer_in_the_same_place(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    first = person.question
    person.answer("1", "2", "3")
    now = person.question
    person.button("Answered 1").click()
    person.page.get_by_text("You answered 1. Press another answer to change it.").wait_for()
    assert person.page.locator(".answer.was").inner_text() == "1"
    person.press("5")
    person.until("id => activeLearner.session.shown.id === id", now)
    assert person.live() == "Corrected from 1 to 5. Back to the question."
    person.saved()
    assert serving.desk.answers[-1]["question"] == first
    assert values(serving.desk)[-1] == ("revise", 5)
    assert person.chips() == ["3", "2", "5"]


def test_escape_keeps_what_was_answered(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.answer("1")
    person.button("Answered 1").click()
    person.page.keyboard.press("Escape")
    person.page.locator("#correcting").wait_for(state="hidden")
    person.saved()
    assert values(serving.desk) == [("answer", 1)]


def test_skip_and_cannot_tell_go_on_and_are_told(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.answer("ArrowRight", "-")
    person.saved()
    assert values(serving.desk) == [("skip", None), ("cannot_tell", None)]
    assert person.chips() == ["–", "skip"]


def test_an_answer_corrected_to_cannot_tell_is_taken_back_first(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.answer("1")
    person.button("Answered 1").click()
    person.press("-")
    person.page.locator("#correcting").wait_for(state="hidden")
    person.saved()
    assert values(serving.desk) == [("answer", 1), ("undo", None), ("cannot_tell", None)]


def test_why_this_one_says_how_it_was_chosen(serve: Serve, visit: Open) -> None:
    person = visit(serve()).start()
    person.page.keyboard.press("w")
    facts = person.page.locator("#why").inner_text()
    assert [word in facts for word in ("0.93", "1 of 200", "entropy", "v18")] == [True] * 4
    person.page.keyboard.press("w")
    assert not person.page.locator("#why").is_visible()


def test_too_early_an_answer_is_refused_in_words_and_a_skip_is_not(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), me={"min_listen_s": 600}))
    person = visit(serving).start()
    person.until("activeLearner.asking")
    person.until("activeLearner.player.heard > 0.2")
    person.page.keyboard.press("3")
    assert person.live().startswith("Listen ")
    assert person.page.locator(".answer[aria-disabled=true]").count() == 6
    person.page.keyboard.press("ArrowRight")
    person.saved()
    person.until("activeLearner.session.past.length === 1")
    assert values(serving.desk) == [("skip", None)]


def test_a_held_key_answers_once(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.until("activeLearner.answerable")
    for _ in range(5):
        person.page.keyboard.down("3")
    person.until("activeLearner.answerable")
    person.page.keyboard.down("3")
    person.page.keyboard.up("3")
    person.answer("4")
    person.saved()
    assert values(serving.desk) == [("answer", 3), ("answer", 4)]


def test_keys_of_the_config_are_used_and_printed(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), me={"keys": {"skip": "s", "undo": "u", "3": "j"}}))
    person = visit(serving).start()
    assert person.button("Skip").inner_text().split() == ["Skip", "S"]
    assert person.page.locator(".answer").nth(3).inner_text().split() == ["J", "3"]
    person.answer("s", "j")
    person.press("u")
    person.until("activeLearner.session.past.length === 1")
    person.saved()
    assert values(serving.desk) == [("skip", None), ("answer", 3), ("undo", None)]


def test_a_mouse_answers_too_and_space_then_plays(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.until("activeLearner.answerable")
    person.page.locator(".answer").nth(2).click()
    person.until("activeLearner.session.past.length === 1 && activeLearner.player.plays === 1")
    person.page.keyboard.press(" ")
    person.until("activeLearner.player.plays === 2")
    person.saved()
    assert values(serving.desk) == [("answer", 2)]


def test_a_reload_in_the_middle_goes_on_where_it_was(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.answer("1", "2")
    person.saved()
    before = person.question
    person.open("/")
    assert person.question == before
    person.start()
    assert person.chips() == ["2", "1"]
    person.press("Backspace")
    person.until("activeLearner.session.past.length === 1")
    person.answer("5")
    person.saved()
    assert values(serving.desk) == [("answer", 1), ("answer", 2), ("undo", None), ("answer", 5)]


def test_an_answer_of_long_ago_is_found_and_corrected(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    first = person.question
    person.answer(*"012345012345")
    person.saved()
    assert person.chips() == [*"5432105432"]
    person.button("Earlier answers").click()
    person.until("document.querySelectorAll('#history .given').length === 12")
    assert person.page.locator("#history-more").is_hidden()
    person.page.locator(f"#history [data-past='{first}']").click()
    person.press("5")
    person.saved()
    assert [word for word in serving.desk.unique() if word["question"] == first][1]["action"] == "revise"
    assert person.chips() == [*"543210543215"]


def test_a_page_that_is_loaded_again_finds_its_earlier_answers(serve: Serve, visit: Open) -> None:
    person = visit(serve()).start()
    person.answer(*"012345012345")
    person.saved()
    person.open("/")
    person.start()
    assert person.chips() == [*"5432105432"]
    person.button("Earlier answers").click()
    person.until("document.querySelectorAll('#history .given').length === 12")
    assert person.chips() == [*"543210543210"]


def test_what_cannot_be_shown_any_more_can_be_taken_back_and_is_asked_again(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    first = person.question
    person.answer("1", "2", "3")
    person.saved()
    serving.desk.shows = 1
    person.open("/")
    person.start()
    shown = person.question
    person.page.locator(f"#history [data-past='{first}']").click()
    person.saved()
    assert (serving.desk.unique()[-1]["action"], serving.desk.unique()[-1]["question"]) == ("undo", first)
    assert "Took back 1. It is asked again soon." in person.live()
    assert person.question == shown
    assert person.chips() == ["3", "2"]
    person.until("id => activeLearner.session.ready.some((one) => one.id === id)", first)


def test_the_page_gives_its_questions_back_when_it_goes(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving)
    held = person.say("activeLearner.session.held")
    assert len(held) == 3
    person.page.goto("about:blank")
    assert serving.desk.gave.wait(60)
    (said,) = serving.desk.leases
    assert len(said.pop("page")) == 32
    assert said == {"wants": 0, "holds": [], "gives": held, "csrf": "csrf-anna", "annotator": "anna"}
    assert serving.desk.held == {}


def test_a_tab_that_closes_leaves_its_questions_to_another_tab_of_the_same_person(serve: Serve, visit: Open) -> None:
    serving = serve()
    tabs = [visit(serving) for _ in range(2)]
    for tab in tabs:
        tab.until("activeLearner.stream.live")
    held = set(tabs[1].say("activeLearner.session.held"))
    tabs[0].page.goto("about:blank")
    assert serving.desk.gave.wait(60)
    assert held <= serving.desk.held.keys()
    serving.desk.gave.clear()
    tabs[1].page.goto("about:blank")
    assert serving.desk.gave.wait(60)
    assert serving.desk.held == {}


def test_two_people_side_by_side_never_have_the_same_question(serve: Serve, visit: Open) -> None:
    serving = serve()
    people = [visit(serving, annotator=name).start() for name in ("anna", "ben")]
    for _ in range(4):
        assert len({person.question for person in people}) == 2
        for person in people:
            person.answer("3")
    for person in people:
        person.saved()
    asked = [word["question"] for word in serving.desk.answers]
    assert len(set(asked)) == len(asked) == 8
    assert {word["annotator"] for word in serving.desk.answers} == {"anna", "ben"}


def test_nothing_to_ask_says_why_and_goes_on_by_itself(serve: Serve, visit: Open) -> None:
    desk = Desk(list(melodies(2)))
    serving = serve(desk)
    person = visit(serving).start()
    person.answer("1", "2")
    person.page.get_by_role("heading", name="Nothing to ask right now").wait_for()
    person.page.get_by_text("The pool fills: 40 of 200.").wait_for()
    person.saved()
    desk.questions.append({**desk.questions[0], "id": "f" * 32})
    serving.say("questions", {})
    person.until("activeLearner.session.current?.id.startsWith('ffff')")
    person.page.get_by_role("heading", name="How good is this melody?").wait_for()


def test_a_question_that_was_closed_goes_away(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    shown, *_ = person.say("activeLearner.session.held")
    del serving.desk.questions[0]
    serving.say("closed", {"question": shown, "why": "somebody else answered it"})
    person.until("id => activeLearner.session.current.id !== id", shown)
    assert "somebody else answered it" in person.page.locator("#notice").inner_text()


def test_the_end_of_the_run_is_told(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    serving.say("ended", {"text": "The goal of 200 labels is reached."})
    person.page.get_by_text("The goal of 200 labels is reached.").wait_for()
    assert not person.page.locator("#dock").is_visible()


def test_what_a_round_has_gained_is_told_when_its_status_came_first(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), status={"labels": 5, "accuracy": 0.5, "model_version": 1}))
    person = visit(serving).start()
    progress = person.page.locator("#progress")
    for accuracy, gain in ((0.55, "+5.0"), (0.52, "\u22123.0")):
        serving.say("status", {"labels": 10, "accuracy": accuracy, "model_version": 2})
        serving.say("round", {"line": {"round": 2, "labels": 10, "accuracy": accuracy, "model_version": 2}})
        progress.get_by_text(gain).wait_for()
    serving.say("round", {"line": {"round": 3, "labels": 15, "accuracy": 0.52, "model_version": 3}})
    serving.say("status", {"labels": 15, "accuracy": 0.52, "model_version": 3})
    progress.get_by_text("\u22123.0").wait_for(state="detached")
    assert "0.0" not in progress.inner_text().replace("52.0", "")


def test_the_volume_of_the_help_can_be_moved(serve: Serve, visit: Open) -> None:
    person = visit(serve()).start()
    person.page.keyboard.press("?")
    slider = person.page.locator("#help").get_by_label("Volume").bounding_box()
    assert slider is not None
    assert slider["width"] > 100


def test_the_help_says_what_the_answers_mean(serve: Serve, visit: Open) -> None:
    person = visit(serve()).start()
    person.page.keyboard.press("?")
    assert person.page.locator("#help .guide dd").all_inner_texts() == list(GUIDE.values())


def test_answers_have_keys_of_the_config_too(serve: Serve, visit: Open) -> None:
    me = {"keys": {"0": "a", "1": "h"}, "class_names": ["dull", "good"], "guide": {}}
    serving = serve(Desk(list(melodies()), classes=2, me=me))
    person = visit(serving).start()
    assert person.page.locator(".answer").all_inner_texts() == ["A\ndull", "H\ngood"]
    person.answer("h", "a")
    person.saved()
    assert values(serving.desk) == [("answer", 1), ("answer", 0)]
    person.page.keyboard.press("Shift+H")
    person.page.get_by_text("Roll hidden: only listen").wait_for()


@pytest.mark.parametrize("width", [1280, 700, 360])
def test_nothing_moves_when_a_round_begins(serve: Serve, visit: Open, width: int) -> None:
    idle = {"labels": 150, "accuracy": 0.5, "model_version": 18, "open_questions": 12, "training": "idle"}
    serving = serve(Desk(list(melodies()), status=idle, me={"labels_goal": 200}))
    person = visit(serving, viewport={"width": width, "height": 800}).start()
    place = person.page.locator("#answers").bounding_box()
    serving.say("status", {**idle, "training": "computing", "epoch": 4, "epochs": 10, "batch": 3, "batches": 8})
    person.page.locator("#progress .busy").wait_for()
    assert person.page.locator("#answers").bounding_box() == place
    assert person.say("document.documentElement.scrollWidth") <= width
    parts = person.page.locator("#progress > div")
    boxes = [box for one in parts.all() if (box := one.bounding_box())]
    assert all(left["x"] + left["width"] <= right["x"] for left, right in pairwise(boxes))
