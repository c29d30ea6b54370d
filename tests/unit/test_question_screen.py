"""A question as lines of text: pictures, and what a hostile candidate cannot do to a terminal."""

from __future__ import annotations

import numpy as np
import pytest

from active_learner.core.records import SampleSpec
from active_learner.oracles import screen

SPEC = SampleSpec((2,), "float32", 6)
MELODY = SampleSpec((128,), "uint8", 6, "melody")


class TestWhatIsShown:
    @pytest.mark.parametrize(
        ("character", "shown"),
        [
            ("\x1b", "\\x1b"),
            ("\x00", "\\x00"),
            ("\x07", "\\x07"),
            ("\r", "\\x0d"),
            ("\x7f", "\\x7f"),
            ("\x9b", "\\x9b"),
            ("\u202e", "\\u202e"),
            ("\u2066", "\\u2066"),
            ("\u200f", "\\u200f"),
            ("\u2028", "\\u2028"),
            ("\U000e0001", "\\U000e0001"),
            ("\ud800", "\\ud800"),
        ],
    )
    def test_what_a_terminal_could_act_on_is_an_escape(self, character: str, shown: str) -> None:
        assert screen.printable(f"a{character}b") == f"a{shown}b"

    def test_letters_of_all_languages_stay(self) -> None:
        assert screen.printable("Grüße, 世界, שלום ♪") == "Grüße, 世界, שלום ♪"

    def test_a_text_cannot_send_sequences_to_the_terminal(self) -> None:
        evil = np.frombuffer(b"\x1b]0;owned\x07 fine\nnext\0\0", dtype=np.uint8)
        assert screen.picture(evil, "text") == ["\\x1b]0;owned\\x07 fine", "next"]

    def test_a_text_of_code_points_and_one_that_is_none(self) -> None:
        assert screen.picture(np.array([72, 0x202E, 0x110000, -1], dtype=np.int64), "text") == ["H\\u202e\ufffd\ufffd"]
        assert screen.picture(np.array([0.5]), "text") == ["     0.5"]

    def test_a_long_text_is_cut_and_says_so(self) -> None:
        (line,) = screen.picture(np.full(5000, ord("a"), dtype=np.uint8), "text")
        assert line.endswith("(3000 more characters)")

    def test_an_image_is_blocks_from_dark_to_light(self) -> None:
        assert screen.picture(np.array([[0, 1], [3, 4]]), "image") == ["  ░░", "▓▓██"]
        assert screen.picture(np.array([0, 1, 3, 4]), "image", screen.ASCII_BLOCKS) == ["  ..", "**##"]

    @pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 3), (1, 28, 28)])
    def test_images_of_all_usual_shapes(self, shape: tuple[int, ...]) -> None:
        lines = screen.picture(np.zeros(shape), "image")
        assert [len(line) for line in lines] == [56] * 28

    def test_a_large_image_is_made_smaller(self) -> None:
        lines = screen.picture(np.eye(300), "image")
        assert len(lines) <= screen.WIDEST_IMAGE
        assert len({len(line) for line in lines}) == 1

    @pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5), (1, 1000), (1000, 1)])
    def test_what_is_no_image_is_still_shown(self, shape: tuple[int, ...]) -> None:
        assert screen.picture(np.zeros(shape), "image")

    def test_a_melody_is_notes_and_what_is_none_is_a_table(self) -> None:
        assert len(screen.picture(np.zeros(128, dtype=np.uint8), "melody")) == 2
        assert screen.picture(np.arange(3), "melody") == ["       0        1        2"]

    def test_a_long_row_is_cut_and_says_so(self) -> None:
        assert screen.picture(np.arange(100), "of the users own")[-1] == "... and 36 more values"

    def test_the_meaning_of_labels(self) -> None:
        assert screen.meaning(SampleSpec((1,), "uint8", 2, "table", ("cat", "d\x1bg"))) == "0 cat, 1 d\\x1bg"
        assert screen.meaning(MELODY) == "0 (worst) to 5 (best)"
        assert screen.meaning(SPEC) == "0 to 5"
