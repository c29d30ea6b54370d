"""What the broker's process adds to membership and relay: its bounds and its lines in the log."""

from __future__ import annotations

import logging

import pytest
from pydantic import ValidationError

from active_learner.config.schema import BrokerConfig
from active_learner.services.broker import NOTES, NOTES_S, Notes
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
