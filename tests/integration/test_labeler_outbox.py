"""Row 8: the labeler's process dies at any moment. What was typed and shown as kept reaches the trainer once, with one id."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from active_learner.config.schema import BrokerConfig
from active_learner.peer import Peer, Received
from active_learner.services.broker import Broker
from active_learner.transport import router_at
from protocol.messages import Action, Answer, AnswerReceipt, Member, Question
from tests.integration.test_labeler_processes import MELODY, PATIENCE_S, Terminal, labels

pytestmark = pytest.mark.integration


class Trainer:
    """Asks one question of every labeler that comes until it has an answer; stores an id once; confirms when it may."""

    def __init__(self, address: str) -> None:
        self.peer = Peer(experiment="tunes", role="trainer", name="trainer", exclusive=True, address=address)
        self.peer.on_message, self.peer.on_presence = self._heard, self._seen
        self.heard: asyncio.Queue[Answer] = asyncio.Queue()
        self.stored: dict[str, Answer] = {}
        self.confirms = True

    async def start(self) -> None:
        await self.peer.open()
        await self.peer.join("user")

    def _seen(self, room: str, member: Member, here: bool, why: str) -> None:
        if here and member.role == "labeler" and not self.stored:
            self.peer.send("@" + member.name, QUESTION)

    def _heard(self, received: Received) -> None:
        answer = received.message
        if not isinstance(answer, Answer):
            return
        status = "duplicate" if answer.id in self.stored else "stored"
        self.heard.put_nowait(answer)
        if self.confirms:
            self.stored[answer.id] = answer
            self.peer.reply(received, AnswerReceipt(answer.id, answer.question, status, ""))

    async def hears(self) -> Answer:
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)


QUESTION = Question(
    id="q1", key="q1", features=np.zeros(128, dtype=np.uint8), media="melody", classes=6, round=1, strategy="margin",
    score=0.5, rank=1, model_version=0, stale=False, pool=200,
)  # fmt: skip

Start = Callable[..., Terminal]


@asynccontextmanager
async def meeting(folder: Path) -> AsyncIterator[tuple[Trainer, Start]]:
    """A broker, a trainer, and how a labeler is started at a terminal."""
    (folder / "tunes.yaml").write_text(MELODY)
    config = BrokerConfig(address="tcp://127.0.0.1:0")
    broker = Broker(config, router_at(config.address, config.max_message_bytes))
    address = (await broker.start()).removeprefix("broker ")
    trainer = Trainer(address)
    await trainer.start()
    terminals: list[Terminal] = []

    def start(**environment: str) -> Terminal:
        terminals.append(Terminal(folder, "tunes.yaml", "--set", f"broker.address={address}", **environment))
        return terminals[-1]

    try:
        yield trainer, start
    finally:
        for terminal in terminals:
            terminal.process.kill()
            terminal.process.wait()
        await trainer.peer.close()
        await broker.stop()


def on(folder: Path, scene: Callable[[Trainer, Start], Awaitable[None]]) -> None:
    async def run() -> None:
        async with meeting(folder) as (trainer, start):
            await scene(trainer, start)

    asyncio.run(run())


async def leave(terminal: Terminal) -> None:
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.ends() == 0


def test_row_08_an_answer_without_receipt_survives_kill_9_and_is_sent_by_the_next_start(tmp_path: Path) -> None:
    async def scene(trainer: Trainer, start: Start) -> None:
        trainer.confirms = False
        terminal = start()
        await terminal.type("3\n")
        first = await trainer.hears()
        terminal.process.kill()
        await terminal.ends()
        trainer.confirms = True
        again = start()
        await again.sees("1 answer of an earlier start had no receipt: sent again")
        await again.sees("saved: an answer")
        assert set(trainer.stored.values()) == {first}
        await leave(again)
        third = start()
        await third.sees("no question is open")
        await leave(third)
        assert "earlier start" not in third.seen

    on(tmp_path, scene)


@pytest.mark.parametrize(
    ("point", "again"),
    [
        ("labeler.outbox_after_fsync", True),
        ("labeler.answer_sent", True),
        ("labeler.receipt_heard", True),
        ("labeler.outbox_settled", False),
    ],
)
def test_row_08_a_labeler_that_dies_at_a_point_is_heard_once(tmp_path: Path, point: str, again: bool) -> None:
    """`again`: its outbox does not know of the receipt, so that the next start says it once more, with the same id."""

    async def scene(trainer: Trainer, start: Start) -> None:
        terminal = start(ACTIVE_LEARNER_CRASH_AT=point)
        await terminal.type("3\n")
        assert await terminal.ends() == -signal.SIGKILL
        later = start()
        await later.sees("saved: an answer" if again else "no question is open")
        await leave(later)
        (stored,) = trainer.stored.values()
        assert (stored.value, stored.revision) == (3, 0)

    on(tmp_path, scene)


def test_row_08_an_answer_that_was_not_kept_is_asked_again_and_never_shown_as_saved(tmp_path: Path) -> None:
    async def scene(trainer: Trainer, start: Start) -> None:
        terminal = start(ACTIVE_LEARNER_CRASH_AT="labeler.outbox_before_fsync")
        await terminal.type("3\n")
        assert await terminal.ends() == -signal.SIGKILL
        assert "saved:" not in terminal.seen
        later = start()
        await later.type("4\n")
        await later.sees("saved: 4")
        await leave(later)
        assert [answer.value for answer in trainer.stored.values()] == [4]

    on(tmp_path, scene)


def test_a_second_labeler_of_the_same_annotator_is_told_who_is_there(tmp_path: Path) -> None:
    async def scene(trainer: Trainer, start: Start) -> None:
        first = start()
        await first.sees("label> ")
        second = start()
        await second.sees(f"ann.jsonl is being written to by process {first.process.pid}")
        assert await second.ends() == 5
        await leave(first)

    on(tmp_path, scene)


def test_row_08_a_labeler_of_ones_own_that_dies_with_an_answer_on_the_disk_says_it_when_it_is_back(
    tmp_path: Path,
) -> None:
    """The example of the package: it skips what is no digit."""

    async def scene(trainer: Trainer, start: Start) -> None:
        command = [sys.executable, "-P", "-m", "active_learner.examples.labeler", "tunes.yaml"]
        command.append(f"broker.address={trainer.peer.address}")
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
        crash = {**environment, "ACTIVE_LEARNER_CRASH_AT": "labeler.outbox_after_fsync"}
        killed = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=crash)
        assert await asyncio.wait_for(killed.wait(), PATIENCE_S) == -signal.SIGKILL
        assert trainer.stored == {}
        (kept,) = (tmp_path / "runs" / "tunes" / "outbox" / "heart.jsonl").read_text().splitlines()
        again = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
        answer = await trainer.hears()
        again.kill()
        await again.wait()
        assert (answer.action, answer.annotator) == (Action.SKIP, "heart")
        assert f'"id":"{answer.id}"' in kept
        assert list(trainer.stored) == [answer.id]

    on(tmp_path, scene)


def test_row_08_what_was_rated_before_the_first_run_survives_kill_9(tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "tunes.yaml").write_text(MELODY)
        terminal = Terminal(tmp_path, "tunes.yaml", "--prelabel", "9")
        await terminal.type("4\n")
        await terminal.sees("saved: 4")
        terminal.process.kill()
        await terminal.ends()

    asyncio.run(scene())
    assert labels(tmp_path) == [(4, "ann")]


def test_dropping_settled_answers_can_be_killed(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from active_learner.durable import kept_answers
from protocol.messages import Action, Answer
kept_answers.REMEMBERED, kept_answers.FULL = 1, 4
file = kept_answers.KeptAnswers(Path("ann.jsonl"))
for number in range(4):
    file.keep(Answer(f"a{number}", f"q{number}", "ann", 0, Action.ANSWER, 1, 0.0))
    if number < 3:
        file.settle(f"a{number}", "stored")
file.settle("a3", "stored")
print([(answer.id, status) for answer, status in file.all()])
"""

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        env = {"PYTHONPATH": str(Path(__file__).parents[2]), **environment}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    killed = run(ACTIVE_LEARNER_CRASH_AT="labeler.outbox_before_compaction")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run().stdout == "[('a0', 'stored'), ('a1', 'stored'), ('a2', 'stored'), ('a3', 'stored')]\n"
