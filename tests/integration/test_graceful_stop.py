"""Row 50: SIGTERM at any moment of a live run. Each service ends with 0 within 3 s, and the run is what it would have been."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from active_learner.bench.stopping import ENDED_S
from active_learner.durable.kept_answers import KeptAnswers
from active_learner.examples.torch_networks import digits
from active_learner.losses import load_loss
from protocol.messages import StatusReport
from tests.integration.by_hand import Hand, Shell, result
from tests.reference import digest, trained

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SETS = (
    "trainer.initial_labels=20",
    "trainer.epochs=4",
    "trainer.status_interval_s=0.02",
    "validation.limit=50",
    "labeler.delay_s=0.02",
)
COMMANDS = ("broker", "serve", "evaluator", "source", "label")
SEED = 1
"""Of the experiment digits."""
STOPS_EACH = 4
BUSY_S = 15.0
"""What a busy machine may add; `bench stopping` measures."""


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path, "digits", *SETS)
    yield made
    made.clear_away()


def start(hand: Hand, command: str) -> Shell:
    return hand.broker() if command == "broker" else hand.start(command, ready=True)


def stopped(shell: Shell) -> float:
    """Seconds from SIGTERM to its end, with exit code 0."""
    began = time.monotonic()
    shell.signal(signal.SIGTERM)
    assert shell.ended() == 0, shell.text
    return time.monotonic() - began


def ours(predictions: Any, targets: Any) -> None:
    _, gradient = load_loss("cross_entropy").gradient(predictions.detach().numpy(), targets.numpy())
    predictions.backward(torch.from_numpy(gradient))


def test_row_50_twenty_stops_at_random_steps_lose_nothing(hand: Hand) -> None:
    order = [command for command in COMMANDS for _ in range(STOPS_EACH)]
    draw = random.Random(50)
    draw.shuffle(order)
    shells = {command: start(hand, command) for command in COMMANDS}
    took: dict[str, list[float]] = {command: [] for command in COMMANDS}
    report = hand.until(lambda report: report.step > 0)
    for command in order:
        goal = report.step + draw.randint(1, 40)
        report = hand.until(lambda report, goal=goal: report.step >= goal)  # type: ignore[misc]
        took[command].append(stopped(shells[command]))
        shells[command] = start(hand, command)
    print({command: [round(one, 2) for one in times] for command, times in took.items()})
    assert max(one for times in took.values() for one in times) < ENDED_S + BUSY_S
    ends_right(hand, shells, report)


def ends_right(hand: Hand, shells: dict[str, Shell], report: StatusReport) -> None:
    """Two more rounds, the weights that plain PyTorch makes of the plans, and every confirmed answer once in the store."""
    stopped(shells["serve"])
    shells["serve"] = hand.start("serve", "--rounds", str(report.round + 2))
    result(shells["serve"])
    assert shells["serve"].ended() == 0
    stopped(shells["label"])
    lines = [json.loads(line) for line in (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["round"] for line in lines] == list(range(1, len(lines) + 1))
    (network,) = trained(hand.run_dir, SEED, lambda: [digits], lambda p: torch.optim.Adam(p, lr=1e-3), ours)
    assert digest(network) == lines[-1]["digest"]
    kept = KeptAnswers(hand.run_dir / "outbox" / "simulated.jsonl")
    kept.close()
    with sqlite3.connect(hand.run_dir / "labels.db") as store:
        stored = [name for (name,) in store.execute("SELECT id FROM events")]
    assert len(stored) == len(set(stored))
    assert {answer.id for answer, status in kept.all() if status == "stored"} <= set(stored)
    assert set(stored) <= {answer.id for answer, _ in kept.all()}, "nobody else answers"


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_row_50_a_service_that_still_waits_for_the_broker_ends_at_once(hand: Hand, command: str) -> None:
    shell = hand.start(command)
    shell.wait_for("waiting for the broker")
    assert stopped(shell) < ENDED_S + BUSY_S


def test_row_50_a_trainer_whose_database_another_program_holds_ends_all_the_same(hand: Hand) -> None:
    """It waits for it for a second, not for the five of a commit, and what it cannot keep is told."""
    hand.broker()
    shell = hand.start("serve", ready=True)
    with contextlib.closing(sqlite3.connect(hand.run_dir / "labels.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        seconds = stopped(shell)
    print(f"{seconds:.2f} s")
    assert seconds < ENDED_S + BUSY_S
    assert "the pool is not kept" in shell.text
    assert "locked" in shell.text
    assert "gave up" not in shell.text
