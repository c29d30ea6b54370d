"""The service goes and comes back: answers are kept in the browser and sent once, in order; saved is said when it is so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.desk import Desk, melodies
from tests.browser.serving import Serving
from tests.browser.visit import LOST, Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]


def sent(desk: Desk) -> list[int | None]:
    return [word["value"] for word in desk.unique()]


def kept(person: Visit) -> list[dict[str, Any]]:
    """What the browser's storage holds, in order."""
    script = "Object.keys(localStorage).filter((key) => key.includes('/unsent/')).sort().map((key) => JSON.parse(localStorage[key]).body)"
    words: list[dict[str, Any]] = person.say(script)
    return words


def lose(serving: Serving, person: Visit) -> None:
    """The service goes, and the page has seen it."""
    person.expected = LOST
    serving.stop()
    person.way("away")


def test_answers_go_on_while_the_service_is_away_and_are_sent_once_in_order(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.answer("1")
    person.saved()
    person.until("activeLearner.session.ready.length === 2")
    lose(serving, person)
    person.answer("2", "3")
    assert "2 answers are kept in this browser" in person.page.locator("#offline").inner_text()
    assert [word["value"] for word in kept(person)] == [2, 3]
    person.page.locator("#history [data-save=unsent]").nth(1).wait_for()
    serving.start()
    person.saved()
    assert sent(serving.desk) == [1, 2, 3]
    assert kept(person) == []
    assert not person.page.locator("#offline").is_visible()


def test_a_page_that_was_closed_with_unsent_answers_sends_them_when_it_is_opened_again(
    serve: Serve, visit: Open
) -> None:
    serving = serve()
    person = visit(serving).start()
    lose(serving, person)
    person.answer("4", "5")
    ids = [word["id"] for word in kept(person)]
    serving.start()
    person.open("/")
    person.saved()
    assert [word["id"] for word in serving.desk.unique()] == ids
    assert person.chips() == ["5", "4"]


def test_an_answer_whose_reply_was_lost_is_said_again_with_the_same_id(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = ("500",)
    serving.desk.refuse = [(500, "A fault of this program.")]
    person.answer("3")
    person.saved()
    assert sent(serving.desk) == [3]


def test_saved_is_not_said_before_the_trainer_has_it(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), keeps=True))
    person = visit(serving).start()
    person.saved()
    person.answer("3")
    person.way("kept")
    assert person.page.locator("#saved").inner_text() == "Kept, not confirmed"
    assert person.drawn().page.locator("#history [data-save=kept]").count() == 1
    serving.call(serving.desk.confirm)
    person.saved()
    assert person.drawn().page.locator("#history [data-save=saved]").count() == 1


def test_an_undo_is_not_said_to_be_saved_before_it_is(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), keeps=True))
    person = visit(serving).start()
    person.answer("3")
    person.press("Backspace")
    person.until("activeLearner.session.past.length === 0 && activeLearner.outbox.size === 0")
    person.way("kept")
    serving.call(serving.desk.confirm)
    person.saved()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "value must be a whole number from 0 to 5."),
        (404, "This question was never asked."),
        (409, "You have answered this with 2 already."),
        (413, "The body is longer than 16 KB."),
    ],
)
def test_a_refused_answer_is_told_in_the_words_of_the_service(
    serve: Serve, visit: Open, status: int, words: str
) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = (str(status),)
    serving.desk.refuse = [(status, words)]
    person.answer("3")
    person.page.get_by_text(words, exact=True).first.wait_for()
    assert person.drawn().page.locator("#history [data-save=refused]").count() == 1
    person.answer("4")
    person.saved()
    assert sent(serving.desk) == [4]
    assert kept(person) == []


def test_a_service_that_says_too_fast_gets_the_answer_later(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = ("429",)
    serving.desk.refuse = [(429, "More than 50 requests a second.")]
    person.answer("3", "4")
    person.saved()
    assert sent(serving.desk) == [3, 4]


def test_who_is_not_let_in_any_more_is_told_and_keeps_the_answers(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = ("401",)
    serving.desk.refuse = [(401, "Not let in.")] * 1000
    person.answer("3")
    person.way("shut")
    assert "open the link that the service has printed" in person.page.locator("#notice").inner_text()
    assert [word["value"] for word in kept(person)] == [3]


def test_a_token_of_an_earlier_start_is_renewed(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = ("403",)
    person.say("activeLearner.service.csrf = 'of an earlier start'")
    person.answer("3")
    person.saved()
    assert sent(serving.desk) == [3]


def test_a_page_knows_the_token_of_a_service_that_was_started_again(serve: Serve, visit: Open) -> None:
    """And so gives its questions back when it is closed, also if nothing was answered since."""
    serving = serve()
    person = visit(serving).start()
    person.say("activeLearner.service.csrf = 'of an earlier start'")
    lose(serving, person)
    serving.start()
    person.until("activeLearner.service.csrf === 'csrf-anna'")


def test_the_end_told_as_a_refusal_ends_the_page_too(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = ("410",)
    serving.desk.refuse = [(410, "The run has ended after 200 labels.")]
    person.press("3")
    person.page.locator(".rest").wait_for()
    person.page.locator("#stage").get_by_text("The run has ended after 200 labels.").wait_for()


def test_a_service_that_goes_with_its_run_is_no_trouble(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.expected = LOST
    person.answer("3")
    person.saved()
    serving.say("ended", {"text": "The goal of 1 label is reached."})
    serving.say("notice", {"level": "warning", "text": "The service is being stopped."})
    serving.stop()
    person.page.get_by_text("Its curve is in report.html, in the run folder.").wait_for()
    person.page.get_by_text("The goal of 1 label is reached.").wait_for()
    assert not person.page.locator("#offline").is_visible()
    assert not person.page.locator("#notice").is_visible()
    person.way("saved")
