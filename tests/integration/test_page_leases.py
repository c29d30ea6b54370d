"""Two annotators of one labeling page and a real trainer: who holds what, what goes back, and a word taken back a day later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.by_hand import Hand, Shell
from tests.integration.test_web_labeler import Client, start
from tests.integration.up_process import call

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LEASE_S = 6.0
"""Long enough to see that something is held, on a busy machine too."""
SETS = ("labeler.kind=web", "labeler.port=0", f"trainer.lease_s={LEASE_S}")


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path, "digits", *SETS)
    yield made
    made.clear_away()


def at_the_page(hand: Hand) -> tuple[Shell, Client, Client]:
    """The one that the address is printed for, and bob, who has a token for scripts."""
    shell, ann = start(hand)
    added = call("annotator", "add", "digits", *hand.sets, "bob", "--script", cwd=hand.folder)
    return shell, ann, Client(ann.place, added.stdout.strip())


def word(number: int, question: str, action: str, value: int | None = None) -> dict[str, Any]:
    return {"id": f"{number:032x}", "question": question, "action": action, "value": value}


def test_two_annotators_of_a_page_never_hold_the_same_and_give_back_what_they_leave(hand: Hand) -> None:
    hand.broker()
    for command in ("serve", "evaluator", "source"):
        hand.start(command)
    hand.until(lambda report: report.open_questions > 6)
    page, ann, bob = at_the_page(hand)
    hand.until(lambda report: report.held == 0)
    first, second = ann.held(3), bob.held(3)
    assert len({*first, *second}) == 6
    hand.until(lambda report: report.held == 6)
    code, said = bob.call("leases", {"wants": 0})
    assert (code, said["holds"]) == (200, [])
    hand.until(lambda report: report.held <= 3)
    assert ann.confirmed(word(1, first[0], "answer", 3)) == (200, "stored")
    hand.until(lambda report: report.labels == 1)
    hand.until(lambda report: report.held == 0)  # nobody has asked for anything since
    assert ann.confirmed(word(2, second[0], "answer", 4)) == (200, "stored"), "an answer needs no lease"
    assert bob.confirmed(word(3, second[0], "answer", 5)) == (200, "surplus")
    page.kill()
    _, ann, bob = at_the_page(hand)
    code, past = ann.call("history")
    assert {one["question"]: one["value"] for one in past} == {first[0]: 3, second[0]: 4}
    assert ann.confirmed(word(4, first[0], "revise", 7)) == (200, "stored")
    assert ann.confirmed(word(5, second[0], "undo")) == (200, "stored")
    hand.until(lambda report: report.labels == 1)
