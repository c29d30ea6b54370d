"""Frames written by hand from SPEC.md, in both directions. The files under golden/ are never made by the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.codec import decode, encode
from protocol.messages import (
    Action,
    Answer,
    Candidates,
    Forward,
    Gradient,
    Hello,
    Join,
    Message,
    RoundLine,
    Rounds,
    Status,
    Step,
    Welcome,
)
from tests.protocol_content import content

GOLDEN = Path(__file__).parent / "golden"
GRADIENT = np.array([[1.0, -0.5]], np.float32)

CASES: dict[str, tuple[Message, dict[str, Any]]] = {
    "hello": (Hello(1, 1, "digits", "trainer", "trainer", True, "00ff", "x 0.1"), {"sequence": 1}),
    "welcome": (Welcome(1, 258, "b0", 64 * 2**20), {"sequence": 1}),
    "join": (Join("digits/traininput"), {"session": 258, "sequence": 2}),
    "forward": (
        Forward(1, 1, Status.TRAIN, "", 0, 1, 1, 7, np.arange(6, dtype=np.uint8).reshape(2, 3)),
        {"room": "digits/traininput", "session": 258, "sequence": 3},
    ),
    "gradient": (Gradient(1, 1, GRADIENT), {"room": "digits/trainoutput", "session": 258, "sequence": 4}),
    "step": (
        Step(1, 300, GRADIENT, 0, 1, 2, 70000, np.array([[9, 8, 7]], np.uint8)),
        {"room": "digits/traininput", "session": 258, "sequence": 2**32 - 1},
    ),
    "answer": (
        Answer("a1", "q1", "me", 0, Action.ANSWER, 3, 1.5),
        {"room": "@digits/trainer", "session": 2**63 - 1, "sequence": 256},
    ),
    "candidates_raw": (
        Candidates("c1", "propose", np.full((2, 32768), 42, np.uint8), False),
        {"room": "digits/evolution", "session": 258, "sequence": 5},
    ),
    "rounds": (
        Rounds(
            "r1", "ab", 1, (RoundLine(0, "", 5, 10, 0.5, None, 600, "", 1.5, 200, (1, 0, 0, 0, 0, 0, 0, 0, 0, 300)),)
        ),
        {"room": "@digits/labeler-1", "session": 1, "sequence": 7},
    ),
}


def golden_frames(name: str) -> list[bytes]:
    """Hex and comments; "frame" starts the next frame, "repeat N HEX" is a byte N times."""
    frames = [b""]
    for line in (GOLDEN / f"{name}.hex").read_text().splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["frame"]:
            frames.append(b"")
        elif words[:1] == ["repeat"]:
            frames[-1] += bytes.fromhex(words[2]) * int(words[1])
        else:
            frames[-1] += bytes.fromhex("".join(words))
    return frames


def test_every_golden_file_is_used() -> None:
    assert {path.stem for path in GOLDEN.glob("*.hex")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_encoding_gives_the_bytes_written_by_hand(name: str) -> None:
    message, place = CASES[name]
    assert [bytes(frame) for frame in encode(message, **place)] == golden_frames(name)


@pytest.mark.parametrize("name", CASES)
def test_decoding_gives_the_message_that_was_meant(name: str) -> None:
    message, place = CASES[name]
    envelope, found = decode(golden_frames(name))
    assert content(found) == content(message)
    said = {"room": envelope.room, "session": envelope.session, "sequence": envelope.sequence}
    assert said == {"room": "", "session": 0, "sequence": 0, **place}
    assert (envelope.version, envelope.kind) == (1, message.KIND)
