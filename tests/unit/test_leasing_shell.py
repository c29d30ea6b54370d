"""Leases as labelers see them, beside both asking machines and over real stores: who is asked, what comes back, what a restart
leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from active_learner.core import asking_events as a
from active_learner.core.agreement import Agreement
from active_learner.core.leasing import CLAIM_S
from active_learner.core.leasing_events import ALL_TAKEN, CLAIMING, NOTHING_OPEN
from active_learner.core.queueing import EACH
from protocol.messages import Leased
from tests.unit.leasing_stage import LEASE_S, Stage, config

STORES = ("sqlite:///labels.db", "csv:labels.csv")
MACHINES = ("batch", "labels")
Story = Callable[[Stage], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    def played(story: Story, when: str = "batch", url: str = STORES[0], **trainer: Any) -> None:
        async def main() -> None:
            stage = Stage(config(when, **trainer), tmp_path, url, monkeypatch)
            await stage.start()
            await story(stage)
            await stage.stop()

        asyncio.run(main())

    return played


async def open_questions(stage: Stage) -> list[str]:
    """Two samples are asked: that of 1 and that of 2."""
    await stage.propose(1, 2, 3, 4)
    return [question.id for question in stage.shell.machine.unanswered()]


def test_a_question_is_said_to_the_peer_of_its_annotator_alone_with_his_name(play: Play) -> None:
    async def story(stage: Stage) -> None:
        assert await stage.lease("ann", 1) == Leased("ann", (), LEASE_S, 0, NOTHING_OPEN)
        first, second = await open_questions(stage)
        (asked,) = stage.has("ann")
        assert (asked.id, asked.annotator, asked.classes) == (first, "ann", 3)
        assert asked.asked_at > 1e9
        assert await stage.lease("bob") == Leased("bob", (second,), LEASE_S, 0, ALL_TAKEN)
        assert [question.annotator for question in stage.has("bob")] == ["bob"]

    play(story)


def test_a_question_that_no_model_scored_says_so_on_the_wire(play: Play) -> None:
    async def story(stage: Stage) -> None:
        stage.shell.handle(a.EvaluatorHere(False, stage.at))
        await stage.passes(10.0)
        await stage.lease("ann", 1)
        await open_questions(stage)
        assert [question.model_version for question in stage.has("ann")] in ([-1], [0])

    play(story, refresh_timeout_s=1.0)


def test_one_peer_may_serve_several_annotators(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.lease("ann", 1, peer="page")
        await stage.lease("bob", 1, peer="page")
        first, second = await open_questions(stage)
        assert [one.id for one in stage.has("ann", "page")] == [first]
        assert [one.id for one in stage.has("bob", "page")] == [second]

    play(story)


@pytest.mark.parametrize("url", STORES)
@pytest.mark.parametrize("when", MACHINES)
def test_an_answer_closes_its_question_and_starts_the_round(play: Play, when: str, url: str) -> None:
    async def story(stage: Stage) -> None:
        first, second, *_ = await open_questions(stage)
        await stage.lease("ann")
        for question in (first, second):
            assert await stage.says("ann", question, 1) == "stored"
        await stage.passes(0.0)
        assert [(one.id, one.why) for one in stage.closed] == [(first, "answered"), (second, "answered")]
        assert stage.wanted == 1
        still = {one.id for one in await stage.book.run(stage.book._store.open_questions)}
        assert not still & {first, second}

    play(story, when, url)


@pytest.mark.parametrize("url", STORES)
@pytest.mark.parametrize("when", MACHINES)
def test_two_label_each_sample_blind_and_what_a_third_says_is_surplus(play: Play, when: str, url: str) -> None:
    async def story(stage: Stage) -> None:
        first, second, *_ = await open_questions(stage)
        for who in ("ann", "bob", "eve"):
            await stage.lease(who, 2)
        assert {one.id for one in stage.has("ann")} == {one.id for one in stage.has("bob")} == {first, second}
        assert first not in {one.id for one in stage.has("eve")}
        assert await stage.says("ann", first, 1) == "stored"
        assert stage.closed == []
        assert await stage.says("bob", first, 2) == "stored"
        assert await stage.says("eve", first, 2) == "surplus"
        assert [one.id for one in stage.closed] == [first]
        await stage.says("ann", second, 1)
        await stage.says("bob", second, 1)
        await stage.passes(0.0)
        assert stage.wanted == 1
        agreement = await stage.book.agreement()
        assert agreement == Agreement(2, 2, *[pytest.approx(0.0)] * 2)

    play(story, when, url, labels_per_item=2)


@pytest.mark.parametrize("url", STORES)
@pytest.mark.parametrize("when", MACHINES)
def test_one_more_is_asked_where_two_disagree_and_only_there(play: Play, when: str, url: str) -> None:
    async def story(stage: Stage) -> None:
        first, second, *_ = await open_questions(stage)
        for who in ("ann", "bob"):
            await stage.lease(who, 2)
        await stage.lease("eve", 1)
        await stage.says("ann", first, 1)
        await stage.says("ann", second, 1)
        assert await stage.says("bob", second, 1) == "stored"
        await stage.lease("eve", 9)
        assert not {one.id for one in stage.has("eve")} & {first, second}
        assert await stage.says("bob", first, 2) == "stored"
        assert first in {one.id for one in stage.has("eve")}
        assert await stage.says("eve", second, 2) == "surplus"
        assert await stage.says("eve", first, 2) == "stored"
        assert {one.id for one in stage.closed} == {first, second}

    play(story, when, url, labels_per_item=2, adjudicate=True)


def test_who_left_is_asked_nothing_new_and_what_it_has_goes_to_another_when_its_lease_ends(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.lease("ann", 1)
        stage.shell.handle(a.LabelerHere("peer-ann", False, stage.at))
        first, second = await open_questions(stage)
        assert stage.has("ann") == []
        await stage.lease("bob", 1)
        stage.shell.handle(a.LabelerHere("peer-bob", False, stage.at))
        await stage.lease("eve", 5)
        assert [one.id for one in stage.has("eve")] == [second]
        await stage.passes(LEASE_S - 0.1)
        await stage.lease("eve", 5)
        assert [one.id for one in stage.has("eve")] == [second]
        await stage.passes(0.2)
        assert {one.id for one in stage.has("eve")} == {first, second}

    play(story)


@pytest.mark.parametrize("when", MACHINES)
def test_what_all_passed_is_closed_and_asked_again_later(play: Play, when: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.lease("ann")
        asked = await open_questions(stage)
        for question in asked:
            await stage.says("ann", question, None, "skip")
        await stage.passes(0.0)
        assert {(one.id, one.why) for one in stage.closed} >= {(one, "skipped") for one in asked}
        keys = {one.key for one in stage.has("ann")}
        await stage.passes(5.0)
        await stage.lease("ann", 9)
        assert keys <= {one.key for one in stage.has("ann")}

    play(story, when, skip_cooldown_s=4.0, queue_size=2)


def test_what_is_undone_after_its_question_was_closed_is_its_annotators_again(play: Play) -> None:
    async def story(stage: Stage) -> None:
        first, _ = await open_questions(stage)
        await stage.lease("ann", 1)
        await stage.says("ann", first, 1)
        await stage.lease("ann", 1)
        await stage.lease("bob", 9)
        await stage.says("ann", first, None, "undo")
        assert first in {one.id for one in stage.has("ann")}
        assert first not in {one.id for one in stage.has("bob")}
        assert await stage.says("ann", first, 2) == "stored"

    play(story)


@pytest.mark.parametrize("url", STORES)
@pytest.mark.parametrize("when", MACHINES)
def test_after_a_restart_questions_are_theirs_who_have_them_and_words_of_before_count(
    play: Play, when: str, url: str
) -> None:
    async def story(stage: Stage) -> None:
        first, second, *_ = await open_questions(stage)
        await stage.lease("ann", 1)
        await stage.lease("bob", 2)
        assert await stage.says("bob", second, None, "skip") == "stored"
        await stage.restart()
        told = await stage.lease("eve", 9)
        assert (told.holds, told.text) == ((), CLAIMING)
        assert first in (await stage.lease("ann", 1, holds=(first,))).holds
        await stage.passes(CLAIM_S)
        assert second in {one.id for one in stage.has("eve")}
        assert first not in {one.id for one in stage.has("eve")}
        await stage.lease("bob", 9, holds=())
        assert second not in {one.id for one in stage.has("bob")}
        assert await stage.says("ann", first, 1) == "stored"
        assert await stage.says("eve", second, 1) == "stored"
        await stage.passes(0.0)
        assert stage.wanted == 1

    play(story, when, url)


def test_an_item_that_lacks_its_second_answer_at_a_restart_gets_it(play: Play) -> None:
    async def story(stage: Stage) -> None:
        first, second = await open_questions(stage)
        for question in (first, second):
            assert await stage.says("ann", question, 1) == "stored"
        await stage.restart()
        await stage.passes(CLAIM_S)
        await stage.lease("ann")
        assert stage.has("ann") == []
        await stage.lease("bob")
        for question in (first, second):
            assert await stage.says("bob", question, 1) == "stored"
        await stage.passes(0.0)
        assert stage.wanted == 1

    play(story, labels_per_item=2)


def test_what_was_answered_before_a_restart_is_trained_though_the_rest_of_the_batch_is_passed(play: Play) -> None:
    async def story(stage: Stage) -> None:
        first, second = await open_questions(stage)
        assert await stage.says("ann", first, 1) == "stored"
        await stage.restart()
        await stage.passes(CLAIM_S)
        await stage.lease("ann")
        assert await stage.says("ann", second, None, "cannot_tell") == "stored"
        await stage.passes(0.0)
        assert stage.wanted == 1

    play(story)


def test_one_who_takes_all_there_is_leaves_the_next_something(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.propose(*range(1, 21))
        await stage.lease("hoarder", 20)
        held = len(stage.has("hoarder"))
        assert held == EACH
        await stage.lease("bob", 3)
        assert len(stage.has("bob")) == 3

    play(story, "labels")


def test_one_who_is_ahead_of_the_others_waits_for_nobody(play: Play) -> None:
    """Two label each sample, and the other one has not come yet; the first skips none."""

    async def story(stage: Stage) -> None:
        await stage.propose(*range(1, 61))
        await stage.lease("ann")
        for _ in range(30):
            assert stage.has("ann"), "nothing to ask"
            assert await stage.says("ann", stage.has("ann")[0].id, 1) == "stored"
            await stage.passes(0.0)
        await stage.lease("bob", 100)
        assert len(stage.has("bob")) >= 30

    play(story, "labels", labels_per_item=2)


def test_one_who_skips_much_while_another_thinks_waits_for_nobody(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.propose(*range(1, 61))
        await stage.lease("ann")
        await stage.lease("bob")
        for _ in range(30):
            assert stage.has("ann"), "nothing to ask"
            await stage.says("ann", stage.has("ann")[0].id, None, "skip")
            await stage.passes(0.0)

    play(story, "labels")
