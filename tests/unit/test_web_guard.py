"""Who is let in, from where, how fast and with how much; what the answers' headers forbid. The real paths, no socket."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from active_learner.web import accounts, guard
from active_learner.web.doorman import BURST, LOCK_S, VISITORS, WRONG
from active_learner.web.guard import BODY_BYTES, HEADERS
from active_learner.web.problems import Problem
from tests.unit.web_stage import HOST, TOKEN, Browser, Stage, on_stage

ANSWERS = "/api/v1/answers"
PRIVATE = ("me", "questions", "history", "queue", "status", "rounds", "metrics", "events")


def test_the_printed_link_gives_a_session_and_leads_to_the_page(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = stage.browser()
        reply = await browser.enter()
        assert (reply.code, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))
        me = (await browser.get("/api/v1/me")).form
        assert (me["annotator"], me["experiment"], me["classes"], me["guide"]) == ("ann", "e", 6, {"5": "good"})

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("path", PRIVATE)
def test_without_a_session_nothing_is_told(tmp_path: Path, path: str) -> None:
    async def scene(stage: Stage) -> None:
        reply = await stage.browser().get(f"/api/v1/{path}")
        assert reply.code == 401
        assert reply.headers["content-type"] == "application/problem+json"
        assert "open the link" in reply.form["detail"]

    on_stage(scene, tmp_path)


def test_a_wrong_token_is_told_and_the_eleventh_waits_while_the_right_one_is_let_in(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = stage.browser()
        for _ in range(WRONG):
            assert (await browser.enter("wrong")).code == 401
        reply = await browser.enter("wrong")
        assert (reply.code, reply.headers["retry-after"]) == (429, "61")
        assert (await browser.enter()).code == 303
        script = stage.people.add_script("robot")
        assert (await browser.get("/api/v1/me", authorization=f"Bearer {script}")).code == 200
        stage.at += LOCK_S + 1
        assert (await browser.enter("wrong")).code == 401

    on_stage(scene, tmp_path)


def test_the_addresses_of_wrong_tokens_that_are_remembered_are_bounded(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        for number in range(VISITORS + 10):
            with pytest.raises(Problem):
                stage.doorman.enter("wrong", f"host-{number}")
        assert len(stage.doorman._wrong) == VISITORS

    on_stage(scene, tmp_path)


def test_a_browser_whose_link_is_used_gets_words_and_no_json(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        reply = await stage.browser().get("/enter?token=%3Cb%3E", accept="text/html,*/*")
        assert (reply.code, reply.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert b"This link is used already" in reply.body
        assert "script-src 'self'" in reply.headers["content-security-policy"]

    on_stage(scene, tmp_path)


def test_a_full_disk_is_told_and_the_link_is_good_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        link = stage.people.add("anna")
        with monkeypatch.context() as full:
            full.setattr(accounts, "replace_file", no_space)
            reply = await stage.browser().enter(link)
        assert (reply.code, reply.headers["retry-after"]) == (503, "5")
        assert "No space left" in reply.form["detail"]
        assert (await stage.browser().enter(link)).code == 303

    on_stage(scene, tmp_path)


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.05)

    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        reply = await browser.post_without_end(ANSWERS)
        assert reply.code == 408
        assert "did not come" in reply.form["detail"]

    on_stage(scene, tmp_path)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_script_comes_with_its_token_and_needs_no_csrf(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        script = stage.people.add_script("robot")
        browser = stage.browser()
        me = await browser.get("/api/v1/me", authorization=f"Bearer {script}")
        assert (me.form["annotator"], me.form["csrf"]) == ("robot", None)
        posting = asyncio.create_task(
            browser.post(ANSWERS, stage.word("q"), authorization=f"Bearer {script}", x_csrf_token="", origin="")
        )
        assert (await stage.trainer.receive()).annotator == "robot"
        assert (await posting).code == 200
        own = await browser.get("/api/v1/me", authorization=f"Bearer {TOKEN}")
        assert own.form["annotator"] == "ann"
        for wrong in ("Bearer nonsense", "Basic YTpi", "Bearer"):
            assert (await browser.get("/api/v1/me", authorization=wrong)).code == 401

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("token", ["", "0" * 64, "nonsense"])
def test_a_change_without_the_sessions_csrf_token_is_refused(tmp_path: Path, token: str) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        for path, form in ((ANSWERS, stage.word("q")), ("/api/v1/leases", {"wants": 0}), ("/api/v1/leave", {})):
            reply = await browser.post(path, form, x_csrf_token=token)
            assert reply.code == 403
            assert "X-CSRF-Token" in reply.form["detail"]
        assert not (tmp_path / "ann.jsonl").read_text()

    on_stage(scene, tmp_path)


def test_a_page_that_goes_may_have_the_csrf_token_in_the_body(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        form = {"wants": 0, "holds": [], "gives": ["q"], "csrf": browser.csrf}
        reply = await browser.post("/api/v1/leases", form, x_csrf_token="")
        assert reply.code == 200
        assert reply.form["holds"] == []

    on_stage(scene, tmp_path)


ORIGINS = ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1", "file://"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_another_origin_is_refused(tmp_path: Path, origin: str) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        for reply in (
            await browser.post(ANSWERS, stage.word("q"), origin=origin),
            await browser.get("/api/v1/me", origin=origin),
        ):
            assert reply.code == 403
            assert "may not use this service" in reply.form["detail"]

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_calls_of_another_site_is_refused_but_a_link_may_be_followed(tmp_path: Path, site: str) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        assert (await browser.get("/api/v1/me", sec_fetch_site=site, sec_fetch_mode="no-cors")).code == 403
        assert (await browser.get("/api/v1/me", sec_fetch_site=site, sec_fetch_mode="navigate")).code == 403
        followed = await browser.get(
            f"/enter?token={TOKEN.replace(' ', '%20')}", sec_fetch_site=site, sec_fetch_mode="navigate"
        )
        assert followed.code == 303

    on_stage(scene, tmp_path)


HOSTS = ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "10.1.2.3:8765", "localhost.evil.example"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_that_is_not_ours_is_refused(tmp_path: Path, host: str) -> None:
    """A page of another place that made its name lead to this machine (DNS rebinding)."""

    async def scene(stage: Stage) -> None:
        await stage.entered()
        reply = await Browser(stage.app, host).get("/")
        assert reply.code == 403

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("host", [HOST, "localhost:8765", "[::1]:8765", "label.example", "LABEL.example:80"])
def test_names_that_are_ours_are_served(tmp_path: Path, host: str) -> None:
    async def scene(stage: Stage) -> None:
        assert (await Browser(stage.app, host).enter()).code == 303

    on_stage(scene, tmp_path)


def test_a_public_page_has_no_person_of_this_machine_and_is_reached_by_its_address(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = Browser(stage.app, "10.1.2.3:8765")
        assert (await browser.enter()).code == 401
        link = stage.people.add("anna")
        assert (await browser.enter(link)).code == 303
        assert (await browser.get("/api/v1/me")).form["annotator"] == "anna"
        assert (await Browser(stage.app, "evil.example").get("/")).code == 403

    on_stage(scene, tmp_path, default=None, names=[])


def test_without_login_everybody_of_this_machine_is_the_one_annotator_but_no_page_of_others(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = stage.browser()
        me = (await browser.get("/api/v1/me")).form
        assert me["annotator"] == "ann"
        assert (await browser.post(ANSWERS, stage.word("q"))).code == 403
        browser.csrf = me["csrf"]
        posting = asyncio.create_task(browser.post(ANSWERS, stage.word("q")))
        await stage.trainer.receive()
        assert (await posting).code == 200
        assert (await browser.post(ANSWERS, stage.word("q"), origin="http://evil.example")).code == 403

    on_stage(scene, tmp_path, login=False)


def test_without_login_no_start_has_the_csrf_token_of_another(tmp_path: Path) -> None:
    """Who knows it from an installation of their own cannot use it at this one."""
    told: list[str] = []

    async def scene(stage: Stage) -> None:
        told.append((await stage.browser().get("/api/v1/me")).form["csrf"])

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        on_stage(scene, tmp_path / name, login=False)
    assert len(set(told)) == 2


def test_a_session_that_was_left_is_not_let_in(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        cookie = browser.cookie
        assert (await browser.post("/api/v1/leave", {})).code == 200
        browser.cookie = cookie
        assert (await browser.get("/api/v1/me")).code == 401

    on_stage(scene, tmp_path)


def test_an_annotator_who_was_removed_is_not_let_in(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = stage.browser()
        assert (await browser.enter(stage.people.add("anna"))).code == 303
        stage.people.remove("anna")
        assert (await browser.get("/api/v1/me")).code == 401

    on_stage(scene, tmp_path)


def test_row_46_an_over_fast_client_is_told_to_wait_and_others_are_not(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        slow, fast = await stage.entered(), await stage.entered()
        for _ in range(int(BURST)):
            last = await fast.get("/api/v1/history")
        assert (last.code, last.headers["retry-after"]) == (429, "1")
        assert "wait" in last.form["detail"]
        assert (await slow.get("/api/v1/me")).code == 200
        stage.at += 1
        assert (await fast.get("/api/v1/me")).code == 200

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("told", [True, False])
def test_row_21_an_over_long_body_is_refused(tmp_path: Path, told: bool) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        body = b'{"id": "' + b"0" * BODY_BYTES + b'"}'
        more = {} if told else {"content_length": "0"}
        reply = await browser.post(ANSWERS, body, **more)
        assert reply.code == 413
        assert str(BODY_BYTES) in reply.form["detail"]

    on_stage(scene, tmp_path)


BODIES: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"3",
    b"null",
    b"\xff\xfe{",
    b'{"id": 1, "id": 2}',
    b'{"at": NaN}',
    b'{"value": 1e999}',
    b"[" * 8000,
    b'{"a":' * 3000,
    {},
    {"id": 3},
    {"id": "abc"},
    {"id": "G" * 32},
    {"id": "0" * 32},
    {"id": "0" * 32, "question": ""},
    {"id": "0" * 32, "question": "x" * 257},
    {"id": "0" * 32, "question": "a\x00b"},
    {"id": "0" * 32, "question": ["q"]},
    {"id": "0" * 32, "question": "q"},
    {"id": "0" * 32, "question": "q", "action": "steal"},
    {"id": "0" * 32, "question": "q", "action": {}},
    {"id": "0" * 32, "question": "q", "action": "skip", "value": 3},
    {"id": "0" * 32, "question": "q", "action": "answer", "value": 3, "at": "now"},
    {"id": "0" * 32, "question": "q", "action": "answer", "value": 3, "at": 1e12},
    {"id": "0" * 32, "question": "q", "action": "answer", "value": 3, "circumstances": "none"},
    {"id": "0" * 32, "question": "q", "action": "answer", "value": 3, "circumstances": [1]},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body)[:40])
def test_row_20_a_body_that_cannot_be_understood_is_told_why(tmp_path: Path, body: Any) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        reply = await browser.post(ANSWERS, body)
        assert (reply.code, reply.headers["content-type"]) == (400, "application/problem+json")
        assert reply.form["detail"]
        assert not (tmp_path / "ann.jsonl").read_text()

    on_stage(scene, tmp_path)


def test_a_body_that_is_not_said_to_be_json_is_refused(tmp_path: Path) -> None:
    """A form of another page can send text/plain without asking first."""

    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        assert (await browser.post(ANSWERS, stage.word("q"), content_type="text/plain")).code == 415

    on_stage(scene, tmp_path)


def test_circumstances_that_are_too_long_are_left_and_the_answer_is_not(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        posting = asyncio.create_task(browser.post(ANSWERS, stage.word("q", circumstances={"note": "x" * 2000})))
        assert (await stage.trainer.receive()).circumstances == ""
        assert (await posting).code == 200

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("hold", ["0", "21", "-1", "x", "1e1", "", "٣"])
def test_a_number_of_questions_that_nobody_holds_is_refused(tmp_path: Path, hold: str) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        assert (await browser.get(f"/api/v1/questions?hold={hold}")).code == 400

    on_stage(scene, tmp_path)


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/x"]
)
def test_row_25_an_unknown_path_is_told(tmp_path: Path, path: str) -> None:
    async def scene(stage: Stage) -> None:
        reply = await (await stage.entered()).get(path)
        assert (reply.code, reply.headers["content-type"]) == (404, "application/problem+json")

    on_stage(scene, tmp_path)


def test_a_path_that_cannot_be_called_that_way_says_how(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        reply = await (await stage.entered()).get(ANSWERS)
        assert (reply.code, reply.headers["allow"]) == (405, "POST")

    on_stage(scene, tmp_path)


def test_an_over_long_address_is_refused(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert (await stage.browser().get("/enter?token=" + "x" * 4000)).code == 400

    on_stage(scene, tmp_path)


@pytest.mark.parametrize("path", ["/", "/api/v1/me", "/nothing", "/api/v1/openapi.json"])
def test_every_answer_forbids_what_is_not_needed(tmp_path: Path, path: str) -> None:
    async def scene(stage: Stage) -> None:
        for browser in (stage.browser(), await stage.entered(), Browser(stage.app, "evil.example")):
            reply = await browser.get(path)
            assert {name: reply.headers.get(name.lower()) for name in HEADERS} == HEADERS
            assert reply.headers["cache-control"] in ("no-store", "no-cache")
            policy = reply.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "require-trusted-types-for 'script'" in policy

    on_stage(scene, tmp_path)


def test_a_fault_of_ours_is_told_without_our_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    async def scene(stage: Stage) -> None:
        browser = await stage.entered()
        monkeypatch.setattr(stage.service, "history", lambda annotator, before, limit: 1 / 0)
        reply = await browser.get("/api/v1/history")
        assert reply.code == 500
        assert b"Zero" not in reply.body
        assert "ZeroDivisionError" in caplog.text

    on_stage(scene, tmp_path)
