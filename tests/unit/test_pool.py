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


def test_many_scores_at_once_are_as_each_by_itself() -> None:
    one, all_at_once = pool(9, 0.9, None, 0.7), pool(9, 0.9, None, 0.7)
    keys = [f"{number:032x}" for number in (2, 7, 0, 1)]
    rows = np.array([[0.6, 0.4], [0.9, 0.1], [0.55, 0.45], [0.8, 0.2]], np.float32)
    for version in (3, 2):
        for key, row in zip(keys, rows, strict=True):
            one.score(key, row, version)
        all_at_once.score_all(keys, rows, version)
        rows = rows[:, ::-1] * 0.5
    all_at_once.score_all([], rows[:0], 9)
    assert all_at_once.dump() == one.dump()
    assert [all_at_once[key].uncertainty for key in sorted(keys[:1])] == [one[keys[0]].uncertainty]


def test_a_view_has_the_samples_of_another_pool_among_its_own() -> None:
    whole, even, odd = pool(9, 0.9, 0.8, None, 0.7, 0.6), pool(9, 0.9, None, None, 0.7), Pool(9, 2)
    for number, sample in enumerate(even.remove([f"{number:032x}" for number in (1, 3)])):
        odd.add(sample.key, sample.features)
        odd.score(sample.key, np.array([[0.8, 0.2], [0.7, 0.3]], np.float32)[number], 1)
    even.add(f"{4:032x}", FEATURES + 4)
    even.score(f"{4:032x}", np.array([0.6, 0.4], np.float32), 1)
    both, expected = even.view(beside=odd), whole.view()
    assert both.keys == expected.keys
    assert np.array_equal(both.features, expected.features)
    assert np.array_equal(both.probabilities, expected.probabilities, equal_nan=True)
    assert np.array_equal(both.model_versions, expected.model_versions)
    left_out = [*even.view().keys]
    assert even.view(without=left_out, beside=odd).keys == odd.view().keys
    alone = even.view(without=odd.view().keys, beside=odd)
    assert alone.keys == even.view().keys
    assert np.array_equal(alone.features, even.view().features)


def test_samples_of_another_shape_or_dtype_are_refused_by_a_pool() -> None:
    full = pool(3, 0.9)
    with pytest.raises(ValueError, match="those of the pool are float32"):
        full.add("x", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="a sample is float64"):
        full.add("x", np.zeros(2))
    assert len(full) == 1
