"""Bad input to a run that is under way: refused in words, counted, and the run ends as if it had not been."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

from active_learner.peer import Peer, Received
from protocol.codec import encode
from protocol.messages import (
    Action,
    Answer,
    AnswerReceipt,
    Candidates,
    Hello,
    Message,
    Position,
    PositionRequest,
    Question,
    StatusReport,
    StepRefused,
    Taken,
)
from tests.integration.by_hand import PATIENCE_S, Hand, Shell, result
from tests.integration.gated_run import all_started, by_hand, ends_right
from tests.integration.up_process import call

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

__all__ = ["by_hand"]


def test_no_numbers_in_predictions_or_gradients_halt_training_and_leave_the_weights(
    by_hand: Callable[..., Hand],
) -> None:
    """Round 2 is steps 26 to 60. What was mended goes on to the weights of a run in which nothing was wrong."""
    hand = by_hand()
    (hand.folder / "nan-forward-30").touch()
    (hand.folder / "nan-loss-40").touch()
    shells = all_started(hand)
    mended(hand, shells, "forward-30", 29, "step 30: evaluator: predictions of step 30 are not finite")
    mended(hand, shells, "loss-40", 35, "step 36: the gradient of the loss is not finite")
    ends_right(hand, shells["serve"])


def mended(hand: Hand, shells: dict[str, Shell], place: str, applied: int, words: str) -> None:
    """Training is halted after step `applied` and says why; the fault is taken away and the evaluator started again."""
    report = hand.until(lambda report: report.training == "halted")
    assert (report.step, report.text) == (applied, f"training is halted: {words}")
    shells["serve"].wait_for(words)
    (hand.folder / f"nan-{place}").unlink()
    shells["evaluator"].signal(signal.SIGTERM)
    assert shells["evaluator"].ended() == 0
    shells["evaluator"] = hand.start("evaluator")
