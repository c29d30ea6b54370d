"""Leases of the labeling page: who holds what, for how long, and when it goes back. The real service, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from active_learner.core.answering import NOT_LEASED
from active_learner.core.occupancy import GONE_S, PAGE_S
from active_learner.web.openapi import SCHEMAS
from protocol.messages import Lease
from tests.unit.test_web_openapi import misfit
from tests.unit.web_stage import Browser, Stage, on_stage

QUESTIONS, LEASES = "/api/v1/questions", "/api/v1/leases"
PAGE, OTHER = "a" * 32, "b" * 32


def on_leases(scene: Callable[[Stage, Browser], Awaitable[None]], folder: Path, **options: Any) -> None:
    """A trainer that leases by the test's word."""

    async def run(stage: Stage) -> None:
        stage.trainer.leasing = True
        await scene(stage, await stage.entered())

    on_stage(run, folder, **options)


async def given(stage: Stage, browser: Browser, *names: str, hold: int = 3) -> Any:
    """Somebody comes, and the trainer gives it these."""
    asking = asyncio.create_task(browser.get(f"{QUESTIONS}?hold={hold}"))
    await stage.trainer.lease(wants=hold)
    stage.trainer.leases_to("ann", *names)
    return (await asking).form


def ids(form: Any) -> list[str]:
    return [one["id"] for one in form["questions"]]


def test_nothing_is_leased_while_nobody_is_there(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await browser.stream()
        await browser.get("/api/v1/history")
        await browser.get("/api/v1/status")
        assert stage.trainer.leases.empty()
        assert ids(await given(stage, browser, "q", "r")) == ["q", "r"]

    on_leases(scene, tmp_path)


def test_the_first_reply_has_the_questions_and_the_end_of_their_lease(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        stage.trainer.waiting = 7
        form = await given(stage, browser, "q", hold=5)
        assert not misfit(form, SCHEMAS["Questions"])
        assert form["waiting"] == 7
        left = form["questions"][0]["expires_at"] - stage.wall
        assert stage.trainer.seconds - 5 < left <= stage.trainer.seconds

    on_leases(scene, tmp_path)


def test_a_trainer_that_gives_none_says_why(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        stage.trainer.text = "others hold all that is open"
        assert (await given(stage, browser))["text"] == "others hold all that is open"

    on_leases(scene, tmp_path)


def test_how_many_are_held_follows_what_is_asked_for(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q")
        assert (await browser.get(f"{QUESTIONS}?hold=6")).code == 200
        assert await stage.trainer.lease(wants=6) == Lease("ann", 6, ("q",), ())

    on_leases(scene, tmp_path)


def test_what_went_to_somebody_else_is_told_and_gone(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        listener = await browser.stream(PAGE)
        await given(stage, browser, "q", "r")
        stage.trainer.says_leased("ann", "r")
        assert await listener.event("closed") == {"question": "q", "why": NOT_LEASED}
        assert ids((await browser.get(QUESTIONS)).form) == ["r"]
        await listener.close()

    on_leases(scene, tmp_path)


def test_a_renewal_says_how_long_it_holds(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q")
        stage.ahead += 20.0
        renewing = asyncio.create_task(browser.post(LEASES, {"wants": 3, "holds": ["q"]}))
        await stage.trainer.lease(wants=3, holds=("q",))
        stage.trainer.says_leased("ann", "q")
        reply = (await renewing).form
        assert not misfit(reply, SCHEMAS["Leased"])
        assert reply["holds"] == ["q"]
        assert stage.trainer.seconds - 5 < reply["seconds"] <= stage.trainer.seconds

    on_leases(scene, tmp_path)


def test_what_is_given_back_goes_to_others(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q", "r")
        giving = asyncio.create_task(browser.post(LEASES, {"wants": 1, "gives": ["q"]}))
        assert await stage.trainer.lease(wants=1) == Lease("ann", 1, ("r",), ("q",))
        stage.trainer.says_leased("ann", "r")
        assert (await giving).form["holds"] == ["r"]

    on_leases(scene, tmp_path)


def test_who_wants_none_has_given_all_back_at_once(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q", "r")
        reply = (await browser.post(LEASES, {"wants": 0})).form
        assert (reply["holds"], reply["text"]) == ([], "")
        assert await stage.trainer.lease(wants=0) == Lease("ann", 0, (), ())

    on_leases(scene, tmp_path)


def test_a_page_that_closes_gives_back_unless_another_one_is_open(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        first, second = await browser.stream(PAGE), await browser.stream(OTHER)
        await given(stage, browser, "q")
        reply = (await browser.post(LEASES, {"wants": 0, "gives": ["q"], "page": PAGE})).form
        assert reply["holds"] == []
        assert ids((await browser.get(QUESTIONS)).form) == ["q"]
        await first.close()
        await browser.post(LEASES, {"wants": 0, "gives": ["q"], "page": OTHER})
        await stage.trainer.lease(wants=0)
        await second.close()

    on_leases(scene, tmp_path)


def test_a_page_that_is_gone_without_a_word_loses_its_questions_after_a_few_seconds(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        listener = await browser.stream(PAGE)
        await given(stage, browser, "q")
        stage.ahead += stage.trainer.seconds / 2
        await stage.trainer.lease(wants=3, holds=("q",))
        stage.trainer.says_leased("ann", "q")
        await listener.close()
        stage.service._desks["ann"].tick(0)
        stage.ahead += GONE_S
        await stage.trainer.lease(wants=0)

    on_leases(scene, tmp_path)


def test_a_page_that_is_open_keeps_its_questions_longer_than_a_lease_but_not_for_ever(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        listener = await browser.stream(PAGE)
        await given(stage, browser, "q")
        stage.ahead += PAGE_S - 60.0
        await stage.trainer.lease(wants=3, holds=("q",))
        stage.trainer.says_leased("ann", "q")
        stage.ahead += 60.0
        await stage.trainer.lease(wants=0)
        assert await listener.event("closed") == {"question": "q", "why": NOT_LEASED}
        await listener.close()

    on_leases(scene, tmp_path)


def test_a_script_that_asks_no_more_loses_its_questions_after_a_lease(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q")
        stage.ahead += stage.trainer.seconds
        await stage.trainer.lease(wants=0)
        assert ids(await given(stage, browser, "r")) == ["r"]

    on_leases(scene, tmp_path)


def test_an_answer_is_a_use(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q", "r")
        stage.ahead += 0.7 * stage.trainer.seconds
        posting = asyncio.create_task(browser.post("/api/v1/answers", stage.word("q")))
        await stage.trainer.receive()
        assert (await posting).code == 200
        stage.ahead += 0.7 * stage.trainer.seconds
        await stage.trainer.lease(wants=3, holds=("r",))

    on_leases(scene, tmp_path)


def test_two_annotators_hold_each_their_own(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        other = stage.browser()
        await other.enter(stage.people.add("bob"))
        await given(stage, browser, "q")
        asking = asyncio.create_task(other.get(QUESTIONS))
        assert (await stage.trainer.lease(annotator="bob")).holds == ()
        stage.trainer.leases_to("bob", "r")
        assert ids((await asking).form) == ["r"]
        assert ids((await browser.get(QUESTIONS)).form) == ["q"]

    on_leases(scene, tmp_path)


def test_an_answer_to_a_question_that_went_to_somebody_else_is_taken_by_the_trainers_word(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        for name, status, text in (("q", "stored", ""), ("r", "surplus", "kept aside")):
            await given(stage, browser, name) if name == "q" else stage.trainer.leases_to("ann", name)
            stage.trainer.says_leased("ann")
            posting = asyncio.create_task(browser.post("/api/v1/answers", stage.word(name)))
            await stage.trainer.receive(status)
            reply = await posting
            assert (reply.code, reply.form["status"]) == (200, status)
            assert text in reply.form["text"]

    on_leases(scene, tmp_path)


def test_a_stop_gives_everything_back(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        await given(stage, browser, "q")
        await stage.service.stop()
        await stage.trainer.lease(wants=0)

    on_leases(scene, tmp_path)


def test_an_id_of_a_page_is_like_every_other(tmp_path: Path) -> None:
    async def scene(stage: Stage, browser: Browser) -> None:
        for page in ("x", 3, ["a"]):
            reply = await browser.post(LEASES, {"wants": 0, "page": page})
            assert (reply.code, "page" in reply.form["detail"]) == (400, True)
        assert (await browser.get("/api/v1/events?page=x")).code == 400

    on_leases(scene, tmp_path)
