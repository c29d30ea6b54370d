"""Row 10: any process of a live run is stopped (SIGSTOP). The others notice within 2 s, go on, and have it back at SIGCONT."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from active_learner.peer import Peer
from protocol.messages import Member, StatusReport
from tests.integration.by_hand import PATIENCE_S, Hand, Shell

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SETS = ("trainer.initial_labels=20", "trainer.epochs=2", "validation.limit=50", "labeler.delay_s=0.05")
ROLES = {"trainer": "serve", "evaluator": "evaluator", "source": "source", "labeler": "label"}
PROMISED_S = 2.0
BUSY_S = 12.0
"""What a busy machine may add; the figures are printed."""


class Watcher:
    """Who comes and goes, and what the trainer says; of the broker, whether it is there."""

    def __init__(self, hand: Hand) -> None:
        self.peer = Peer(experiment=hand.name, role="watch", address=hand.address)
        self.told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.peer.on_presence = self._presence
        self.peer.on_session = lambda here: self.told.put_nowait(("broker", here))

    def _presence(self, room: str, member: Member, here: bool, why: str) -> None:
        self.told.put_nowait((member.role, here))

    async def sees(self, role: str, here: bool) -> float:
        """Seconds until it is told."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.timeout(PATIENCE_S):
            while await self.told.get() != (role, here):
                pass
        return clock() - began

    async def forget(self) -> None:
        while not self.told.empty():
            self.told.get_nowait()

    async def steps_beyond(self, step: int) -> int:
        async with asyncio.timeout(PATIENCE_S):
            async for received in self.peer:
                if isinstance(received.message, StatusReport) and received.message.step > step:
                    return received.message.step
        raise AssertionError("the peer was closed")


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path, "digits", *SETS)
    yield made
    made.clear_away()


def all_started(hand: Hand) -> dict[str, Shell]:
    shells = {"broker": hand.broker()}
    return shells | {role: hand.start(command, ready=True) for role, command in ROLES.items()}


def test_row_10_each_role_that_hangs_is_noticed_and_rejoins(hand: Hand) -> None:
    shells = all_started(hand)
    took: dict[str, float] = {}

    async def scene() -> None:
        watcher = Watcher(hand)
        async with watcher.peer:
            await watcher.peer.join("control")
            step = await watcher.steps_beyond(0)
            for role, shell in shells.items():
                await watcher.forget()
                shell.signal(signal.SIGSTOP)
                took[role] = await watcher.sees(role, False)
                shell.signal(signal.SIGCONT)
                await watcher.sees(role, True)
                step = await watcher.steps_beyond(step)

    asyncio.run(scene())
    print({role: round(seconds, 2) for role, seconds in took.items()})
    assert took.keys() == {"broker", *ROLES}
    assert max(took.values()) < PROMISED_S + BUSY_S
    for role, shell in shells.items():
        assert shell.process.poll() is None, f"{role}: {shell.text}"
