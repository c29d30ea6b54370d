"""kill -9 of a writer in full flow: whatever it was told is stored is there, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from active_learner.core.records import SampleSpec, content_key
from active_learner.stores import open_store
from active_learner.stores.base import Store

KILLS = 5
SPEC = SampleSpec(shape=(4,), dtype="uint8", classes=5)

WRITER = """
import sys
from pathlib import Path
from tests.integration.test_store_kill import answer, ask, opened

store = opened(sys.argv[1], Path(sys.argv[2]))
number = int(sys.argv[3])
print("ready", flush=True)
while True:
    ask(store, number)
    print(number, answer(store, number), flush=True)
    number += 1
"""


def opened(url: str, folder: Path) -> Store:
    store = open_store(url, folder)
    store.open("digits", SPEC)
    return store


def features(number: int) -> np.ndarray:
    return np.frombuffer(number.to_bytes(4, "little"), np.uint8)


def ask(store: Store, number: int) -> None:
    from active_learner.core.records import AskedQuestion

    sample = features(number)
    store.commit_questions(
        [AskedQuestion(f"q{number}", content_key(sample), sample, 1, "margin", 0.5, 1, 0, False, 9, 1.0)]
    )


def answer(store: Store, number: int) -> str:
    from active_learner.core.records import LabelEvent

    event = LabelEvent(f"e{number}", f"q{number}", content_key(features(number)), "ann", 0, "answer", number % 5, 1.0)
    return store.commit_event(event).value


def killed_writer(url: str, folder: Path, first: int, acknowledged: int) -> list[int]:
    """Start one, kill it after so many acknowledgements; returns the numbers that it acknowledged."""
    command = [sys.executable, "-c", WRITER, url, str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        lines = [writer.stdout.readline() for _ in range(acknowledged)]
        writer.kill()
        lines += writer.stdout.readlines()
    done = [line.split() for line in lines if line.endswith("\n")]
    assert all(status == "stored" for _, status in done)
    return [int(number) for number, _ in done]


@pytest.mark.integration
@pytest.mark.parametrize("url", ["sqlite:///labels.db", "csv:labels.csv"])
def test_every_acknowledged_label_survives_kill_9_once(url: str, tmp_path: Path) -> None:
    acknowledged: list[int] = []
    first = 0
    for kill in range(KILLS):
        acknowledged += killed_writer(url, tmp_path, first, 5 + 7 * kill)
        first = acknowledged[-1] + 100
    store = opened(url, tmp_path)
    kept = [event.id for event in store.events()]
    labels = {label.key: label.value for label in store.labels()}
    assert len(kept) == len(set(kept)) == len(labels)
    assert {f"e{number}" for number in acknowledged} <= set(kept)
    assert len(kept) <= len(acknowledged) + KILLS  # at most the one under way at each kill
    assert all(labels[content_key(features(number))] == number % 5 for number in acknowledged)
    assert [answer(store, number) for number in acknowledged] == ["duplicate"] * len(acknowledged)
    store.close()
