"""The pool by itself: what it keeps when it is full, and snapshots that cannot be read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from active_learner.core.pool import UNSCORED, Pool

FEATURES = np.zeros(2, np.float32)


def pool(capacity: int, *certain: float | None) -> Pool:
    """Sample n with that highest probability; None: never scored."""
    made = Pool(capacity, 2)
    for number, highest in enumerate(certain):
        made.add(f"{number:032x}", FEATURES + number)
        if highest is not None:
            made.score(f"{number:032x}", np.array([highest, 1 - highest], np.float32), 1)
    return made


def snapshot(**changed: Any) -> bytes:
    arrays = {
        "keys": np.array([f"{number:032x}" for number in range(2)], "U32"),
        "features": np.zeros((2, 2), np.float32),
        "probabilities": np.array([[0.6, 0.4], [np.nan, np.nan]], np.float32),
        "model_versions": np.array([3, UNSCORED], np.int64),
        **changed,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_row_46_a_full_pool_lets_the_most_certain_go_and_keeps_what_nobody_scored() -> None:
    full = pool(3, 0.9, 0.6, None, 0.7, 0.99)
    assert full.evict() == 2
    assert [key in full for key in (f"{number:032x}" for number in range(5))] == [False, True, True, True, False]


def test_row_46_a_flood_of_samples_leaves_the_most_uncertain_within_the_capacity() -> None:
    flooded = Pool(50, 2)
    draw = np.random.default_rng(1)
    highest = draw.uniform(0.5, 1.0, 20_000)
    for number, one in enumerate(highest):
        key = f"{number:032x}"
        flooded.add(key, FEATURES)
        flooded.score(key, np.array([one, 1 - one], np.float32), 1)
        if number % 100 == 99:
            flooded.evict()
            assert len(flooded) <= 50
    assert {int(key, 16) for key in flooded.view().keys} == set(np.argsort(highest.astype(np.float32))[:50].tolist())


def test_a_snapshot_brings_back_what_was_dumped() -> None:
    before = pool(9, 0.9, None)
    after = Pool(9, 2)
    after.restore(before.dump(), without={f"{7:032x}"})
    assert after.view().keys == before.view().keys
    assert np.array_equal(after.view().probabilities, before.view().probabilities, equal_nan=True)


def test_any_flipped_bit_of_a_snapshot_is_refused_or_changes_nothing() -> None:
    """The archive has checksums of its own; what they do not cover says nothing of samples."""
    whole = pool(9, 0.9, None, 0.7).dump()
    good = Pool(9, 2)
    good.restore(whole)
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        again = Pool(9, 2)
        try:
            again.restore(bytes(damaged))
        except ValueError:
            assert len(again) == 0
            continue
        assert again.dump() == whole


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"\x93NUMPY junk", "cannot be read"),
        (b"PK\x03\x04" + bytes(100), "cannot be read: BadZipFile"),
        (snapshot()[:-30], "cannot be read: BadZipFile"),
        (snapshot(features=np.zeros((3, 2), np.float32)), "of different lengths"),
        (snapshot(features=np.float32(3)), "of different lengths"),
        (snapshot(probabilities=np.zeros((2, 5), np.float32)), "of 5 classes, expected 2"),
        (snapshot(probabilities=np.float32(1)), "of 0 classes, expected 2"),
        (snapshot(model_versions=np.array([3, 4])), "scores that are no numbers"),
        (snapshot(model_versions=np.array(["x", "y"])), "cannot be read: ValueError"),
        (snapshot(keys=np.array([{}], object)), "cannot be read: ValueError"),
    ],
)
def test_a_snapshot_that_is_none_is_refused_in_words_and_adds_nothing(content: bytes, words: str) -> None:
    empty = Pool(9, 2)
    with pytest.raises(ValueError, match=words):
        empty.restore(content)
    assert len(empty) == 0
