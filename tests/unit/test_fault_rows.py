"""Each row of bad input has a test that says so in its name: which fault it is about, one finds by the number."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {
    20: "corrupted bytes",
    21: "oversized message",
    22: "wrong protocol version",
    23: "wrong shape or dtype",
    24: "NaN or infinity",
    25: "unknown room or kind",
    26: "forged sender",
    30: "an answer twice",
    31: "an answer twice with another value",
    32: "a late answer",
    33: "a label that is none",
    34: "an answer to a question that was never asked",
    35: "repeated candidates",
    36: "content that is labeled already",
    37: "a torn last record",
    38: "a full disk",
    39: "a failing fsync",
    40: "a locked database",
    41: "bit rot",
    42: "mistakes of configuration",
    43: "a port in use",
}
TESTS = Path(__file__).parent.parent
NAMED = re.compile(r"^\s*(?:async )?def test_row_(\d\d)_", re.MULTILINE)


def test_every_row_of_bad_input_has_a_test() -> None:
    found = {
        int(number) for file in TESTS.rglob("test_*.py") for number in NAMED.findall(file.read_text(encoding="utf-8"))
    }
    lacking = {number: words for number, words in ROWS.items() if number not in found}
    assert not lacking
