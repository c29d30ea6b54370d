"""Row 44: the wall clock may jump; it is data, never a timer."""

from __future__ import annotations

import ast
import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from active_learner.oracles.base import Oracle, Reply
from active_learner.peer import Peer, Received
from active_learner.services.labeler import Labeler
from active_learner.transport.memory import MemoryBroker
from protocol.messages import Action, Answer, AnswerReceipt, Question

ROOT = Path(__file__).parents[2]

PATIENCE_S = 20.0
"""On a busy machine; an hour it is not."""

WALL = {"time.time", "time.time_ns", "time.gmtime", "time.localtime", "datetime.now", "datetime.utcnow", "date.today"}

AS_DATA = {
    "commands/annotator.py": "when an annotator was added, and when a link will end: a week for people, in their time",
    "commands/keys.py": "whether a key is still let in, for a list",
    "commands/labels.py": "when labels were imported",
    "commands/page.py": "whether a link or a session that survives restarts has ended: hours and days for people",
    "outbox.py": "when an answer was given",
    "security/folder.py": "when a key was made, revoked, or will end",
    "services/asking_shell.py": "when a question was asked",
    "services/doors.py": "whether a key that was rotated away has ended: a day for people, in their time",
    "services/evaluator.py": "age of a checkpoint, for a metric",
    "services/labeler.py": "when an answer was given",
    "services/prelabel.py": "when a label was given",
    "services/run_files.py": "when a round ended",
    "services/screen.py": "when a line was shown",
    "services/web_labeler.py": "when an answer was given, how old a question is",
    "services/webhooks.py": "when something happened, and when an attempt is signed: receivers refuse what is minutes old",
}
"""Who may look at the wall clock, and what for. A timer is no reason."""


def uses() -> Iterator[str]:
    """Files of ours in which the wall clock is named; benchmarks are free."""
    for path in sorted((ROOT / "active_learner").rglob("*.py")):
        named = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        if named & WALL and path.parent.name != "bench":
            yield str(path.relative_to(ROOT / "active_learner"))


def test_row_44_the_wall_clock_is_looked_at_for_data_only() -> None:
    assert set(uses()) == set(AS_DATA)


class Quick(Oracle):
    annotator = "ann"

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        return Reply(question.id, Action.ANSWER, 1)


def test_row_44_jumps_of_an_hour_neither_hurry_nor_delay_a_re_send_nor_lose_a_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every look at the wall clock finds it an hour later or earlier; the third time the trainer confirms."""
    jumps = itertools.cycle([3600.0, -3600.0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    heard: list[tuple[float, Answer]] = []

    async def scene() -> None:
        async with MemoryBroker() as broker, asyncio.timeout(PATIENCE_S):
            done = asyncio.Event()
            trainer = Peer(experiment="e", role="trainer", name="trainer", exclusive=True, address=broker.address)

            def hear(received: Received) -> None:
                assert isinstance(received.message, Answer)
                heard.append((asyncio.get_running_loop().time(), received.message))
                if len(heard) == 3:
                    answer = received.message
                    trainer.reply(received, AnswerReceipt(answer.id, answer.question, "stored", ""))
                    done.set()

            trainer.on_message = hear
            await trainer.open()
            await trainer.join("user")
            peer = Peer(experiment="e", role="labeler", address=broker.address)
            labeler = Labeler(peer, Quick())
            await labeler.start()
            trainer.send("user", QUESTION)
            await done.wait()
            await labeler.stop()
            assert (trainer.counters.get("sessions_lost", 0), peer.counters.get("sessions_lost", 0)) == (0, 0)
            await trainer.close()

    asyncio.run(scene())
    (first, said), (second, _), (third, _) = heard
    assert [answer for _, answer in heard] == [said] * 3
    assert 0.1 < second - first < PATIENCE_S
    assert 0.2 < third - second < PATIENCE_S


QUESTION = Question(
    id="q", key="k", features=np.zeros(2, dtype=np.float32), media="table", classes=6, round=1, strategy="margin",
    score=0.5, rank=1, model_version=0, stale=False, pool=1,
)  # fmt: skip
