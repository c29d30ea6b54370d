"""The simulator's own parts: its time, network and disk, and that one seed is one run."""

from __future__ import annotations

import asyncio
import errno
from random import Random
from typing import Any

import pytest

from active_learner.durable.files import SyncError
from active_learner.simulator.clock import ProcessLoop, VirtualTime
from active_learner.simulator.disk import TORN, SimulatedDisk
from active_learner.simulator.drills import DRILLS, drill_of
from active_learner.simulator.network import Network, SimulatedLink, SimulatedRouter, Weather
from active_learner.simulator.world import simulate
from protocol.codec import encode
from protocol.messages import LogLine, Ping


def loop_of(time: VirtualTime, name: str = "one") -> ProcessLoop:
    def failed(error: BaseException) -> None:
        raise error

    return ProcessLoop(time, name, Random(1), failed)


def run(time: VirtualTime, until: float) -> None:
    time.run(until, lambda loop: None)


def test_time_passes_from_one_event_to_the_next() -> None:
    time = VirtualTime()
    loop, seen = loop_of(time), []
    for delay in (3600.0, 5.0, 7200.0):
        loop.after(delay, lambda: seen.append(time.now))
    run(time, 4000.0)
    assert seen == [5.0, 3600.0]
    assert time.now == 4000.0


def test_a_coroutine_sleeps_in_virtual_time() -> None:
    time = VirtualTime()
    loop, seen = loop_of(time), []

    async def sleeper() -> None:
        await asyncio.sleep(90.0)
        seen.append(loop.time())

    loop.create_task(sleeper())
    run(time, 100.0)
    assert seen == [90.0]


def test_looks_become_rare_while_nothing_happens_and_frequent_again() -> None:
    time = VirtualTime()
    loop, looks = loop_of(time), []

    def look() -> None:
        looks.append(time.now)
        loop.call_later(0.1, look)

    loop.call_later(0.1, look)
    run(time, 3600.0)
    assert len(looks) < 120
    before = len(looks)
    loop.wake()
    run(time, 3600.5)
    assert len(looks) >= before + 2


def test_a_paused_process_does_its_work_when_it_goes_on() -> None:
    time = VirtualTime()
    loop, seen = loop_of(time), []
    loop.after(1.0, lambda: seen.append(time.now))
    loop.pause()
    run(time, 5.0)
    assert seen == []
    assert loop.silent_for() == 5.0
    loop.resume()
    run(time, 6.0)
    assert seen == [5.0]


def test_a_dead_process_does_nothing_more() -> None:
    time = VirtualTime()
    loop, seen = loop_of(time), []
    loop.after(1.0, lambda: seen.append("done"))
    loop.die()
    run(time, 5.0)
    assert seen == []
    assert time.events == 0


def test_one_thread_does_one_piece_of_work_after_the_other() -> None:
    time = VirtualTime()
    loop, done = loop_of(time), []
    times = iter((0.5, 0.1))
    loop.seconds_of = lambda: next(times)
    thread: Any = object()
    loop.run_in_executor(thread, done.append, "first")
    loop.run_in_executor(thread, done.append, "second")
    run(time, 1.0)
    assert done == ["first", "second"]


class Wires:
    """A router and a link that talk."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.network = Network(self.time, Random(3), loop_of(self.time, "nature"))
        self.broker, self.peer = loop_of(self.time, "broker"), loop_of(self.time, "peer")
        self.router, self.link = SimulatedRouter(self.network, self.broker), SimulatedLink(self.network, self.peer)
        self.heard: list[int] = []
        self.broker.create_task(
            self.router.open(lambda connection, frames, key: self.heard.append(len(self.heard)), lambda: None)
        )
        self.peer.create_task(self.link.open(lambda frames: None))
        run(self.time, 1.0)

    def say(self, times: int) -> list[bool]:
        taken = [self.link.send(encode(LogLine(number, "info", ""), room="sim/control")) for number in range(times)]
        run(self.time, self.time.now + 1.0)
        return taken


def test_a_calm_network_brings_everything() -> None:
    wires = Wires()
    assert all(wires.say(30))
    assert len(wires.heard) == 30


@pytest.mark.parametrize(
    ("weather", "arrive"), [(Weather(drop=1.0), 0), (Weather(duplicate=1.0, echo=0.0), 60), (Weather(reorder=1.0), 30)]
)
def test_weather_loses_doubles_and_keeps(weather: Weather, arrive: int) -> None:
    wires = Wires()
    wires.network.weather = weather
    wires.say(30)
    assert len(wires.heard) == arrive
    assert sum(wires.network.counts.values()) == 30


def test_an_echo_comes_as_late_as_a_delayed_message() -> None:
    wires = Wires()
    wires.network.weather = Weather(duplicate=1.0, echo=1.0, delay_s=10.0)
    wires.say(30)
    assert 30 <= len(wires.heard) < 45
    run(wires.time, wires.time.now + 10.0)
    assert len(wires.heard) == 60


def test_nine_runs_of_ten_have_a_drill_and_so_many_in_a_row_have_all() -> None:
    drills = [drill_of(seed) for seed in range(70, 70 + 40)]
    assert [one is None for one in drills[:10]] == [False] * 9 + [True]
    assert {one for one in drills if one is not None} == set(DRILLS)


def test_a_held_connection_keeps_what_was_said_until_it_is_full() -> None:
    wires = Wires()
    connection = wires.network.hold("peer")
    assert connection is not None
    taken = wires.say(100)
    assert wires.heard == []
    assert taken.count(True) == 64
    wires.network.let_go(connection)
    run(wires.time, wires.time.now + 1.0)
    assert len(wires.heard) == 64


def test_a_cut_connection_loses_what_is_under_way_and_comes_back() -> None:
    wires = Wires()
    assert wires.link.connection is not None
    wires.link.send(encode(Ping("1")))
    wires.network.close(wires.link.connection)
    assert not wires.link.send(encode(Ping("2")))
    run(wires.time, wires.time.now + 1.0)
    assert wires.heard == []
    assert wires.link.send(encode(Ping("3")))


def test_a_synced_record_outlives_every_crash() -> None:
    disk = SimulatedDisk(Random(1))
    for number in range(5):
        disk.append("labels", number)
    disk.crash()
    assert disk.read("labels") == [0, 1, 2, 3, 4]


def test_what_is_not_synced_is_lost_torn_or_there() -> None:
    left = set()
    for seed in range(40):
        disk = SimulatedDisk(Random(seed))
        disk.append("labels", 0)
        disk.lines["labels"].records += [1, 2]
        disk.crash()
        records = disk.lines["labels"].records
        left.add(tuple("torn" if one is TORN else one for one in records))
        assert disk.read("labels") == [one for one in records if one is not TORN]
    assert left == {(0,), (0, 1), (0, 1, 2), (0, "torn"), (0, 1, "torn")}


def test_a_full_disk_takes_nothing_and_a_failed_sync_leaves_it_open() -> None:
    disk = SimulatedDisk(Random(1))
    disk.is_full = True
    with pytest.raises(OSError, match="no space") as full:
        disk.append("labels", 1)
    assert full.value.errno == errno.ENOSPC
    assert disk.read("labels") == []
    disk.is_full, disk.sync_fails = False, True
    with pytest.raises(SyncError):
        disk.append("labels", 1)
    assert disk.lines["labels"].synced == 0


@pytest.mark.parametrize("seed", [3, 8])
def test_one_seed_is_one_run_event_for_event(seed: int) -> None:
    once, again = simulate(seed, trace=True), simulate(seed, trace=True)
    assert once.violation == ""
    assert once.story == again.story
    assert once.digest == again.digest
    assert once.events == again.events > 500
