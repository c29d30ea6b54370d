"""Webhooks to a real HTTP server that fails, hangs, redirects and comes back; signatures checked by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from active_learner.commands.serve import hook_of
from active_learner.config.loading import load
from active_learner.core.deliveries import Patience
from active_learner.core.records import AskedQuestion, LabelEvent, RoundResult
from active_learner.errors import ConfigError
from active_learner.results.record import read_run
from active_learner.security.webhook_secret import WebhookSecret, read_secret
from active_learner.services import http_post, webhooks
from active_learner.services.http_post import address_of
from active_learner.services.webhooks import Hook, Webhooks
from tests.webhook_receiver import DEADLINE_S, KEY, LOCALHOST, SECRET, Receiver, receiving

EVENTS = ("question.asked", "label.stored", "model.trained")
QUICK = Patience(first_s=0.01, longest_s=0.05, age_s=60.0)
EVENT = LabelEvent("e1", "q1", "k" * 32, "ann", 0, "answer", 3, 5.0, '{"plays":2}')
QUESTION = AskedQuestion("q1", "k" * 32, np.zeros(2), 1, "margin", math.nan, 1, 20, False, 9, 4.0)
RESULT = RoundResult(1, 20, "ab" * 32, 5, 0.5, math.inf, None, 1.5, 0.75)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Desk:
    def __init__(self, url: str, events: tuple[str, ...] = EVENTS) -> None:
        self.notes: list[str] = []
        hook = Hook(address_of(url), WebhookSecret(KEY), events)
        self.hooks = Webhooks(hook, {"experiment": "digits", "run": "r"}, self._note, QUICK)

    def _note(self, _: str, text: str) -> None:
        self.notes.append(text)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():
                self.hooks._turn.clear()
                await self.hooks._turn.wait()

    async def delivered(self, count: int) -> None:
        await self.until(lambda: self.hooks.counters.get("webhooks.delivered", 0) >= count)


def at_desk(url: str, work: Callable[[Desk], Awaitable[None]], events: tuple[str, ...] = EVENTS) -> Desk:
    async def main() -> Desk:
        desk = Desk(url, events)
        desk.hooks.start()
        try:
            await work(desk)
        finally:
            await desk.hooks.stop()
        return desk

    return asyncio.run(main())


def test_what_happened_is_told_signed_once_each_in_order(receiver: Receiver) -> None:
    async def work(desk: Desk) -> None:
        desk.hooks.asked([QUESTION])
        desk.hooks.stored(EVENT, "stored")
        desk.hooks.trained(RESULT)
        await desk.delivered(3)

    at_desk(receiver.url, work)
    assert [one["type"] for one in receiver.taken] == list(EVENTS)
    assert [one["id"] for one in receiver.taken] == receiver.seen
    asked, stored, trained = (one["data"] for one in receiver.taken)
    assert isinstance(asked, dict)
    assert isinstance(stored, dict)
    assert isinstance(trained, dict)
    assert (asked["experiment"], asked["run"], asked["question"], asked["score"]) == ("digits", "r", "q1", None)
    assert (stored["value"], stored["annotator"], stored["circumstances"]) == (3, "ann", {"plays": 2})
    assert (trained["round"], trained["accuracy"], trained["loss"]) == (1, 0.5, None)


def test_only_what_is_wanted_is_told(receiver: Receiver) -> None:
    async def work(desk: Desk) -> None:
        desk.hooks.asked([QUESTION])
        desk.hooks.trained(RESULT)
        await desk.delivered(1)

    at_desk(receiver.url, work, ("model.trained",))
    assert [one["type"] for one in receiver.taken] == ["model.trained"]


@pytest.mark.parametrize("trouble", [500, 503, 429, 408, b"nonsense\r\n\r\n", b"", b"HTTP/1.1 2", b"x" * 40_000])
def test_a_receiver_that_fails_gets_the_same_message_until_it_takes_it(receiver: Receiver, trouble: object) -> None:
    receiver.script = [trouble, trouble, 200]

    async def work(desk: Desk) -> None:
        desk.hooks.stored(EVENT, "stored")
        desk.hooks.stored(replace(EVENT, id="e2"), "late")
        await desk.delivered(2)

    desk = at_desk(receiver.url, work)
    assert [one["data"]["id"] for one in receiver.taken] == ["e1", "e2"]  # type: ignore[index]
    assert receiver.seen[0] == receiver.seen[1] == receiver.seen[2] != receiver.seen[3]
    assert desk.hooks.counters == {"webhooks.failed": 2, "webhooks.delivered": 2}
    assert len(desk.notes) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.script = [status, 200]

    async def work(desk: Desk) -> None:
        desk.hooks.stored(EVENT, "stored")
        await desk.delivered(1)

    desk = at_desk(receiver.url, work)
    assert desk.hooks.counters == {"webhooks.failed": 1, "webhooks.delivered": 1}
    assert f"answered {status}; it is not followed elsewhere" in desk.notes[0]


def test_a_message_that_is_refused_lets_the_others_pass(receiver: Receiver) -> None:
    receiver.script = [400, 200]

    async def work(desk: Desk) -> None:
        desk.hooks.stored(EVENT, "stored")
        desk.hooks.stored(replace(EVENT, id="e2"), "stored")
        await desk.delivered(2)

    at_desk(receiver.url, work)
    assert [one["data"]["id"] for one in receiver.taken] == ["e2", "e1"]  # type: ignore[index]


def test_a_receiver_that_hangs_holds_nobody_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 1.0)
    receiver.script = ["hang", 200]

    async def work(desk: Desk) -> None:
        desk.hooks.stored(EVENT, "stored")
        await asyncio.get_running_loop().run_in_executor(None, receiver.came.wait, DEADLINE_S)
        began = time.monotonic()
        for number in range(1, 100):
            desk.hooks.stored(replace(EVENT, id=f"e{number}"), "stored")
        assert time.monotonic() - began < 1.0
        monkeypatch.setattr(webhooks, "TIMEOUT_S", DEADLINE_S)  # of those that follow
        await desk.delivered(100)

    desk = at_desk(receiver.url, work)
    assert desk.hooks.counters == {"webhooks.failed": 1, "webhooks.delivered": 100}


def test_a_receiver_that_comes_back_gets_all(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"

    async def work(desk: Desk) -> None:
        desk.hooks.stored(EVENT, "stored")
        await desk.until(lambda: desk.hooks.counters.get("webhooks.failed", 0) >= 2)
        desk.hooks._hook = replace(desk.hooks._hook, address=address_of(receiver.url))
        await desk.delivered(1)

    at_desk(nobody, work)
    assert len(receiver.taken) == 1


def test_what_does_not_fit_is_dropped_counted_and_told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "DRAIN_S", 0.05)
    receiver.script = ["hang"]

    async def work(desk: Desk) -> None:
        for number in range(1003):
            desk.hooks.stored(replace(EVENT, id=f"e{number}"), "stored")
        assert desk.hooks.counters == {"webhooks.dropped": 3}
        assert [(one.measure, one.value) for one in desk.hooks.readings()] == [("webhooks_waiting", 1000.0)]

    desk = at_desk(receiver.url, work)
    assert "1 messages dropped: 1000 wait already" in desk.notes[0]
    assert desk.notes[-1] == "1000 webhook messages were not delivered"


# --- what is configured


def config(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(f"name: digits\nsample: {{shape: [3], classes: 4}}\nwebhook: {text}\n", encoding="utf-8")
    return path


def secret(folder: Path, text: str = SECRET, mode: int = 0o600) -> Path:
    path = folder / "webhook.secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_secret_lies_beside_the_configuration(tmp_path: Path) -> None:
    secret(tmp_path, SECRET + "\n")
    hook = hook_of(load(str(config(tmp_path, "{url: 'http://localhost:8/x'}"))))
    assert hook is not None
    assert (hook.secret.key, hook.events, hook.address.port) == (KEY, EVENTS, 8)
    assert SECRET[6:] not in repr(hook)
    assert repr(KEY) not in repr(hook)
    assert hook_of(load(str(config(tmp_path, "{}")))) is None


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (SECRET, 0o644, "mode 0644 lets others at a secret key"),
        ("whsec_short", 0o600, "is no secret"),
        (SECRET.removeprefix("whsec_"), 0o600, "is no secret"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), 0o600, "is no secret"),
        ("whsec_ü", 0o600, "is no secret"),
    ],
)
def test_a_bad_secret_is_refused_without_showing_it(tmp_path: Path, text: str, mode: int, words: str) -> None:
    path = secret(tmp_path, text, mode)
    with pytest.raises(ConfigError, match=words) as told:
        read_secret(path)
    assert text not in str(told.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/x", "must be https"),
        ("http://10.0.0.1:80/x", "must be https"),
        ("http://127.0.0.1:99999/x", "webhook.url"),
        ("http://[::1/x", "webhook.url"),
    ],
)
def test_a_url_that_cannot_be_told_safely_is_refused(tmp_path: Path, url: str, words: str) -> None:
    secret(tmp_path)
    with pytest.raises(ConfigError, match=words):
        hook_of(load(str(config(tmp_path, f"{{url: '{url}'}}"))))


@pytest.mark.parametrize(
    "url",
    ["ftp://h/x", "file:///etc/passwd", "http://user:word@127.0.0.1/", "http://127.0.0.1/a b", "http://h/\\r\\nX: y"],
)
def test_a_url_of_another_kind_is_no_configuration(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"webhook\.url"):
        load(str(config(tmp_path, f'{{url: "{url}"}}')))


def test_the_certificate_of_the_receiver_is_checked() -> None:
    tls = address_of("https://hooks.example.org/x").tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_receiver_whose_certificate_is_trusted_gets_all_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(LOCALHOST))
    with receiving(tls=True) as receiver:

        async def work(desk: Desk) -> None:
            desk.hooks.stored(EVENT, "stored")
            desk.hooks.trained(RESULT)
            await desk.delivered(2)

        at_desk(receiver.url, work)
    assert [one["type"] for one in receiver.taken] == ["label.stored", "model.trained"]


def test_a_receiver_with_an_unknown_certificate_or_another_name_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(tls=True) as receiver:
        by_number = receiver.url.replace("localhost", "127.0.0.1")
        for url, trusted in ((receiver.url, ""), (by_number, str(LOCALHOST))):
            monkeypatch.setenv("SSL_CERT_FILE", trusted) if trusted else monkeypatch.delenv("SSL_CERT_FILE", False)

            async def work(desk: Desk) -> None:
                desk.hooks.trained(RESULT)
                await desk.until(lambda: bool(desk.notes))

            desk = at_desk(url, work)
            assert "certificate verify failed" in desk.notes[0].lower()
    assert receiver.seen == []


def test_a_report_that_is_mailed_does_not_show_the_address(tmp_path: Path) -> None:
    text = "name: digits\nwebhook:\n  url: https://hooks.example.org/token\n  secret_file: /home/me/s\nseed: 1\n"
    (tmp_path / "config.resolved.yaml").write_text(text, encoding="utf-8")
    assert read_run(tmp_path).config_text == "name: digits\nwebhook:\nseed: 1\n"


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(content)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", http_post.Answer(200, 0.0)),
        (b"HTTP/1.0 204\r\n\r\n", http_post.Answer(204, 0.0)),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n", http_post.Answer(429, 7.0)),
        (b"HTTP/1.1 503 No\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n", http_post.Answer(503, 0.0)),
    ],
)
def test_the_head_of_an_answer_is_read(content: bytes, answer: http_post.Answer) -> None:
    with serving(content) as url:
        assert asyncio.run(http_post.post(address_of(url), {}, b"{}", 10.0)) == answer
