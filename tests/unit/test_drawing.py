"""Samples as pictures of characters, in the room that there is; hostile ones as text."""

from __future__ import annotations

import numpy as np
import pytest
from rich.style import Style
from rich.text import Text

from active_learner.melody.genome import genomes_of
from active_learner.oracles.drawing import HALF, drawing

BEATS = np.array([[7, 7, 15, 0] + [15] * 28])
MELODY = genomes_of(BEATS)[0]


def colours(text: Text) -> list[list[tuple[str, str]]]:
    """Upper and lower colour of each character, line by line."""
    return [[_pair(line, place) for place in range(len(line.plain))] for line in text.split("\n")]


def _pair(line: Text, place: int) -> tuple[str, str]:
    style = next(span.style for span in line.spans if span.start <= place < span.end)
    assert isinstance(style, Style)
    name = [None if colour is None else colour.name for colour in (style.color, style.bgcolor)]
    return (name[0] or "", name[1] or "")


class TestAMelody:
    def test_is_a_roll_with_a_row_a_tone_and_a_bar_between_lines(self) -> None:
        lines = drawing(MELODY, "melody", 80, 10, True).plain.split("\n")
        assert [line[:2] for line in lines] == ["C5", "B4", "A4", "G4", "F4", "E4", "D4", "C4"]
        assert lines[0].startswith("C5 |████· · |· · ")
        assert lines[-1].startswith("C4 |· · · ██|· · ")
        assert {len(line) for line in lines} == {3 + 1 + 8 * 9}

    @pytest.mark.parametrize("width", [76, 75, 44, 43, 40, 39, 24])
    def test_fits_every_width(self, width: int) -> None:
        lines = drawing(MELODY, "melody", width, 10, True).plain.split("\n")
        assert max(len(line) for line in lines) <= width
        assert sum(line.count("█") for line in lines) == (6 if len(lines[0]) in (76, 40) else 3)

    def test_where_there_is_no_room_it_is_notes_in_words(self) -> None:
        assert "C5" in drawing(MELODY, "melody", 10, 10, True).plain

    def test_what_is_no_melody_is_a_row_of_values(self) -> None:
        assert drawing(np.full(128, 7, np.uint8), "melody", 80, 10, True).plain.split() == ["7"] * 64 + [
            "...", "and", "64", "more", "values",
        ]  # fmt: skip


class TestAnImage:
    def test_is_two_pixels_a_character(self) -> None:
        text = drawing(np.array([[0.0, 1.0], [1.0, 0.0]]), "image", 2, 1, True)
        assert text.plain == HALF * 2
        assert colours(text) == [[("#000000", "#ffffff"), ("#ffffff", "#000000")]]

    def test_is_zoomed_by_a_whole_number(self) -> None:
        text = drawing(np.arange(64.0), "image", 30, 10, True)
        assert [len(line) for line in text.plain.split("\n")] == [16] * 8

    def test_a_large_one_is_shrunk_by_the_mean_of_blocks(self) -> None:
        picture = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((50, 50)))
        text = drawing(picture, "image", 10, 5, True)
        assert colours(text)[0][0] == ("#000000", "#000000")
        assert (len(text.plain.split("\n")), len(text.plain.split("\n")[0])) == (5, 10)

    @pytest.mark.parametrize("last", [True, False])
    @pytest.mark.parametrize("scale", [1, 255])
    def test_colours_are_kept_channels_first_or_last(self, last: bool, scale: int) -> None:
        picture = np.zeros((2, 5, 3))
        picture[0, :, 0] = picture[1, :, 2] = scale
        shown = drawing(picture if last else np.moveaxis(picture, -1, 0), "image", 5, 1, True)
        assert colours(shown) == [[("#ff0000", "#0000ff")] * 5]

    def test_an_odd_last_line_has_no_lower_half(self) -> None:
        assert colours(drawing(np.array([[0.0, 1.0]]), "image", 2, 1, True)) == [[("#000000", ""), ("#ffffff", "")]]

    def test_without_colours_it_is_shades_of_characters(self) -> None:
        assert drawing(np.array([[0.0, 1.0], [1.0, 0.0]]), "image", 80, 20, False).plain == "  ██\n██  "

    @pytest.mark.parametrize("shape", [(0,), (7,), (2, 2, 2, 2), (1, 200), (200, 1), (1, 1)])
    def test_odd_shapes_are_shown_somehow(self, shape: tuple[int, ...]) -> None:
        text = drawing(np.ones(shape), "image", 20, 5, True)
        assert isinstance(text.plain, str)


class TestHostileText:
    @pytest.mark.parametrize(
        "payload",
        ["[red]x[/red]", "[@click=app.quit]x[/]", "\x1b[2J\x1b]0;title\x07", "\x9b31m", "\u202egnp", "[link=file:///]x", ":smile:", "\\[b]"],
    )  # fmt: skip
    def test_is_shown_as_it_is_and_does_nothing(self, payload: str) -> None:
        text = drawing(np.frombuffer(payload.encode(), np.uint8), "text", 80, 10, True)
        assert text.spans == []
        assert not any(character in text.plain for character in "\x1b\x07\x9b\u202e")
        assert text.plain.startswith(payload[0]) == (payload[0].isprintable())
