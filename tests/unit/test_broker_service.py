"""What the broker's process adds to membership and relay: its bounds, its lines in the log, its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os

import pytest
from pydantic import ValidationError

from active_learner.config.schema import BrokerConfig
from active_learner.services.broker import NOTES, NOTES_S, Notes, _end_without_memory
from protocol.limits import MAX_MESSAGE_BYTES


@pytest.mark.parametrize("size", [1, 2**20 - 1, MAX_MESSAGE_BYTES + 1, 200_000_000])
def test_a_message_limit_that_no_peer_can_live_with_is_refused(size: int) -> None:
    with pytest.raises(ValidationError, match="max_message_bytes"):
        BrokerConfig(max_message_bytes=size)


class Clock:
    """Stands for the event loop, whose time is all that is asked."""

    at = 100.0

    def time(self) -> float:
        return self.at


def test_notes_are_logged_at_once_and_a_flood_of_them_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    notes = Notes(clock)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        for number in range(NOTES + 5):
            notes.say(f"{number} is evicted")
        assert caplog.messages == [f"{number} is evicted" for number in range(NOTES)]
        clock.at += NOTES_S
        notes.say("late is evicted")
    assert caplog.messages[-1] == "late is evicted (and 5 more before)"


class Ended(BaseException):
    """Instead of the end of this process."""


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "no memory")])
def test_a_broker_without_memory_ends_at_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(Ended, match="1"):
            _end_without_memory(loop, {"exception": error, "message": "x"})
        _end_without_memory(loop, {"exception": ValueError("no end"), "message": "x"})
    finally:
        loop.close()
