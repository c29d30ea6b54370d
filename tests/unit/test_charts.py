"""Charts and pictures: what is drawn where, and that nothing falls out of the frame."""

from __future__ import annotations

import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

from active_learner.core.assessment import ReliabilityBin
from active_learner.results.charts import calibration_chart, curve_points, learning_curve, uncertainty_map
from active_learner.results.picture import as_grey, first_numbers, grey_png, piano_roll, picture
from active_learner.results.words import duration, percent, plural, quantile, wilson

NUMBER = r"-?\d+(?:\.\d+)?"


def shapes(svg: str, tag: str, class_: str) -> list[dict[str, str]]:
    """The attributes of every such element; the chart must be well formed for that."""
    return [one.attrib for one in ElementTree.fromstring(svg).iter(tag) if one.attrib.get("class") == class_]


def test_the_curve_goes_up_and_right_with_accuracy_and_labels() -> None:
    svg = learning_curve(820, 330, curve_points([(10, 0.3, None), (20, 0.6, None), (30, 0.9, None)]))
    [line] = shapes(svg, "path", "line one")
    points = [(float(x), float(y)) for x, y in re.findall(rf"[ML]({NUMBER}) ({NUMBER})", line["d"])]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert all(46 <= x <= 820 and 14 <= y <= 296 for x, y in points)


@pytest.mark.parametrize("width", [820, 300])
def test_the_words_at_the_ends_of_two_near_lines_do_not_touch(width: int) -> None:
    run, control = curve_points([(10, 0.5, 400), (50, 0.900, 400)]), curve_points([(10, 0.5, 400), (50, 0.901, 400)])
    svg = learning_curve(width, 240, run, control, goal=0.9)
    [own], [other] = shapes(svg, "text", "word one"), shapes(svg, "text", "word muted")
    assert abs(float(own["y"]) - float(other["y"])) >= 15.9
    assert len(shapes(svg, "line", "goal")) == 1


def test_a_single_point_is_a_curve() -> None:
    assert "<circle" in learning_curve(300, 240, curve_points([(1, 0.1, 10)]))


def test_the_heat_map_has_a_cell_for_each_bin_that_is_not_empty() -> None:
    svg = uncertainty_map(820, 260, [4, 5], [[3, 0, 1], [0, 2, 0]], [4, 2], "doubt")
    cells = shapes(svg, "rect", "cell")
    assert len(cells) == 3
    assert max(float(cell["fill-opacity"]) for cell in cells) == 1.0
    assert float(cells[0]["y"]) > float(cells[1]["y"])


def test_a_thousand_rounds_are_added_up_to_columns_that_can_be_seen() -> None:
    svg = uncertainty_map(300, 220, list(range(1000)), [[1, 2]] * 1000, [3] * 1000, "doubt")
    cells = shapes(svg, "rect", "cell")
    assert len(cells) <= 2 * 250 / 6 + 2
    assert all(float(cell["width"]) > 4 for cell in cells)


def test_calibration_puts_a_perfect_model_on_the_diagonal() -> None:
    bins = [ReliabilityBin(50, 0.25, 0.25), ReliabilityBin(50, 0.75, 0.75)]
    dots = shapes(calibration_chart(300, 290, bins, "calibration"), "circle", "dot one")
    share_x = [(float(dot["cx"]) - 38) / (300 - 8 - 38) for dot in dots]
    share_y = [1 - (float(dot["cy"]) - 8) / (290 - 34 - 8) for dot in dots]
    assert share_x == pytest.approx(share_y, abs=1e-3)


def test_wilson_holds_at_the_edges() -> None:
    low, high = wilson(1.0, 20)
    assert high == 1.0
    assert 0.8 < low < 0.9
    assert wilson(0.5, 100) == pytest.approx((0.404, 0.596), abs=1e-3)


def decoded(png: bytes) -> np.ndarray:
    """The levels 0..15 of a PNG that grey_png wrote."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) == (4, 0)
    body = png[png.index(b"IDAT") + 4 : png.index(b"IEND") - 8]
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, -1)[:, 1:]
    return np.stack([rows >> 4, rows & 15], axis=2).reshape(height, -1)[:, :width]


def test_a_picture_is_a_png_with_its_own_grey_levels() -> None:
    pixels = np.array([[0.0, 8.0, 16.0], [16.0, 4.0, 0.0]])
    assert decoded(grey_png(pixels, 16.0)).tolist() == [[0, 8, 15], [15, 4, 0]]


def test_a_large_or_black_picture_is_still_a_small_png() -> None:
    assert decoded(grey_png(np.zeros((300, 200)), 0.0)).shape == (60, 40)


@pytest.mark.parametrize("shape", [(8, 8), (64,), (8, 8, 1), (8, 8, 3), (1, 8, 8), (3, 8, 8)])
def test_pictures_of_all_usual_shapes_are_squares_of_grey(shape: tuple[int, ...]) -> None:
    grey = as_grey(np.ones(shape))
    assert grey is not None
    assert grey.shape == (8, 8)


def test_what_is_no_picture_is_shown_as_numbers() -> None:
    assert as_grey(np.ones(7)) is None
    assert "1 1 1 1 …" in picture(np.ones(7), "image", 1.0, "q")
    assert first_numbers(np.array([0.123456, 2])) == "0.1235 2"


def test_a_roll_shows_notes_low_to_high_and_no_pauses() -> None:
    bits = np.zeros((32, 4), np.uint8)
    bits[0], bits[1] = (1, 1, 1, 0), (0, 0, 0, 1)
    cells = shapes(piano_roll(bits.reshape(-1), "q"), "rect", "cell")
    assert len(cells) == 31
    assert (cells[0]["x"], cells[0]["y"]) == ("0", "0")
    assert (cells[1]["x"], cells[1]["y"]) == ("2", "28")


def test_numbers_are_said_shortly() -> None:
    assert [duration(value) for value in (2e-5, 0.0123, 1.5, 300, 9000)] == [
        "20 µs",
        "12.3 ms",
        "1.5 s",
        "5 min",
        "2.5 h",
    ]
    assert percent(0.9014) == "90.1 %"
    assert [plural(count, "label") for count in (1, 1200)] == ["1 label", "1 200 labels"]
    assert [quantile([4.0, 1.0, 3.0, 2.0], share) for share in (0.5, 0.99, 0.01)] == [2.0, 4.0, 1.0]
