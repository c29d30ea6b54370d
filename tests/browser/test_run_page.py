"""The run page shows the curve of a run that goes on: late comers see all of it, and it grows when a round is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.desk import Desk, melodies
from tests.browser.facts import ROUNDS, STATUS
from tests.browser.serving import Serving
from tests.browser.visit import Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]


def rows(person: Visit) -> list[str]:
    """Of the curve's table, as text."""
    found: list[str] = person.say(
        "[...document.querySelectorAll('#curve-table tbody tr')].map((row) => [...row.children].map((one) => one.textContent).join(' '))"
    )
    return found


def curve_of(first: int) -> dict[str, Any]:
    return {"total": first, "rounds": ROUNDS["rounds"][:first], "control": ROUNDS["control"][:first]}


def test_who_comes_late_sees_the_whole_curve_and_its_control_arm(serve: Serve, visit: Open) -> None:
    person = visit(serve(Desk(list(melodies()), status=STATUS, rounds=curve_of(12))), "/run")
    person.page.locator("#curve path.line.one").wait_for()
    assert person.page.locator("#curve path.line.muted").count() == 1
    assert len(rows(person)) == 12
    title = (
        person.page.locator("#curve svg").get_attribute("aria-label")
        or person.page.locator("#curve title").inner_text()
    )
    assert "this run" in title
    assert "random control" in title


def test_without_a_control_arm_there_is_one_line(serve: Serve, visit: Open) -> None:
    rounds = {**curve_of(12), "control": []}
    person = visit(serve(Desk(list(melodies()), status=STATUS, rounds=rounds)), "/run")
    person.page.locator("#curve path.line.one").wait_for()
    assert person.page.locator("#curve path.line.muted").count() == 0


def test_the_curve_grows_when_a_round_is_over(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), status=STATUS, rounds={"total": 0, "rounds": [], "control": []}))
    person = visit(serving, "/run")
    person.page.get_by_text("The first point comes with the first trained round.").wait_for()
    for first in (1, 2, 3):
        serving.desk.rounds = curve_of(first)
        line = ROUNDS["rounds"][first - 1]
        serving.say("round", {"line": line})
        person.until("first => document.querySelectorAll('#curve-table tbody tr').length === first", first)
        assert rows(person)[-1].startswith(f"{line['labels']} ")
        assert f"with {line['labels']} labels" in person.page.locator("#events li").first.inner_text()
    person.page.locator("#curve circle.dot.one").wait_for()


def test_a_round_that_was_held_back_is_told_and_is_no_point(serve: Serve, visit: Open) -> None:
    serving = serve(Desk(list(melodies()), status=STATUS, rounds=curve_of(4)))
    person = visit(serving, "/run")
    person.until("document.querySelectorAll('#curve-table tbody tr').length === 4")
    line = {**ROUNDS["rounds"][4], "held_back": "accuracy fell by 0.2"}
    serving.desk.rounds = {**curve_of(5), "rounds": [*ROUNDS["rounds"][:4], line]}
    serving.say("round", {"line": line})
    person.page.get_by_text("Round 4 was held back: accuracy fell by 0.2").wait_for()
    assert len(rows(person)) == 4


def test_how_much_people_agree_is_told_when_several_label_the_same(serve: Serve, visit: Open) -> None:
    person = visit(serve(Desk(list(melodies()), status={**STATUS, "agreement": 0.714}, rounds=curve_of(2))), "/run")
    person.page.get_by_text("people agree: 0.71 (Krippendorff's alpha)").wait_for()


def test_how_to_get_a_control_arm_and_the_labels_is_said(serve: Serve, visit: Open) -> None:
    rounds = {**curve_of(12), "control": []}
    person = visit(serve(Desk(list(melodies()), status=STATUS, rounds=rounds)), "/run")
    person.page.get_by_text("No control arm").wait_for()
    person.page.locator("#export summary").click()
    person.page.get_by_text("active-learner labels export melodies labels.csv").wait_for()
    other = visit(serve(Desk(list(melodies()), status=STATUS, rounds=curve_of(12))), "/run")
    other.page.locator("#curve path.line.muted").wait_for()
    assert not other.page.get_by_text("No control arm").is_visible()


def test_a_pool_beyond_what_is_wanted_is_no_share_of_it(serve: Serve, visit: Open) -> None:
    peers = [{"name": "up", "role": "monitor", "age_s": 300.0, "since_s": 400.0, "health": "here"}]
    status = {**STATUS, "pool": 2000, "pool_size": 200, "peers": peers}
    person = visit(serve(Desk(list(melodies()), status=status, rounds=curve_of(2))), "/run")
    person.page.get_by_text("2,000 samples").wait_for()
    assert person.page.locator("#peers td.age").all_inner_texts() == ["now"]
