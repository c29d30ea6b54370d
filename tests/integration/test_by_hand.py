"""The user's own way, literally: each process in a shell of its own, in any order, ended by Ctrl-C."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.by_hand import Hand, children, result

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

QUICK = ("trainer.epochs=1", "validation.limit=50")
END_S = 15.0
"""Three promised; the rest is for a busy machine: a stop that hangs takes for ever, not fifteen seconds."""


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(config: str = "digits", *sets: str, **options: str) -> Hand:
        made.append(Hand(tmp_path, config, *QUICK, *sets, **options))
        return made[-1]

    yield make
    for hand in made:
        hand.clear_away()


def rounds(hand: Hand) -> list[int]:
    lines = (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["round"] for line in lines]


def test_make_run_broker_and_four_more_shells_each_ended_by_control_c(by_hand: Callable[..., Hand]) -> None:
    hand = by_hand()
    broker = hand.make_broker()
    others = [hand.start(command) for command in ("evaluator", "source", "label", "serve")]
    others[-1].wait_for("round 2: 25 labels")
    groups = [shell.process.pid for shell in (*others, broker)]
    for shell in others:
        code, took = shell.interrupt()
        assert (code, took < END_S) == (0, True), f"{took:.1f} s\n{shell.text}"
    _, took = broker.interrupt()
    assert took < END_S
    broker.wait_for("broker stopped")  # make itself says Interrupt and has an exit code of its own
    assert [children(group) for group in groups] == [[]] * 5
    assert rounds(hand)[:2] == [1, 2]
    assert (hand.run_dir / "report.html").exists()


@pytest.mark.parametrize(
    "order",
    [
        ("serve", "evaluator", "source", "label", "broker"),
        ("label", "source", "broker", "serve", "evaluator"),
    ],
    ids=["broker last", "labeler first and evaluator last"],
)
def test_any_order_of_start_comes_to_rounds(order: tuple[str, ...], by_hand: Callable[..., Hand]) -> None:
    """Each is up, or knows that it waits for the broker, before the next is started."""
    hand = by_hand("digits", "broker.connect_timeout_s=300")  # the first one waits until all the others have started
    shells = {}
    for command in order:
        if command == "broker":
            shells[command] = hand.broker()
            continue
        options = ("--rounds", "2") if command == "serve" else ()
        shells[command] = hand.start(command, *options)
        shells[command].wait_for("ready: " if "broker" in shells else "waiting for the broker")
    assert result(shells["serve"])["rounds"] == "2"
    assert shells["serve"].ended() == 0
    assert rounds(hand) == [1, 2]
    for command in ("label", "source", "evaluator", "broker"):
        code, took = shells[command].interrupt()
        assert (code, took < END_S) == (0, True), f"{command}, {took:.1f} s\n{shells[command].text}"
