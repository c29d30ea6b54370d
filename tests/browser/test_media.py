"""Pictures, texts, rows, other media, and many classes: what is shown is what the array says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.browser.desk import Desk, text
from tests.browser.serving import Serving
from tests.browser.visit import Visit

pytestmark = pytest.mark.browser

Serve = Callable[..., Serving]
Open = Callable[..., Visit]

PIXELS = """
() => { const canvas = document.querySelector("#stage canvas"); return { size: [canvas.width, canvas.height], box: canvas.getBoundingClientRect().width / canvas.width, data: [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data] }; }
"""
GREY = np.arange(0, 250, 10, dtype=np.uint8).reshape(5, 5)
COLOUR = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3) * 4


def pixels(person: Visit) -> tuple[list[int], np.ndarray]:
    found = person.say(PIXELS)
    assert found["box"] == int(found["box"]) > 1  # whole pixels
    return found["size"], np.array(found["data"]).reshape(found["size"][1], found["size"][0], 4)


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (GREY, np.repeat(GREY[:, :, None], 3, 2)),
        (GREY.ravel(), np.repeat(GREY[:, :, None], 3, 2)),
        (COLOUR, COLOUR),
        (np.ascontiguousarray(COLOUR.transpose(2, 0, 1)), COLOUR),
        (np.array([[0.0, 0.5], [1.0, 0.25]], np.float32), np.repeat(np.array([[0, 128], [255, 64]])[:, :, None], 3, 2)),
    ],
    ids=["grey", "a square in one row", "RGB last", "RGB first", "numbers are stretched"],
)
def test_an_array_is_shown_as_a_picture(serve: Serve, visit: Open, array: np.ndarray, shown: np.ndarray) -> None:
    person = visit(serve(Desk([array], media="image", classes=10))).start()
    size, found = pixels(person)
    assert size == [shown.shape[1], shown.shape[0]]
    assert np.abs(found[:, :, :3].astype(int) - shown.astype(int)).max() <= 1
    person.page.get_by_role("img", name="The picture to name").wait_for()


def test_what_is_no_picture_is_shown_as_values(serve: Serve, visit: Open) -> None:
    person = visit(serve(Desk([np.arange(7, dtype=np.uint8)], media="image", classes=3))).start()
    assert person.page.locator("#stage dd.v").all_inner_texts() == ["0", "1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    "array",
    [text("z\u00fcrich \U0001f600", 40), np.array([ord(one) for one in "z\u00fcrich \U0001f600"] + [0, 0], np.int32)],
    ids=["UTF-8", "code points"],
)
def test_a_text_is_shown_as_text(serve: Serve, visit: Open, array: np.ndarray) -> None:
    person = visit(serve(Desk([array], media="text", classes=2, me={"class_names": ["wanted", "spam"]}))).start()
    assert person.page.locator("#stage blockquote").inner_text() == "z\u00fcrich \U0001f600"
    person.page.get_by_text("8 characters").wait_for()
    assert person.page.locator(".answer").all_inner_texts() == ["1\nwanted", "2\nspam"]


def test_a_row_is_shown_with_the_names_and_places_that_are_known(serve: Serve, visit: Open) -> None:
    columns = [{"name": "acid", "unit": "g/l", "low": 0, "high": 10}, "sugar"]
    person = visit(
        serve(Desk([np.array([2.5, 0.125, -3.0])], media="table", classes=3, me={"columns": columns}))
    ).start()
    assert person.page.locator("#stage dt").all_inner_texts() == ["acid", "sugar", "Value 3"]
    assert person.page.locator("#stage dd.v").all_inner_texts() == ["2.5g/l", "0.125", "-3"]
    assert person.page.locator("#stage dd.r").get_attribute("style") == "--p: 0.250;"


def test_another_media_type_is_drawn_by_its_own_element(serve: Serve, visit: Open, tmp_path: object) -> None:
    module = """
    customElements.define("show-star-map", class extends HTMLElement {
      connectedCallback() { this.textContent = `${this.question.media} of ${this.sample.shape}: ${Array.from(this.sample.data)}`; }
      get circumstances() { return { looked: "up" }; }
    });
    """
    serving = serve(
        Desk(
            [np.array([3, 4], np.int16), np.array([5, 6], np.int16)],
            media="star map",
            classes=2,
            me={"renderer": "/static/own.js"},
        )
    )
    person = visit(serving, "/run")
    person.page.route("**/static/own.js", lambda route: route.fulfill(body=module, content_type="text/javascript"))
    person.open("/")
    person.start()
    assert person.page.locator("show-star-map").inner_text() == "star map of 2: 3,4"
    person.answer("1")
    person.saved()
    assert serving.desk.answers[0]["circumstances"] == {"looked": "up", "reasons": False}


def test_without_its_element_another_media_type_is_shown_as_values(serve: Serve, visit: Open) -> None:
    person = visit(serve(Desk([np.array([3, 4], np.int64)], media="star map", classes=2))).start()
    assert person.page.locator("#stage dd.v").all_inner_texts() == ["3", "4"]
    assert "No element show-star-map is registered" in person.page.locator("#stage").inner_text()


def test_past_ten_classes_the_letters_of_the_names_answer(serve: Serve, visit: Open) -> None:
    names = [
        "alarm",
        "balance",
        "calendar",
        "bus",
        "car",
        "directions",
        "echo",
        "flight",
        "greeting",
        "hotel",
        "joke",
        "weather",
    ]
    serving = serve(
        Desk(
            [text(one) for one in ("one", "two", "three", "four")], media="text", classes=12, me={"class_names": names}
        )
    )
    person = visit(serving)
    assert "its key" in person.page.locator("#start ul").inner_text()
    person.start()
    assert person.button("Why this one?").inner_text().split()[-1] == "\u21e7W"
    person.answer("u", "w")
    person.page.keyboard.press("Shift+W")
    person.page.locator("#why").wait_for()
    person.saved()
    assert [word["value"] for word in serving.desk.answers] == [3, 11]


def test_a_value_outside_its_usual_range_stands_out_in_words_too(serve: Serve, visit: Open) -> None:
    columns = [{"name": "acid", "low": 0, "high": 10}, {"name": "sugar", "high": 1}]
    row = np.array([12.0, 0.5])
    person = visit(serve(Desk([row], media="table", classes=2, me={"columns": columns}))).start()
    assert person.page.locator("#stage .out").all_text_contents() == ["acid12, outside the usual range"]


def test_named_classes_with_a_guide_are_no_rating(serve: Serve, visit: Open) -> None:
    me = {"class_names": ["healthy", "ill"], "guide": {"0": "all within range", "1": "something is off"}}
    desk = Desk([np.array([1.0, 2.0])], media="table", classes=2, me=me, status={"labels": 5, "accuracy": 0.5})
    person = visit(serve(desk)).start()
    assert person.page.locator("#title").inner_text() == "What is this row?"
    assert "50.0 % right" in person.page.locator("#progress").inner_text()
