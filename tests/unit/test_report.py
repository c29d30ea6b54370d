"""The report: says the result in words, shows what was asked, escapes everybody's text, and is one file."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import AskedQuestion, Label, RoundResult
from active_learner.errors import ActiveLearnerError
from active_learner.results.metrics import append
from active_learner.results.report import write_report

HOSTILE = '<script>alert("1")</script>'
CONFIG = """\
name: digits
seed: 7
sample:
  media: image
  class_names: [zero, "<script>alert(\\"1\\")</script>", two]
"""


def line(
    folder: Path, number: int, accuracy: float | None, labels: int, name: str = "metrics.jsonl", **more: object
) -> None:
    extra = {
        **more,
        "strategy": "margin",
        "at": 1.7e9 + number,
        "uncertainty": [number, 5, 4, 3, 2, 1, 0, 0, 0, 0],
        "pool": 20 + number,
        "steps": 10,
        "held_out": 400,
    }
    result = RoundResult(number, 10 * number, "00", labels, accuracy, 0.5, 0.02, 0.3, 0.25, extra)
    append(folder / name, result)


def question(number: int, guess: int | None = None, features: np.ndarray | None = None) -> AskedQuestion:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) % 17 if features is None else features
    opinion = () if guess is None else tuple(0.8 if value == guess else 0.1 for value in range(3))
    return AskedQuestion(f"q{number}", f"k{number}", pixels, 1, "margin", 0.5, 1, 0, False, 20, 1.7e9, opinion)


def label(number: int, value: int) -> Label:
    pixels = np.zeros((8, 8), np.uint8)
    return Label(f"k{number}", pixels, value, "ann", 1.7e9 + 3, number, f"q{number}", 1, 0, 0.5)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "config.resolved.yaml").write_text(CONFIG)
    for number, accuracy in enumerate((0.4, 0.7, 0.901, 0.934), start=1):
        line(folder, number, accuracy, 25 * number + 10)
    return folder


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*)</h1>", page)
    assert found
    return found[1]


def test_the_title_is_the_last_result_when_there_is_no_control(run: Path) -> None:
    assert heading(write_report(run).read_text()) == "93.4 % right with 110 labels."


def test_the_title_compares_where_both_arms_reach_the_goal(run: Path) -> None:
    for number, (accuracy, labels) in enumerate(((0.4, 35), (0.8, 85), (0.91, 120)), start=1):
        line(run, number, accuracy, labels, "control.jsonl")
    page = write_report(run).read_text()
    assert heading(page) == "90.1 % right with 85 labels. Random asking needed 120."
    assert "saved 35 labels, 29 % of the work" in page
    assert '<text x="' in page
    assert ">random</text>" in page


def test_the_title_says_so_when_random_does_not_get_there(run: Path) -> None:
    line(run, 1, 0.85, 110, "control.jsonl")
    assert (
        heading(write_report(run).read_text()) == "90.1 % right with 85 labels. Random asking got to 85.0 % with 110."
    )


def test_a_run_without_rounds_says_so(tmp_path: Path) -> None:
    page = write_report(tmp_path, labels=[label(1, 0)]).read_text()
    assert heading(page) == "No round has ended yet. 1 label so far."
    assert "Nothing has been asked yet." in page


def test_a_run_without_held_out_rows_says_so(tmp_path: Path) -> None:
    line(tmp_path, 1, None, 5)
    page = write_report(tmp_path).read_text()
    assert heading(page) == "5 labels learned in 1 round. No held-out rows to measure by."
    assert "How unsure it was of the pool" in page


@pytest.mark.parametrize(
    ("agreement", "words"),
    [
        (
            {"samples": 12, "annotators": 4, "alpha": 0.743, "alpha_interval": 0.849},
            "12 samples had more than one annotator: Krippendorff&#39;s alpha 0.74, or 0.85 if the classes are a scale",
        ),
        (
            {"samples": 1, "annotators": 2, "alpha": None, "alpha_interval": None},
            "1 sample had more than one annotator, who never said anything different.",
        ),
    ],
)
def test_how_far_people_agree_is_told(run: Path, agreement: dict[str, object], words: str) -> None:
    assert "more than one annotator" not in write_report(run).read_text()
    line(run, 5, 0.94, 120, agreement=agreement)
    line(run, 6, 0.95, 125)
    assert words in write_report(run).read_text()


def test_answers_are_shown_and_those_the_model_would_not_have_given_are_marked(run: Path) -> None:
    page = write_report(run, [question(1, 2), question(2, 0), question(3)], [label(1, 2), label(2, 2)]).read_text()
    cards = re.findall(r"<li( class=\"other\")?>.*?<p>(.*?) <span>(.*?)</span>", page)
    assert cards == [("", "two", "1"), (' class="other"', "two", "not zero")]
    assert page.count("data:image/png;base64,") == 2
    assert "1 of the 2 of which it had an opinion" in page


def test_at_most_sixty_questions_are_shown_evenly(run: Path) -> None:
    numbers = range(1, 151)
    page = write_report(run, [question(n) for n in numbers], [label(n, 0) for n in numbers]).read_text()
    assert page.count("<li>") == 50
    assert "Every third question" in page


def test_a_melody_is_a_piano_roll_and_a_row_its_first_numbers(run: Path) -> None:
    (run / "config.resolved.yaml").write_text("sample: {media: melody}\n")
    page = write_report(run, [question(1, features=np.zeros(128, np.uint8))], [label(1, 0)]).read_text()
    assert page.count('height="4"') == 32
    (run / "config.resolved.yaml").write_text("sample: {media: table}\n")
    rows = np.array([0.5, 1.25, 3.0, 4.0, 5.0])
    page = write_report(run, [question(1, features=rows)], [label(1, 0)]).read_text()
    assert '<span class="row">0.5 1.25 3 4 …</span>' in page


def test_class_names_and_configuration_cannot_become_markup(run: Path) -> None:
    np.savez(run / "validation.npz", predictions=np.eye(3, dtype=np.float32)[[0, 1, 1]], labels=np.array([0, 1, 2]))
    page = write_report(run, [question(1, 0)], [label(1, 1)]).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_confusion_and_calibration_come_from_the_kept_predictions(run: Path) -> None:
    predictions = np.array([[9.0, 0, 0], [0, 9.0, 0], [9.0, 0, 0]], dtype=np.float32)
    np.savez(run / "validation.npz", predictions=predictions, labels=np.array([0, 1, 2]))
    page = write_report(run).read_text()
    assert '<td class="right">1</td>' in page
    assert '<td class="wrong" style="--p:1.00">1</td>' in page
    assert "Most often two is taken for zero: 1 of the rows." in page
    assert "Expected calibration error" in page


def test_many_classes_are_told_as_their_worst_pairs(run: Path) -> None:
    predictions = np.eye(40, dtype=np.float32)[[1, 2, 2]]
    np.savez(run / "validation.npz", predictions=predictions, labels=np.array([1, 2, 39]))
    page = write_report(run).read_text()
    assert '<th scope="row">39</th><td>two</td><td class="n">1</td>' in page
    assert 'aria-label="Confusion matrix"' not in page


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    asked = [question(1, 0)], [label(1, 1)]
    first = write_report(run, *asked, out=tmp_path / "a.html").read_bytes()
    assert write_report(run, *asked, out=tmp_path / "b.html").read_bytes() == first
    assert not (run / "report.html").exists()


class Balance(HTMLParser):
    """Fails on a tag that is not closed, and gathers what the page would load."""

    VOID = frozenset({"meta", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(run: Path) -> None:
    line(run, 1, 0.3, 60, "control.jsonl")
    np.savez(run / "validation.npz", predictions=np.eye(3, dtype=np.float32), labels=np.arange(3))
    page = write_report(run, [question(1, 0), question(2)], [label(1, 1), label(2, 0)]).read_text()
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(source.startswith("data:image/png;base64,") for source in parser.loads)
    assert "default-src 'none'" in page
    assert "url(" not in page


def test_a_folder_that_is_no_run_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(ActiveLearnerError, match="no run folder"):
        write_report(tmp_path / "nothing")


def test_broken_predictions_are_an_error_in_words(run: Path) -> None:
    (run / "validation.npz").write_bytes(b"PK not really")
    with pytest.raises(ActiveLearnerError, match="expected arrays predictions and labels"):
        write_report(run)
