"""Answers over HTTP: what each is told, what is on the disk, what is told again. The real service, no socket."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.messages import Action, Answer, AnswerReceipt, Control
from tests.unit.web_stage import Browser, Reply, Stage, Trainer, on_stage

ANSWERS = "/api/v1/answers"


async def posted(stage: Stage, browser: Browser, form: Any, status: str = "stored", text: str = "") -> Reply:
    """Say it, and let the trainer reply."""
    posting = asyncio.create_task(browser.post(ANSWERS, form))
    await stage.trainer.receive(status, text)
    return await posting


def test_a_browser_whose_clock_is_ahead_answers_now(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        posting = asyncio.create_task(browser.post(ANSWERS, stage.word("q", 4, at=9e10)))
        assert (await stage.trainer.receive()).at == stage.wall
        assert (await posting).code == 200

    on_stage(scene, tmp_path)


def test_an_answer_is_told_the_trainers_receipt(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        form = stage.word("q", 4, circumstances={"heard_s": 4.2})
        posting = asyncio.create_task(browser.post(ANSWERS, form))
        heard = await stage.trainer.receive()
        assert (heard.id, heard.question, heard.annotator, heard.revision) == (form["id"], "q", "ann", 0)
        assert (heard.action, heard.value, heard.at) == (Action.ANSWER, 4, 5.0)
        assert heard.circumstances == '{"heard_s":4.2}'
        reply = await posting
        assert reply.code == 200
        assert reply.form == {"id": form["id"], "question": "q", "status": "stored", "text": ""}
        assert (await browser.get("/api/v1/questions")).form["questions"] == []

    on_stage(scene, tmp_path)


def test_the_answer_is_on_the_disk_before_the_trainer_hears_it(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        form = stage.word("q")
        posting = asyncio.create_task(browser.post(ANSWERS, form))
        await stage.trainer.answer()
        assert form["id"] in (tmp_path / "ann.jsonl").read_text()
        posting.cancel()

    on_stage(scene, tmp_path)


def test_row_08_without_a_trainer_an_answer_is_kept_here_and_sent_when_it_is_back(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        form = stage.word("q")
        reply = await browser.post(ANSWERS, form)
        assert (reply.code, reply.form["status"]) == (202, "kept")
        assert form["id"] in (tmp_path / "ann.jsonl").read_text()
        listener = await browser.stream()
        await stage.trainer.start()
        assert (await stage.trainer.receive()).id == form["id"]
        told = await listener.event("receipt")
        assert told == {"id": form["id"], "question": "q", "status": "stored", "text": ""}
        await listener.close()

    on_stage(scene, tmp_path, trainer=False)


def test_a_trainer_that_does_not_answer_lets_nobody_wait(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        reply = await browser.post(ANSWERS, stage.word("q"))
        assert (reply.code, reply.form["status"]) == (202, "kept")

    on_stage(scene, tmp_path, trainer_s=0.5)


def test_row_08_what_an_earlier_process_kept_is_sent_and_its_word_is_known(tmp_path: Path) -> None:
    words: list[Any] = []

    async def before(stage: Stage) -> None:
        browser = await stage.entered()
        words.append(stage.word("q", 2))
        assert (await browser.post(ANSWERS, words[0])).code == 202

    async def after(stage: Stage) -> None:
        assert (await stage.trainer.receive()).id == words[0]["id"]
        browser = await stage.entered()
        for _ in range(2):
            reply = await browser.post(ANSWERS, words[0])
            assert (reply.code, reply.form["status"]) == (200, "stored")

    on_stage(before, tmp_path, trainer=False)
    on_stage(after, tmp_path)


def test_an_id_of_another_annotator_is_refused_lest_its_receipt_is_taken_for_both(tmp_path: Path) -> None:
    """Scripts that make ids of what they answer have the same ones."""

    async def scene(stage: Stage) -> None:
        ann, bob = await stage.entered(), stage.browser()
        await bob.enter(stage.people.add("bob"))
        form = stage.word("q", 4)
        first = asyncio.create_task(ann.post(ANSWERS, form))
        await stage.trainer.answer()
        taken = await bob.post(ANSWERS, form)
        assert (taken.code, "id of its own" in taken.form["detail"]) == (409, True)
        stage.trainer.peer.reply(stage.trainer.last, AnswerReceipt(form["id"], "q", "stored", ""))
        assert (await first).form["status"] == "stored"
        assert (await posted(stage, bob, stage.word("q", 4))).code == 200

    on_stage(scene, tmp_path)


def test_row_16_the_same_word_again_gets_the_first_result_and_is_sent_once(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q", "r")
        form = stage.word("q")
        first, second = (asyncio.create_task(browser.post(ANSWERS, form)) for _ in range(2))
        await stage.trainer.receive("late")
        assert (await first).form == (await second).form
        assert (await browser.post(ANSWERS, form)).form["status"] == "late"
        assert (await posted(stage, browser, stage.word("r"))).form["status"] == "stored"

    on_stage(scene, tmp_path)


def test_one_id_for_two_answers_is_refused(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        form = stage.word("q", 3)
        await posted(stage, browser, form)
        reply = await browser.post(ANSWERS, {**form, "value": 4})
        assert reply.code == 409
        assert "id of its own" in reply.form["detail"]

    on_stage(scene, tmp_path)


def test_row_30_answering_twice_the_same_is_a_duplicate(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        await posted(stage, browser, stage.word("q", 3))
        again = await browser.post(ANSWERS, stage.word("q", 3))
        assert (again.code, again.form["status"]) == (200, "duplicate")

    on_stage(scene, tmp_path)


def test_row_31_answering_twice_differently_is_a_conflict_that_says_how_to_change_it(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        await posted(stage, browser, stage.word("q", 3))
        other = await browser.post(ANSWERS, stage.word("q", 4))
        assert (other.code, other.form["status_word"]) == (409, "conflict")
        assert other.form["detail"] == "You have decided this question already (3); to change it, revise it."
        revised = await posted(stage, browser, stage.word("q", 4, "revise"))
        assert (revised.code, revised.form["status"]) == (200, "stored")

    on_stage(scene, tmp_path)


def test_row_32_an_answer_that_comes_late_is_taken_and_told(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        listener = await browser.stream()
        stage.trainer.close("q", "timed_out")
        assert await listener.event("closed") == {"question": "q", "why": "timed_out"}
        reply = await posted(stage, browser, stage.word("q"), "late")
        assert (reply.code, reply.form["status"]) == (200, "late")
        assert "kept" in reply.form["text"]
        await listener.close()

    on_stage(scene, tmp_path)


def test_an_answer_after_the_lease_that_came_too_late_is_told_to_be_kept_aside(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        reply = await posted(stage, browser, stage.word("q"), "surplus")
        assert (reply.code, reply.form["status"]) == (200, "surplus")
        assert "kept aside" in reply.form["text"]

    on_stage(scene, tmp_path)


VALUES = [-1, 6, 3.7, "3", "3.0", "", True, None, [3], {}, 1e400, 10**30]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_row_33_a_value_that_is_no_class_is_refused_in_words(tmp_path: Path, value: Any) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        reply = await browser.post(ANSWERS, stage.word("q", value))
        assert reply.code == 400
        assert "value" in reply.form["detail"] or "JSON" in reply.form["detail"]
        assert not (tmp_path / "ann.jsonl").read_text()
        assert (await posted(stage, browser, stage.word("q", 5))).code == 200

    on_stage(scene, tmp_path)


def test_row_33_a_whole_number_may_be_written_with_a_point(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        posting = asyncio.create_task(
            browser.post(ANSWERS, json.dumps(stage.word("q", 0)).replace(" 0,", " 3.0,").encode())
        )
        assert (await stage.trainer.receive()).value == 3
        assert (await posting).code == 200

    on_stage(scene, tmp_path)


def test_row_34_an_answer_to_a_question_that_was_never_asked_is_told_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        reply = await posted(stage, browser, stage.word("no such"), "unknown_question")
        assert (reply.code, reply.form["status_word"]) == (404, "unknown_question")
        assert "never asked" in reply.form["detail"]

    on_stage(scene, tmp_path)


def test_row_38_a_trainer_without_room_leaves_the_answer_here(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        form = stage.word("q")
        reply = await posted(stage, browser, form, "storage_full")
        assert (reply.code, reply.form["status"]) == (202, "kept")
        listener = await browser.stream()
        assert (await stage.trainer.receive()).id == form["id"]
        assert (await listener.event("receipt"))["status"] == "stored"
        await listener.close()

    on_stage(scene, tmp_path, trainer_s=0.3)


def test_row_38_an_answer_that_no_disk_has_is_never_told_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from active_learner.durable.kept_answers import KeptAnswers

    def full(self: KeptAnswers, answer: Answer) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(KeptAnswers, "keep", full)

    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        form = stage.word("q")
        reply = await browser.post(ANSWERS, form)
        assert (reply.code, reply.headers["retry-after"]) == (503, "1")
        await stage.trainer.start()
        again = await posted(stage, browser, form)
        assert (again.code, again.form["status"]) == (200, "stored")

    on_stage(scene, tmp_path, trainer=False)


def test_after_the_run_ended_an_answer_is_told_so_until_a_trainer_comes_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q")
        listener = await browser.stream()
        stage.trainer.peer.send("control", Control("labeler", "ended"))
        assert "reached its goal" in (await listener.event("ended"))["text"]
        reply = await browser.post(ANSWERS, stage.word("q"))
        assert reply.code == 410
        assert "reached its goal" in reply.form["detail"]
        await stage.trainer.peer.close()
        stage.trainer = Trainer(stage.broker.address)
        await stage.trainer.start()
        assert await listener.event("trainer") == {"here": False}
        assert await listener.event("trainer") == {"here": True}
        assert (await posted(stage, browser, stage.word("q"))).code == 200
        await listener.close()

    on_stage(scene, tmp_path)


def test_undo_takes_back_and_the_question_comes_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q", "r")
        await posted(stage, browser, stage.word("q"))
        await posted(stage, browser, stage.word("q", None, "undo"))
        found = (await browser.get("/api/v1/questions")).form["questions"]
        assert [one["id"] for one in found] == ["q", "r"]
        again = await browser.post(ANSWERS, stage.word("q", None, "undo"))
        assert again.code == 409
        assert "taken back" in again.form["detail"]

    on_stage(scene, tmp_path)


def test_the_history_has_the_decisions_that_stand_newest_first(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q", "r")
        await posted(stage, browser, stage.word("q", 1))
        await posted(stage, browser, stage.word("r", None, "skip"))
        found = (await browser.get("/api/v1/history")).form
        assert [(one["question"], one["action"], one["value"], one["status"]) for one in found] == [
            ("r", "skip", None, "stored"),
            ("q", "answer", 1, "stored"),
        ]
        assert found[1]["Q"]["features"] == {"dtype": "uint8", "shape": [4], "base64": "AAECAw=="}

    on_stage(scene, tmp_path)


def test_the_history_goes_back_page_by_page_to_the_first_decision(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        names = [f"q{number:02}" for number in range(25)]
        await stage.asked(browser, *names[:20])
        await stage.asked(browser, *names[20:])
        for name in names:
            await posted(stage, browser, stage.word(name))
        found, query = [], "limit=10"
        for _ in range(3):
            page = (await browser.get(f"/api/v1/history?{query}")).form
            found += [one["question"] for one in page]
            query = f"limit=10&before={found[-1]}"
        assert found == names[::-1]
        assert (await browser.get(f"/api/v1/history?{query}")).form == []
        assert [one["question"] for one in (await browser.get("/api/v1/history")).form] == names[:14:-1]

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("query", ["before=unknown", "before=", "limit=0", "limit=101", "limit=x", "limit=-1"])
def test_a_history_that_cannot_be_told_is_refused_in_words(tmp_path: Path, query: str) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        reply = await browser.get(f"/api/v1/history?{query}")
        assert (reply.code, query.partition("=")[0] in reply.form["detail"]) == (400, True)

    on_stage(scene, tmp_path)


def test_what_an_earlier_process_decided_is_in_the_history_and_can_be_changed_and_taken_back(tmp_path: Path) -> None:
    async def before(stage: Stage) -> None:
        browser = await stage.entered()
        await stage.asked(browser, "q", "r")
        await posted(stage, browser, stage.word("q", 1))
        await posted(stage, browser, stage.word("r", 2))

    async def after(stage: Stage) -> None:
        stage.ids = itertools.count(100)
        browser = await stage.entered()
        found = (await browser.get("/api/v1/history")).form
        assert [(one["question"], one["value"], one["status"], one["Q"]) for one in found] == [
            ("r", 2, "stored", None),
            ("q", 1, "stored", None),
        ]
        revising = asyncio.create_task(browser.post(ANSWERS, stage.word("q", 5, "revise")))
        heard = await stage.trainer.receive()
        assert (heard.action, heard.value, heard.revision) == (Action.REVISE, 5, 1)
        assert (await revising).code == 200
        assert (await posted(stage, browser, stage.word("r", None, "undo"))).code == 200
        assert [one["question"] for one in (await browser.get("/api/v1/history")).form] == ["q"]
        await stage.asked(browser, "r")
        again = asyncio.create_task(browser.post(ANSWERS, stage.word("r", 4)))
        assert (await stage.trainer.receive()).revision == 2
        assert (await again).code == 200

    on_stage(before, tmp_path)
    on_stage(after, tmp_path)
