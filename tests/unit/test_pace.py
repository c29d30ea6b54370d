"""How fast people label: what was stored counts, once, for the one who said it."""

from __future__ import annotations

from active_learner.services.pace import MINUTES, UNDER_WAY, Pace
from protocol.messages import Action, Answer, AnswerReceipt


def word(number: int, annotator: str, action: Action = Action.ANSWER) -> Answer:
    return Answer(str(number), "q", annotator, 0, action, 3 if action is Action.ANSWER else None, 1.0)


def labeled(pace: Pace, number: int, annotator: str, at: float, status: str = "stored") -> None:
    pace.said(word(number, annotator))
    pace.received(AnswerReceipt(str(number), "q", status, ""), at)


def test_each_person_has_a_rate_and_minutes_back_to_the_first_label() -> None:
    pace = Pace()
    for number, (annotator, at) in enumerate([("ann", 10.0), ("ann", 20.0), ("ben", 125.0), ("ann", 130.0)]):
        labeled(pace, number, annotator, at)
    assert pace.form(140.0) == [
        {"annotator": "ann", "rate": 1.0, "minutes": [2, 0, 1]},
        {"annotator": "ben", "rate": 1.0, "minutes": [1]},
    ]
    assert pace.form(200.0)[0] == {"annotator": "ann", "rate": 0.0, "minutes": [2, 0, 1, 0]}


def test_only_stored_labels_count_and_each_once() -> None:
    pace = Pace()
    labeled(pace, 1, "ann", 5.0, "duplicate")
    pace.said(word(2, "ann", Action.SKIP))
    pace.received(AnswerReceipt("2", "q", "stored", ""), 5.0)
    pace.received(AnswerReceipt("of somebody else", "q", "stored", ""), 5.0)
    assert pace.form(5.0) == []
    for _ in range(3):
        pace.said(word(3, "ann"))
    for _ in range(2):
        pace.received(AnswerReceipt("3", "q", "stored", ""), 6.0)
    assert pace.form(6.0) == [{"annotator": "ann", "rate": 1.0, "minutes": [1]}]


def test_what_is_long_ago_is_forgotten() -> None:
    pace = Pace()
    labeled(pace, 1, "ann", 0.0)
    assert pace.form(60.0 * MINUTES) == []
    for number in range(UNDER_WAY + 1):
        pace.said(word(number, "ann"))
    pace.received(AnswerReceipt("0", "q", "stored", ""), 1.0)
    assert pace.form(1.0) == []
    pace.received(AnswerReceipt("1", "q", "stored", ""), 1.0)
    assert len(pace.form(1.0)) == 1
