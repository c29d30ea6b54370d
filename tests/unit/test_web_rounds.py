"""The learning curve over HTTP: asked of the trainer when there is more to know, and kept while it is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from active_learner.services import rounds_view
from active_learner.web.openapi import SCHEMAS
from tests.unit.test_web_openapi import misfit
from tests.unit.web_stage import Stage, line, on_stage, report


def test_the_curve_is_asked_of_the_trainer_and_is_what_the_document_says(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        getting = asyncio.create_task(browser.get("/api/v1/rounds"))
        await stage.trainer.tell_rounds(line(0), line(1, held_back="worse"), line(0, "control"))
        form = (await getting).form
        assert not misfit(form, SCHEMAS["Rounds"]), misfit(form, SCHEMAS["Rounds"])
        assert form["total"] == 2
        assert [(one["round"], one["labels"], one["held_back"]) for one in form["rounds"]] == [
            (0, 0, ""),
            (1, 5, "worse"),
        ]
        assert [(one["arm"], one["accuracy"], one["at"]) for one in form["control"]] == [("control", 0.5, 1000.0)]
        assert form["rounds"][0]["uncertainty"] == [4, 0, 0, 0, 0, 0, 0, 0, 0, 6]
        await stage.trainer.peer.close()
        again = await browser.get("/api/v1/rounds")
        assert (again.code, again.form) == (200, form)

    on_stage(scene, tmp_path)


def test_many_pages_are_one_question_and_a_fresh_curve_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        getting = [asyncio.create_task(browser.get("/api/v1/rounds")) for _ in range(20)]
        await stage.trainer.tell_rounds(line(0))
        assert {(await one).code for one in getting} == {200}
        assert (await browser.get("/api/v1/rounds")).form["total"] == 1
        monkeypatch.setattr(rounds_view, "FRESH_S", -1.0)  # what is known is old now
        getting = [asyncio.create_task(browser.get("/api/v1/rounds"))]
        await stage.trainer.tell_rounds(line(0), line(1))
        assert (await getting[0]).form["total"] == 2

    on_stage(scene, tmp_path)


def test_a_round_that_is_over_is_an_event_with_its_line(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        trainer, stream = stage.trainer, await (await stage.entered()).stream()
        trainer.peer.send("control", report(1))
        await trainer.tell_rounds(line(0), line(1))  # known from now on: no event
        trainer.peer.send("control", report(2, "computing"))
        await trainer.tell_rounds(line(0), line(1))
        trainer.peer.send("control", report(2))
        await trainer.tell_rounds(line(0), line(1), line(2, held_back="worse"), line(2, "control"))
        said = (await stream.event("round"))["line"]
        assert (said["round"], said["held_back"], said["arm"]) == (2, "worse", "")
        trainer.peer.send("control", report(4, "computing"))
        await trainer.tell_rounds(line(0), line(1), line(2), line(3))
        assert (await stream.event("round"))["line"]["round"] == 3
        await stream.close()

    on_stage(scene, tmp_path)


def test_a_report_that_comes_while_the_answer_is_under_way_is_looked_at_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        trainer, stream = stage.trainer, await (await stage.entered()).stream()
        trainer.peer.send("control", report(1))
        await trainer.rounds_wanted()
        trainer.peer.send("control", report(2))
        await stream.event("status")
        await stream.event("status")
        await trainer.tell_rounds(line(0))
        await trainer.tell_rounds(line(0), line(1))
        assert (await stream.event("round"))["line"]["round"] == 1
        await stream.close()

    on_stage(scene, tmp_path)


def test_another_run_begins_its_own_curve_and_its_rounds_are_no_news(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        stream = await browser.stream()
        stage.trainer.peer.send("control", report(1))
        await stage.trainer.tell_rounds(line(0))
        stage.trainer.peer.send("control", report(0, run="another"))
        await stage.trainer.tell_rounds(line(7), run="another")
        stage.trainer.peer.send("control", report(8, run="another"))
        await stage.trainer.tell_rounds(line(7), line(8), run="another")
        assert (await stream.event("round"))["line"]["round"] == 8
        assert [one["round"] for one in (await browser.get("/api/v1/rounds")).form["rounds"]] == [7, 8]
        await stream.close()

    on_stage(scene, tmp_path)


def test_what_nobody_could_tell_yet_is_said_in_words(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        reply = await (await stage.entered()).get("/api/v1/rounds")
        assert reply.code == 503
        assert reply.headers["retry-after"] == "1"
        assert "trainer is away" in reply.form["detail"]

    on_stage(scene, tmp_path, trainer=False)
