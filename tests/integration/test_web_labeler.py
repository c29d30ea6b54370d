"""`active-learner label` with labeler.kind web as a process: real HTTP, a real broker, real files; a trainer of the test's own."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from active_learner.config.schema import BrokerConfig
from active_learner.services.broker import Broker
from active_learner.transport import router_at
from protocol.messages import Lease
from tests.integration.by_hand import PATIENCE_S, Hand, Shell
from tests.integration.up_process import call
from tests.unit.web_stage import Trainer, question

pytestmark = pytest.mark.integration

CONFIG = """
name: e
sample: {shape: [4], dtype: uint8, classes: 6, media: melody}
labeler: {kind: web, port: 0, annotator: ann}
"""


@dataclass
class Client:
    """A script with the token of the printed address."""

    place: str
    token: str

    def call(self, path: str, form: Any = None) -> tuple[int, Any]:
        body = None if form is None else json.dumps(form).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.place}/api/v1/{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def held(self, number: int) -> list[str]:
        """As soon as so many questions are here: the page's process waits for half a second at most before it replies."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            code, said = self.call(f"questions?hold={number}")
            assert code == 200, said
            assert all(one["expires_at"] for one in said["questions"])
            if len(said["questions"]) == number:
                return [one["id"] for one in said["questions"]]
            assert time.monotonic() < deadline, said

    def confirmed(self, word: dict[str, Any]) -> tuple[int, str]:
        """What the trainer made of an answer: said again until it has said so, as a page does."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            code, said = self.call("answers", word)
            if code != 202:
                return code, said["status"]
            assert time.monotonic() < deadline, said

    async def say(self, path: str, form: Any = None) -> tuple[int, Any]:
        return await asyncio.to_thread(self.call, path, form)


def start(hand: Hand) -> tuple[Shell, Client]:
    shell = hand.start("label")
    found = re.search(r"(http://\S+)/enter\?token=(\S+)", shell.wait_for("ready: labeling page at"))
    assert found is not None
    return shell, Client(found[1], found[2])


Scene = Callable[[Hand, Trainer], Coroutine[Any, Any, None]]


@asynccontextmanager
async def broker() -> AsyncIterator[str]:
    config = BrokerConfig(address="tcp://127.0.0.1:0")
    service = Broker(config, router_at(config.address, config.max_message_bytes))
    address = (await service.start()).removeprefix("broker ")
    try:
        yield address
    finally:
        await service.stop()


def with_a_broker(folder: Path, scene: Scene) -> None:
    (folder / "e.yaml").write_text(CONFIG)

    async def run() -> None:
        async with broker() as address:
            hand, trainer = Hand(folder, "e.yaml", address=address), Trainer(address)
            try:
                await scene(hand, trainer)
            finally:
                await trainer.peer.close()
                await asyncio.to_thread(hand.clear_away)

    asyncio.run(run())


def word(number: int, name: str, value: int = 3) -> dict[str, Any]:
    return {"id": f"{number:032x}", "question": name, "action": "answer", "value": value}


def test_row_08_a_killed_page_sends_what_it_kept_when_it_is_started_again_and_knows_the_word(tmp_path: Path) -> None:
    async def scene(hand: Hand, trainer: Trainer) -> None:
        shell, client = await asyncio.to_thread(start, hand)
        for number in range(5):
            code, said = await client.say("answers", word(number, f"q{number}"))
            assert (code, said["status"]) == (202, "kept")
        await asyncio.to_thread(shell.kill)
        await trainer.start()
        shell, client = await asyncio.to_thread(start, hand)
        heard = {(await trainer.receive()).id for _ in range(5)}
        assert heard == {f"{number:032x}" for number in range(5)}
        for number in range(5):
            told = await asyncio.to_thread(client.confirmed, word(number, f"q{number}"))
            assert told == (200, "stored")
        assert (await client.say("answers", word(3, "q3", 4)))[0] == 409

    with_a_broker(tmp_path, scene)


def test_row_50_a_stop_with_open_streams_and_an_answer_under_way_takes_less_than_three_seconds(tmp_path: Path) -> None:
    async def scene(hand: Hand, trainer: Trainer) -> None:
        await trainer.start()
        shell, client = await asyncio.to_thread(start, hand)
        trainer.peer.send("user", question("q"))
        streams = [await asyncio.to_thread(open_stream, client) for _ in range(3)]
        posting = asyncio.create_task(client.say("answers", word(1, "q")))
        await trainer.answer()
        began = time.monotonic()
        shell.signal(signal.SIGTERM)
        code, said = await posting
        assert (code, said["status"]) == (202, "kept")
        assert await asyncio.to_thread(shell.ended) == 0
        assert time.monotonic() - began < 15.0  # three promised; the rest is for a busy machine
        for stream in streams:
            stream.close()

    with_a_broker(tmp_path, scene)


def test_the_questions_of_a_page_whose_browser_died_go_to_others_within_seconds(tmp_path: Path) -> None:
    async def scene(hand: Hand, trainer: Trainer) -> None:
        trainer.leasing = True
        await trainer.start()
        _, client = await asyncio.to_thread(start, hand)
        page = await asyncio.to_thread(open_stream, client, f"?page={'a' * 32}")
        asking = asyncio.create_task(asyncio.to_thread(client.held, 2))
        await trainer.lease(wants=2)
        trainer.leases_to("ann", "q", "r")
        assert await asking == ["q", "r"]
        await trainer.lease(holds=("q", "r"))
        page.close()
        assert await trainer.lease(wants=0) == Lease("ann", 0, (), ())

    with_a_broker(tmp_path, scene)


def open_stream(client: Client, query: str = "") -> HTTPResponse:
    """Closing it closes the connection, which is its own."""
    connection = HTTPConnection(client.place.removeprefix("http://"), timeout=30)
    connection.request("GET", f"/api/v1/events{query}", headers={"Authorization": f"Bearer {client.token}"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.readline() == b"retry: 500\n"
    return response


def test_row_43_a_port_in_use_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(CONFIG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = call("label", "e.yaml", "--set", f"labeler.port={port}", cwd=tmp_path)
    assert ended.returncode == 1
    assert f"labeler.port: 127.0.0.1:{port} is in use" in ended.stderr


def test_row_42_a_public_page_without_annotators_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(CONFIG)
    refused = call("label", "e.yaml", "--set", "labeler.host=0.0.0.0", cwd=tmp_path)
    assert refused.returncode == 3
    assert "annotator add" in refused.stderr
    off = call("label", "e.yaml", "--set", "labeler.host=0.0.0.0", "--set", "labeler.login=off", cwd=tmp_path)
    assert off.returncode == 3


def test_a_link_leads_to_where_the_run_has_its_page(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(CONFIG.replace("port: 0", "login: token"))
    usual = call("annotator", "add", "e.yaml", "anna", cwd=tmp_path)
    assert usual.stdout.startswith("http://127.0.0.1:8765/enter?token="), usual.stderr
    kept = call("config", "show", "e.yaml", "--set", "labeler.port=9123", cwd=tmp_path)
    (tmp_path / "runs" / "e").mkdir(parents=True)
    (tmp_path / "runs" / "e" / "config.resolved.yaml").write_text(kept.stdout)
    assert call("annotator", "add", "e.yaml", "ben", cwd=tmp_path).stdout.startswith("http://127.0.0.1:9123/enter?")
    other = call("annotator", "add", "e.yaml", "eve", "--set", "labeler.port=9999", cwd=tmp_path)
    assert other.stdout.startswith("http://127.0.0.1:9999/enter?")


def test_annotators_are_added_listed_and_removed(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(CONFIG)
    added = call("annotator", "add", "e.yaml", "anna", cwd=tmp_path)
    assert re.fullmatch(r"http://127.0.0.1:PORT/enter\?token=\S{43}\n", added.stdout), added.stderr
    assert call("annotator", "list", "e.yaml", cwd=tmp_path).stdout.startswith("anna  since ")
    assert call("annotator", "remove", "e.yaml", "anna", cwd=tmp_path).returncode == 0
    again = call("annotator", "remove", "e.yaml", "anna", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (1, "error: there is no annotator 'anna'; there is nobody\n")
    assert call("annotator", "add", "e.yaml", "../x", cwd=tmp_path).returncode == 2
