"""Two experiments that differ by a few lines: back to back in one folder, and at once on one broker, unheard by each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.by_hand import Hand, result
from tests.integration.up_process import call
from tests.ports import free_address

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.xdist_group("two_experiments")]

CONFIGS = ("digits", "digits-small-batch")
SETS = ("trainer.epochs=2", "validation.limit=50")
ROUNDS = 3


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both have run, one after the other, each with `up` and everything to itself."""
    folder = tmp_path_factory.mktemp("alone")
    for config in CONFIGS:
        sets = [word for one in SETS for word in ("--set", one)]
        ended = call("up", config, *sets, "--rounds", str(ROUNDS), cwd=folder)
        assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def together(tmp_path: Path) -> Iterator[list[Hand]]:
    address = free_address()
    hands = [Hand(tmp_path, config, *SETS, address=address) for config in CONFIGS]
    yield hands
    for hand in hands:
        hand.clear_away()


def told(folder: Path, config: str) -> list[tuple[Any, ...]]:
    lines = (folder / "runs" / config / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    names = ("round", "labels", "digest", "accuracy", "pool")
    return [tuple(json.loads(line)[name] for name in names) for line in lines]


def test_back_to_back_in_one_folder_each_has_a_run_of_its_own(alone: Path) -> None:
    first, second = (told(alone, config) for config in CONFIGS)
    assert [line[:2] for line in first] == [line[:2] for line in second] == [(1, 20), (2, 25), (3, 30)]
    assert {line[2] for line in first}.isdisjoint(line[2] for line in second)


def test_at_once_on_one_broker_they_come_to_what_each_comes_to_alone(alone: Path, together: list[Hand]) -> None:
    """Any candidate, question, label, batch or gradient that the other had heard would change the weights."""
    broker = together[0].broker()
    trainers = [hand.start("serve", "--rounds", str(ROUNDS)) for hand in together]
    for command in ("source", "label", "evaluator"):
        for hand in together:
            hand.start(command)
    assert [result(trainer)["rounds"] for trainer in trainers] == [str(ROUNDS)] * 2
    assert [trainer.ended() for trainer in trainers] == [0, 0]
    for hand, config in zip(together, CONFIGS, strict=True):
        assert told(hand.folder, config) == told(alone, config)
    assert "Traceback" not in broker.text
