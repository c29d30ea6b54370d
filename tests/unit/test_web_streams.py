"""Events of the page: who hears what, what a stream that was cut hears again, what becomes of one that nobody reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

from active_learner.web.streams import KEPT, STREAMS, WAITING, Stream, Streams
from tests.unit.web_stage import Stage, on_stage


async def read(stream: Stream) -> list[str]:
    """All of a stream that was ended."""
    return [part.decode() async for part in stream]


def test_events_go_to_all_or_to_one() -> None:
    async def scene() -> None:
        streams = Streams()
        ann, bob = streams.open("ann", "", []), streams.open("bob", "", [])
        streams.say("status", {"a": 1})
        streams.say("receipt", {"b": 2}, "bob")
        streams.close()
        assert sum("event: " in part for part in await read(ann)) == 1
        assert sum("event: " in part for part in await read(bob)) == 2

    asyncio.run(scene())


def test_a_stream_that_was_cut_hears_what_it_missed_and_nothing_of_others() -> None:
    async def scene() -> None:
        streams = Streams()
        first = streams.open("ann", "", [("trainer", {"here": True})])
        streams.say("closed", {"question": "a"})
        streams.leave(first)
        first.end()
        last = (await read(first))[-1].split("id: ")[1].split("\n")[0]
        streams.say("receipt", {"question": "of bob"}, "bob")
        streams.say("closed", {"question": "b"})
        again = streams.open("ann", last, [("trainer", {"here": True})])
        streams.close()
        told = "".join(await read(again))
        assert '"b"' in told
        assert "bob" not in told
        assert "trainer" not in told

    asyncio.run(scene())


def test_who_missed_too_much_or_comes_from_an_earlier_process_begins_anew() -> None:
    async def scene() -> None:
        streams = Streams()
        for _ in range(KEPT + 2):
            streams.say("status", {})
        for last in ("other-3", "nonsense", "", f"{streams._boot}-1", f"{streams._boot}-99999"):
            stream = streams.open("ann", last, [("questions", {})])
            stream.end()
            assert "event: questions" in "".join(await read(stream))

    asyncio.run(scene())


def test_row_45_a_stream_that_nobody_reads_is_ended_and_costs_the_others_nothing() -> None:
    async def scene() -> None:
        streams = Streams()
        stopped, other = streams.open("ann", "", []), streams.open("bob", "", [])
        for _ in range(WAITING + 1):
            streams.say("closed", {}, "ann")
        streams.say("status", {})
        assert len(streams) == 1
        assert len(await read(stopped)) == WAITING + 1
        streams.close()
        assert len(await read(other)) == 2

    asyncio.run(scene())


def test_one_stream_too_many_costs_the_oldest_its_place() -> None:
    async def scene() -> None:
        streams = Streams()
        first = streams.open("ann", "", [])
        for _ in range(STREAMS):
            streams.open("ann", "", [])
        assert len(streams) == STREAMS
        assert len(await read(first)) == 1

    asyncio.run(scene())


def test_row_50_a_stop_ends_open_streams(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        listener = await (await stage.entered()).stream()
        await listener.event("questions")
        stage.service.streams.close()
        await asyncio.wait_for(listener.running, 20)
        assert len(stage.service.streams) == 0

    on_stage(scene, tmp_path)


def test_the_stream_of_an_annotator_who_was_removed_hears_nothing_more(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = stage.browser()
        await browser.enter(stage.people.add("anna"))
        listener = await browser.stream()
        await listener.event("trainer")
        stage.people.remove("anna")
        stage.service.streams.say("notice", {"level": "info", "text": "for those who are here"})
        await asyncio.wait_for(listener.running, 30.0)

    on_stage(scene, tmp_path)


def test_a_stream_that_had_to_go_leaves_its_connection(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        listener = await (await stage.entered()).stream()
        await listener.event("trainer")
        assert listener.headers["connection"] == "close"
        await listener.close()

    on_stage(scene, tmp_path)
