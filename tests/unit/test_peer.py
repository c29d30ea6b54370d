"""The public peer over a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from active_learner.core.admission import Limits
from active_learner.errors import LeaseHeld, Unreachable
from active_learner.peer import Peer, Received
from active_learner.transport.memory import MemoryBroker, MemoryLink
from protocol.errors import LocalProtocolError, MessageTooLarge
from protocol.messages import Control, LogLine, Member

START = Control("source", "start")


class House:
    """A broker and peers on it."""

    def __init__(self, stack: AsyncExitStack, broker: MemoryBroker) -> None:
        self.stack, self.broker = stack, broker

    async def peer(self, role: str, *rooms: str, experiment: str = "digits", **fields: object) -> Peer:
        made = Peer(experiment=experiment, role=role, address=self.broker.address, **fields)  # type: ignore[arg-type]
        peer = await self.stack.enter_async_context(made)
        for room in rooms:
            await peer.join(room)
        return peer


def run(story: Callable[[House], Awaitable[None]], limits: Limits | None = None) -> None:
    async def told() -> None:
        async with asyncio.timeout(20), MemoryBroker(limits) as broker, AsyncExitStack() as stack:
            await story(House(stack, broker))

    asyncio.run(told())


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the loop has to turn
            await asyncio.sleep(0)


def collected(peer: Peer) -> list[Received]:
    heard: list[Received] = []
    peer.on_message = heard.append
    return heard


def test_a_message_comes_with_its_room_and_sender() -> None:
    async def story(house: House) -> None:
        a = await house.peer("trainer", "control", exclusive=True)
        b = await house.peer("person", "control", name="anna")
        heard = collected(a)
        assert b.send("control", START)
        assert b.send("@trainer", START)
        await until(lambda: len(heard) == 2)
        assert [(one.room, one.message) for one in heard] == [("control", START), ("", START)]
        assert heard[0].sender is not None
        assert (heard[0].sender.name, heard[0].sender.role) == ("anna", "person")

    run(story)


def test_the_iterator_gives_what_nobody_else_took() -> None:
    async def story(house: House) -> None:
        a, b = await house.peer("a", "control"), await house.peer("b", "control")
        for number in range(3):
            b.send("control", Control("any", str(number)))
        heard = []
        async for received in a:
            heard.append(received.message)
            if len(heard) == 3:
                break
        assert heard == [Control("any", str(number)) for number in range(3)]

    run(story)


def test_closing_ends_the_iterator() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(a.close()))
        assert [received async for received in a] == []

    run(story)


def test_join_tells_who_is_there_and_presence_who_comes_and_goes() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        seen: list[tuple[str, str, bool, str]] = []
        a.on_presence = lambda room, member, here, why: seen.append((room, member.name, here, why))
        b = Peer(experiment="digits", role="b", name="bert", address=house.broker.address)
        await b.open()
        assert [member.role for member in await b.join("control")] == ["a"]
        await until(lambda: a.present("control", "b"))
        assert a.present("control", "other") == []
        await b.close("tired")
        await until(lambda: not a.present("control", "b"))
        assert seen == [("control", "bert", True, ""), ("control", "bert", False, "tired")]

    run(story)


def test_a_room_that_was_left_is_not_heard() -> None:
    async def story(house: House) -> None:
        a, b = await house.peer("a", "control", "user"), await house.peer("b", "control", "user")
        heard = collected(a)
        a.leave("user")
        await until(lambda: not b.present("user", "a"))
        b.send("user", START)
        b.send("control", START)
        await until(lambda: heard)
        assert [one.room for one in heard] == ["control"]
        await until(lambda: b.counters == {"undelivered": 1})

    run(story)


def test_a_request_is_answered_and_the_answer_given_to_nobody_else() -> None:
    async def story(house: House) -> None:
        a, b = await house.peer("a", "control"), await house.peer("b", "control")
        b.on_message = lambda received: b.reply(received, Control("answer", "x")) and None
        heard = collected(a)
        answer = await a.request("control", START, lambda got: isinstance(got.message, Control))
        assert answer.message == Control("answer", "x")
        assert heard == []

    run(story)


def test_a_request_is_sent_again_and_at_once_when_somebody_comes() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        asking = asyncio.ensure_future(a.request("control", START, lambda got: True, resend_s=60.0))
        await until(lambda: a.counters.get("undelivered"))
        b = await house.peer("b")
        b.on_message = lambda received: b.reply(received, START) and None
        await b.join("control")
        assert (await asking).message == START
        assert a.counters["re-sent"] == 1

    run(story)


def test_a_request_without_answer_ends_with_unreachable() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        with pytest.raises(Unreachable, match=r"no answer to Control in 'control' of 'digits' for 0.01 s"):
            await a.request("control", START, lambda got: True, timeout_s=0.01)

    run(story)


def test_two_experiments_do_not_hear_each_other() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        b = await house.peer("a", "control", experiment="melody")
        c = await house.peer("c", "control", experiment="melody")
        heard_a, heard_b = collected(a), collected(b)
        c.send("control", START)
        await until(lambda: heard_b)
        assert heard_a == []
        assert a.present("control", "c") == []

    run(story)


def test_a_restarted_broker_is_rejoined_and_told_to_the_callbacks() -> None:
    async def story(house: House) -> None:
        a, b = await house.peer("a", "control"), await house.peer("b", "control")
        told: list[object] = []
        a.on_session = told.append
        a.on_presence = lambda room, member, here, why: told.append((member.role, here))
        await house.broker.stop()
        assert a.send("control", START) is False
        await house.broker.start()
        await until(lambda: a.present("control", "b") and told.count(True))
        assert told.index(("b", False)) < told.index(False) < told.index(("b", True))
        assert told.count(False) == told.count(True) == 1
        heard = collected(b)
        assert a.send("control", START)
        await until(lambda: heard)
        assert a.counters["sessions_lost"] == 1

    run(story)


def test_a_taken_role_is_told_with_its_holder() -> None:
    async def story(house: House) -> None:
        await house.peer("trainer", exclusive=True)
        with pytest.raises(LeaseHeld, match="name 'trainer' of experiment 'digits' is held by 'trainer'"):
            await house.peer("trainer", exclusive=True)

    run(story)


def test_no_broker_is_told_after_the_timeout() -> None:
    async def story() -> None:
        peer = Peer(experiment="digits", role="a", address="memory://nobody", connect_timeout_s=0.01)
        with pytest.raises(Unreachable, match=r"no broker at memory://nobody for 0.01 s: start one with"):
            await peer.open()

    asyncio.run(story())


def test_a_peer_may_wait_for_its_broker() -> None:
    async def story() -> None:
        broker = MemoryBroker(address="memory://late")
        peer = Peer(experiment="digits", role="a", address="memory://late", connect_timeout_s=None)
        opening = asyncio.ensure_future(peer.open())
        await asyncio.sleep(0)
        async with broker:
            await opening
            assert peer.connected
            await peer.close()
            await peer.close()

    asyncio.run(story())


def test_a_refused_room_is_told() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        with pytest.raises(Unreachable, match=r"refuses room digits/user \(limit\): 1 rooms are the broker's limit"):
            await a.join("user")

    run(story, Limits(max_rooms=1))


@pytest.mark.parametrize("field", ["experiment", "role", "name"])
def test_a_bad_name_is_our_own_fault(field: str) -> None:
    fields = {"experiment": "digits", "role": "a", "name": "a", field: "no/name"}
    with pytest.raises(LocalProtocolError, match="no/name"):
        Peer(address="memory://x", **fields)


def test_what_is_too_large_for_the_broker_is_our_own_fault() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        with pytest.raises(MessageTooLarge):
            a.send("control", Control("any", "x" * 250))

    run(story, Limits(max_message_bytes=240))


def test_a_peer_gets_its_place_on_a_full_broker_as_soon_as_one_is_free() -> None:
    async def story(house: House) -> None:
        first = await house.peer("a")
        opening = asyncio.ensure_future(house.peer("b"))
        await until(lambda: house.broker.counters.get("refused.limit"))
        assert not opening.done()
        await first.close()
        assert (await opening).connected

    run(story, Limits(max_sessions=1))


def test_a_broker_that_stays_full_is_told_as_such() -> None:
    async def story(house: House) -> None:
        await house.peer("a")
        with pytest.raises(Unreachable, match=r"refuses us \(limit\): 1 peers are the broker's limit"):
            await house.peer("b", connect_timeout_s=0.1)

    run(story, Limits(max_sessions=1))


def test_names_are_the_role_or_the_role_with_random_hex() -> None:
    exclusive = Peer(experiment="digits", role="a", address="memory://x", exclusive=True)
    one, other = (Peer(experiment="digits", role="a", address="memory://x") for _ in range(2))
    assert exclusive.name == "a"
    assert one.name.startswith("a-")
    assert one.name != other.name


def test_gaps_in_telemetry_are_counted() -> None:
    async def story(house: House) -> None:
        a, b = await house.peer("a", "control"), await house.peer("b", "control")
        heard = collected(a)
        for number in (4, 5, 9):
            b.send("control", LogLine(number, "info", "x"))
        await until(lambda: len(heard) == 3)
        assert a.counters == {"gaps": 3}

    run(story)


def test_bad_frames_are_counted_and_unread_messages_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("active_learner.peer.MAX_UNREAD", 2)

    async def story(house: House) -> None:
        a, b = await house.peer("a", "control"), await house.peer("b", "control")
        for number in range(3):
            b.send("control", Control("any", str(number)))
        await until(lambda: a.counters.get("dropped") == 1)
        a._heard([memoryview(b"junk")])
        assert a.counters == {"dropped": 1, "bad_frames": 1}
        assert (await anext(aiter(a))).message == Control("any", "1")

    run(story)


def test_a_slow_member_is_evicted_comes_back_and_nobody_else_waits() -> None:
    async def story(house: House) -> None:
        a, b, c = [await house.peer(role, "control") for role in "abc"]
        heard = collected(c)
        left: list[str] = []
        a.on_presence = lambda room, member, here, why: None if here else left.append(f"{member.role} {why}")
        link = b._link
        assert isinstance(link, MemoryLink)
        link.pause()
        for number in range(60):
            a.send("control", Control("any", str(number)))
        await until(lambda: len(heard) == 60)
        await until(lambda: left == ["b slow"])
        link.resume()
        await until(lambda: a.present("control", "b"))
        assert house.broker.counters["evicted"] == 1

    run(story, Limits(queue_messages=10))


def test_the_reply_to_somebody_who_is_gone_is_not_sent() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        assert a.reply(Received(START, "control", 5, None), START) is False
        assert a.reply(Received(START, "control", 5, Member(5, "gone", "x")), START) is True
        await until(lambda: a.counters == {"undelivered": 1})

    run(story)


def test_what_waits_is_ended_by_close() -> None:
    async def story(house: House) -> None:
        a = await house.peer("a", "control")
        asking = asyncio.ensure_future(a.request("control", START, lambda got: True))
        await asyncio.sleep(0)
        await a.close()
        with pytest.raises(Unreachable, match="closed"):
            await asking

    run(story)
