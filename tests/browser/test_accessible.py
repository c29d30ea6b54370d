"""axe-core finds nothing on any view; all is reached by keyboard; nothing scrolls sideways on a small phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.desk import Desk, melodies, text
from tests.browser.facts import ROUNDS, STATUS
from tests.browser.serving import Serving
from tests.browser.visit import LOST, Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]

AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = """
() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"], resultTypes: ["violations"] })
  .then(({ violations }) => violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`))
"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDE = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"}
INTENTS = [f"intent {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def looks(person: Visit, name: str) -> None:
    """No violation here, and nothing to the side."""
    if not person.say("Boolean(window.axe)"):
        person.say(AXE)
    person.until("!document.querySelector('.answer.hit')")
    person.say("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => 0)))")
    assert (name, person.say(RULES)) == (name, [])
    assert (name, person.say(SIDEWAYS)) == (name, 0)


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide and light", "phone and dark"])
def test_the_views_of_a_melody(serve: Serve, visit: Open, screen: dict[str, Any]) -> None:
    serving = serve(Desk(list(melodies(12)), status=STATUS, me={"labels_goal": 200}))
    person = visit(serving, **screen)
    person.expected = LOST
    looks(person, "start")
    person.start()
    person.answer("3", "-", "ArrowRight")
    person.saved()
    looks(person, "asking")
    person.page.keyboard.press("w")
    person.page.keyboard.press("h")
    looks(person, "why, roll hidden")
    person.button("Answered 3").click()
    looks(person, "correcting")
    person.page.keyboard.press("?")
    looks(person, "help")
    person.page.keyboard.press("Escape")
    serving.say("notice", {"level": "warning", "text": "The disk of the trainer is full."})
    person.page.locator("#notice p").wait_for()
    looks(person, "notice")
    serving.stop()
    person.way("away")
    looks(person, "away")


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide and light", "phone and dark"])
def test_the_earlier_answers(serve: Serve, visit: Open, screen: dict[str, Any]) -> None:
    serving = serve(Desk(list(melodies(16)), status=STATUS))
    person = visit(serving, **screen).start()
    person.answer(*"012345012345")
    person.saved()
    serving.desk.shows = 8
    person.open("/")
    person.start()
    person.button("Earlier answers").click()
    person.until("document.querySelectorAll('#history .given').length === 12")
    looks(person, "earlier answers, some without a picture")


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide and light", "phone and dark"])
def test_the_views_without_a_question(serve: Serve, visit: Open, screen: dict[str, Any]) -> None:
    serving = serve(Desk([], status=STATUS))
    person = visit(serving, **screen)
    person.start()
    looks(person, "resting")
    serving.say("ended", {"text": "The goal is reached."})
    person.page.get_by_text("The goal is reached.").wait_for()
    looks(person, "ended")


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide and light", "phone and dark"])
@pytest.mark.parametrize(
    ("media", "array", "names"),
    [
        ("image", np.arange(784, dtype=np.int16).reshape(28, 28), [f"kind {n}" for n in range(10)]),
        ("text", text("Your parcel could not be delivered. " * 20), ["wanted", "spam"]),
        ("table", np.linspace(0, 1, 14), INTENTS),
        ("star map", np.arange(4), ["near", "far"]),
    ],
    ids=["image", "text", "row and 26 classes", "own"],
)
def test_the_other_media(
    serve: Serve, visit: Open, screen: dict[str, Any], media: str, array: Any, names: list[str]
) -> None:
    serving = serve(Desk([array] * 3, media=media, classes=len(names), me={"class_names": names}))
    person = visit(serving, **screen).start()
    person.until("activeLearner.answerable")
    person.say("activeLearner.answer(1)")
    person.saved()
    looks(person, media)


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide and light", "phone and dark"])
@pytest.mark.parametrize("full", [True, False], ids=["a long run", "a new run"])
def test_the_run_page(serve: Serve, visit: Open, screen: dict[str, Any], full: bool) -> None:
    desk = Desk(list(melodies()), status=STATUS, rounds=ROUNDS, me={"labels_goal": 200}) if full else Desk([])
    serving = serve(desk)
    person = visit(serving, "/run", **screen)
    person.page.locator("#waits p, #waits svg").first.wait_for()
    serving.say("notice", {"level": "warning", "text": "A page is late."})
    person.page.locator("#events li").wait_for()
    if full:
        person.page.locator("#curve-table summary").click()
        person.page.locator("#export summary").click()
    looks(person, "run")


def test_everything_is_reached_by_tab(serve: Serve, visit: Open) -> None:
    person = visit(serve()).start()
    person.answer("3")
    reached = set()
    for _ in range(40):
        person.page.keyboard.press("Tab")
        reached.add(
            person.say(
                "document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label') || ''"
            )
        )
    wanted = {
        "0",
        "5",
        "Why this one?W",
        "Skip\u2192",
        "Undo\u232b",
        "ReplaySpace",
        "2\u00d7",
        "Run",
        "Go to the answers",
    }
    assert wanted - reached == set()


def test_one_polite_line_for_each_decision_and_none_for_the_training(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.say(
        "{ window.lines = []; new MutationObserver(() => lines.push(document.getElementById('live').textContent)).observe(document.getElementById('live'), { childList: true, characterData: true, subtree: true }); }"
    )
    person.answer("3")
    serving.say("status", {**STATUS, "epoch": 9})
    person.until("activeLearner.status?.epoch === 9")
    person.press("Backspace")
    person.until("activeLearner.session.past.length === 0")
    assert person.say("lines") == ["3. Next question.", "Took back 3. The question again."]
    assert person.page.locator("#live").get_attribute("aria-live") == "polite"


def test_who_wants_less_motion_gets_less(serve: Serve, visit: Open) -> None:
    person = visit(serve(), reduced_motion="reduce").start()
    person.answer("3")
    assert person.say("document.getAnimations().filter((one) => one.effect.getTiming().duration > 1).length") == 0


def test_single_keys_can_be_turned_off(serve: Serve, visit: Open) -> None:
    serving = serve()
    person = visit(serving).start()
    person.page.keyboard.press("?")
    person.page.get_by_label("Single keys answer").uncheck()
    person.page.keyboard.press("Escape")
    shown = person.question
    person.press("3")
    assert person.question == shown
    assert serving.desk.answers == []
