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

LEASE_S = 3.0
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


def held(client: Client) -> list[str]:
    code, said = client.call("questions?hold=3")
    assert code == 200, said
    assert all(one["expires_at"] for one in said["questions"])
    return [one["id"] for one in said["questions"]]


def test_two_annotators_of_a_page_never_hold_the_same_and_give_back_what_they_leave(hand: Hand) -> None:
    hand.broker()
    for command in ("serve", "evaluator", "source"):
        hand.start(command)
    hand.until(lambda report: report.open_questions > 6)
    page, ann, bob = at_the_page(hand)
    hand.until(lambda report: report.held == 0)
    first, second = held(ann), held(bob)
    assert len({*first, *second}) == 6
    hand.until(lambda report: report.held == 6)
    code, said = bob.call("leases", {"wants": 0})
    assert (code, said["holds"]) == (200, [])
    hand.until(lambda report: report.held <= 3)
    code, said = ann.call("answers", word(1, first[0], "answer", 3))
    assert (code, said["status"]) == (200, "stored")
    hand.until(lambda report: report.labels == 1)
    hand.until(lambda report: report.held == 0)  # nobody has asked for anything since
    code, said = ann.call("answers", word(2, second[0], "answer", 4))
    assert (code, said["status"]) == (200, "stored"), "an answer needs no lease"
    assert bob.call("answers", word(3, second[0], "answer", 5))[1]["status"] == "surplus"
    page.kill()
    _, ann, bob = at_the_page(hand)
    code, past = ann.call("history")
    assert {one["question"]: one["value"] for one in past} == {first[0]: 3, second[0]: 4}
    assert ann.call("answers", word(4, first[0], "revise", 7))[0] == 200
    assert ann.call("answers", word(5, second[0], "undo"))[0] == 200
    hand.until(lambda report: report.labels == 1)
