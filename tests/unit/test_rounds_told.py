"""What the trainer tells of its rounds: its own and the control arm's, bounded, and to each asker once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from active_learner.core.records import RoundResult
from active_learner.peer import Received
from active_learner.results import metrics
from active_learner.services.rounds_told import MOST, RoundsTold, thinned
from protocol.codec import decode, encode
from protocol.messages import Member, Message, Rounds, RoundsRequest

HISTOGRAM = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def result(number: int, **extra: Any) -> RoundResult:
    measured = {"at": 1000.0 + number, "pool": 55, "uncertainty": HISTOGRAM, "held_out": 600, **extra}
    return RoundResult(number, 10 * number, "d", 5 * number, 0.5, 1.25, None, None, 2.0, measured)


class Room:
    """The trainer's surroundings, with a disk that answers when the test says so."""

    def __init__(self, folder: Path, results: list[RoundResult]) -> None:
        self.disk = asyncio.Event()
        self.disk.set()
        self.looks = 0
        self.said: list[tuple[int, Rounds]] = []
        self.tasks: list[asyncio.Future[None]] = []
        self.told = RoundsTold("run", results, folder, self._on_disk, self._spawn, self._reply)

    async def _on_disk(self, function: Callable[[], Any]) -> Any:
        self.looks += 1
        await self.disk.wait()
        return function()

    def _spawn(self, work: Awaitable[None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def _reply(self, received: Received, message: Message) -> bool:
        assert isinstance(message, Rounds)
        self.said.append((received.session, message))
        return True

    def ask(self, session: int, number: str) -> None:
        self.told.heard(Received(RoundsRequest(number), "@e/trainer", session, Member(session, "page", "labeler")))

    async def answered(self, session: int = 7) -> Rounds:
        self.ask(session, "n")
        await asyncio.gather(*self.tasks)
        return self.said[-1][1]


def answered(folder: Path, results: list[RoundResult]) -> Rounds:
    async def scene() -> Rounds:
        return await Room(folder, results).answered()

    return asyncio.run(scene())


def test_each_round_is_told_with_what_was_measured_and_when(tmp_path: Path) -> None:
    said = answered(tmp_path, [result(0, held_back="worse by 0.1"), result(1)])
    assert (said.re, said.run, said.total) == ("n", "run", 2)
    first, second = said.rounds
    assert (first.round, first.labels, first.model_version, first.held_back) == (0, 0, 0, "worse by 0.1")
    assert (second.arm, second.accuracy, second.loss, second.held_out) == ("", 0.5, 1.25, 600)
    assert (second.at, second.pool, second.uncertainty, second.held_back) == (1001.0, 55, tuple(HISTOGRAM), "")


def test_what_was_not_measured_is_none_and_what_is_not_finite_is_not_said(tmp_path: Path) -> None:
    bare = RoundResult(0, 3, "d", 5, None, math.nan, None, None, 2.0)
    [line] = answered(tmp_path, [bare]).rounds
    assert (line.accuracy, line.loss, line.held_out, line.at, line.pool) == (None, None, None, None, None)
    assert line.uncertainty == (0,) * 10


def test_the_control_arm_comes_after_the_run_when_there_is_one(tmp_path: Path) -> None:
    for number in (0, 1):
        metrics.append(tmp_path / metrics.CONTROL_FILE, result(number))
    said = answered(tmp_path, [result(0)])
    assert [(one.arm, one.round) for one in said.rounds] == [("", 0), ("control", 0), ("control", 1)]
    assert said.total == 1


def test_a_control_arm_that_cannot_be_read_does_not_take_the_curve_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / metrics.CONTROL_FILE).write_text("{ no line\n")

    async def scene() -> None:
        room = Room(tmp_path, [result(0)])
        for _ in range(3):
            assert [one.arm for one in (await room.answered()).rounds] == [""]

    asyncio.run(scene())
    assert [record.message.count("control.jsonl, line 1") for record in caplog.records] == [1]


def test_of_very_many_rounds_those_at_equal_distances_are_told_and_they_fit_one_message(tmp_path: Path) -> None:
    many = [result(number, held_back="é" * 10_000) for number in range(2000)]
    for one in many:
        one.extra["uncertainty"] = [2**62] * 10
    lines = [metrics.json.dumps(metrics._fields(one)) for one in many]
    (tmp_path / metrics.CONTROL_FILE).write_text("\n".join(lines) + "\n")
    said = answered(tmp_path, many)
    assert said.total == 2000
    assert len(said.rounds) == 2 * MOST
    assert [said.rounds[i].round for i in (0, MOST - 1, MOST, -1)] == [0, 1999, 0, 1999]
    assert decode(encode(said)).message == said


@given(count=st.integers(0, 3000), most=st.integers(2, 600))
def test_a_thinned_curve_keeps_its_ends_its_order_and_its_distances(count: int, most: int) -> None:
    kept = thinned(range(count), most)
    assert len(kept) == min(count, most)
    steps = {after - before for before, after in pairwise(kept)}
    assert len(steps) <= 2
    assert not steps or (min(steps) >= 1 and max(steps) - min(steps) <= 1)
    assert count == 0 or (kept[0], kept[-1]) == (0, count - 1)


def test_who_asks_again_is_answered_once_and_all_by_one_look_at_the_disk(tmp_path: Path) -> None:
    async def scene() -> None:
        results = [result(0)]
        room = Room(tmp_path, results)
        room.disk.clear()
        for number in range(100):
            room.ask(7, f"a{number}")
            room.ask(8, f"b{number}")
        await asyncio.sleep(0)
        results.append(result(1))
        room.disk.set()
        await asyncio.gather(*room.tasks)
        assert room.looks == 1
        assert [(session, one.re, one.total) for session, one in room.said] == [(7, "a99", 2), (8, "b99", 2)]
        assert (await room.answered(9)).re == "n"
        assert room.looks == 2

    asyncio.run(scene())
