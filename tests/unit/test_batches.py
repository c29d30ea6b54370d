"""Samples of any size: a validation, a refresh and a step fit into messages, or it is told before anything is planned."""

from __future__ import annotations

import numpy as np
import pytest

from active_learner import cli
from active_learner.config import loading
from active_learner.config.sample import check_batch, resolve
from active_learner.core import asking_events as a
from active_learner.core.batches import BATCH_BYTES, rows_at_once
from active_learner.core.intake import REFRESH_ROWS, Intake
from active_learner.core.pool import Pool
from active_learner.errors import ConfigError
from active_learner.services.training_shell import VALIDATION_ROWS, _Validation
from protocol.codec import encode
from protocol.messages import Candidates, Message

IMAGE = (512, 512, 3)
IMAGE_BYTES = 786_432
LARGE = ("source={kind: none}", f"sample.shape={list(IMAGE)}", "sample.dtype=uint8", "sample.classes=10")


def images(count: int) -> np.ndarray:
    return np.zeros((count, *IMAGE), np.uint8)


def said(message: Message) -> int:
    """In bytes."""
    return sum(len(frame) for frame in encode(message, room="tried/evolution", session=1, sequence=1))


@pytest.mark.parametrize(("size", "rows"), [(1, 256), (32_768, 256), (IMAGE_BYTES, 10), (BATCH_BYTES + 1, 1)])
def test_of_large_samples_fewer_go_into_a_message(size: int, rows: int) -> None:
    assert rows_at_once(np.zeros((3, size), np.uint8), 256) == rows


def test_held_out_images_are_validated_in_messages_that_fit() -> None:
    validation, seen = _Validation(1, 1, images(VALIDATION_ROWS)), 0
    while not validation.is_complete:
        rows = validation.rows()
        assert said(Candidates("c", "refresh", rows, False)) < 2 * BATCH_BYTES
        seen += len(rows)
        assert validation.hear(validation.ticket, np.zeros((len(rows), 2), np.float32))
    assert seen == sum(map(len, validation.heard)) == VALIDATION_ROWS


def test_a_pool_of_images_is_scored_again_in_messages_that_fit() -> None:
    pool = Pool(100, 2)
    for number, image in enumerate(images(90)):
        pool.add(f"k{number:02d}", image)
    commands = Intake(pool, lambda _: False, "run-1", 0.0).refresh(5)
    refreshes = [one for one in commands if isinstance(one, a.Refresh)]
    assert sum(len(one.features) for one in refreshes) == 90 < REFRESH_ROWS
    assert max(said(Candidates(one.id, "refresh", one.features, False)) for one in refreshes) < 2 * BATCH_BYTES


def test_a_batch_that_no_message_holds_is_refused_before_it_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    def checked(*sets: str) -> None:
        config = loading.load("digits", (*LARGE, *sets), {})
        check_batch(config, resolve(config))

    checked("trainer.batch_size=85")
    with pytest.raises(ConfigError, match=r"trainer.batch_size: 86 samples of 786,432 bytes .* allowed are 1 to 85"):
        checked("trainer.batch_size=86")
    with pytest.raises(
        ConfigError, match=r"max_message_bytes: the 10 samples of 786,432 bytes that are scored at once do"
    ):
        checked("trainer.batch_size=1", "broker.max_message_bytes=2000000")
    options = [word for one in (*LARGE, "trainer.batch_size=86") for word in ("--set", one)]
    assert cli.run(["serve", "digits", *options]) == 3
    assert "trainer.batch_size: 86 samples" in capsys.readouterr().err
