"""What may be said about how a label came to be."""

from __future__ import annotations

import pytest

from active_learner.core.circumstances import MAX_BYTES, objection


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"heard_s": 12.25, "plays": 3, "roll": true, "speed": "1.5x"}',
        '{"a": "' + "x" * (MAX_BYTES - 9) + '"}',
    ],
)
def test_a_small_flat_object_is_well(text: str) -> None:
    assert objection(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "are no JSON"),
        ("[" * 1000, "are no JSON"),
        ('{"a": Infinity}', "are no JSON"),
        ('{"a": "\\ud800"}', "are no JSON"),
        ("\ud800", "are no JSON"),
        ("[1]", "are no JSON object"),
        ('{"a": null}', "'a' is no text, number, true or false"),
        ('{"a": {"b": 1}}', "'a' is no text, number, true or false"),
        ('{"a": -1e999}', "'a' is not finite"),
        ('{"a": "' + "x" * (MAX_BYTES - 8) + '"}', f"are longer than {MAX_BYTES} bytes"),
    ],
)
def test_all_else_is_refused_in_words(text: str, words: str) -> None:
    assert words in objection(text)


def test_an_objection_shows_little_of_a_long_name() -> None:
    assert len(objection('{"' + "n" * 900 + '": null}')) < 120
