"""What was asked and answered, as cards. Knows questions and labels; not how a page looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from active_learner.core.records import AskedQuestion, Label
from active_learner.results.picture import picture
from active_learner.results.record import RunRecord

MOST_CARDS = 60
"""Five rows of twelve: enough to see what it asks, small enough to mail."""


@dataclass(frozen=True, slots=True)
class Card:
    number: int
    """1 = asked first."""
    image: Markup
    answer: str
    otherwise: str
    """What the model would have said, when that was something else; "" when not."""


@dataclass(frozen=True, slots=True)
class Gallery:
    cards: tuple[Card, ...]
    asked: int
    answered: int
    every: int
    """1: all are shown; 3: every third."""
    differing: int
    """Of all answered questions for which the model had an opinion, those where it was another one."""
    judged: int


def gallery(record: RunRecord) -> Gallery:
    """At most MOST_CARDS answered questions, evenly over the run, in the order of asking."""
    answers = {label.question: label for label in record.labels if label.question}
    answered = [(number, one) for number, one in enumerate(record.questions, start=1) if one.id in answers]
    every = max(1, -(-len(answered) // MOST_CARDS))
    shown = answered[::every]
    brightest = max((float(np.max(one.features, initial=0)) for _, one in shown), default=1.0)
    judged = [(one, answers[one.id]) for _, one in answered if one.probabilities]
    differing = sum(opinion(one) != label.value for one, label in judged)
    cards = tuple(_card(record, number, one, answers[one.id], brightest) for number, one in shown)
    return Gallery(cards, len(record.questions), len(answered), every, differing, len(judged))


def opinion(question: AskedQuestion) -> int | None:
    """The class that the model held likeliest when it asked; None: it had no score."""
    return int(np.argmax(question.probabilities)) if question.probabilities else None


def ordinal(every: int) -> str:
    """Every question, every second question, every third question, every 14th question."""
    words = {1: "Every question", 2: "Every second question", 3: "Every third question"}
    return words.get(every, f"One question of {every}")


def _card(record: RunRecord, number: int, question: AskedQuestion, label: Label, brightest: float) -> Card:
    media = str(record.setting("sample", "media", default="table"))
    guess = opinion(question)
    otherwise = record.class_name(guess) if guess is not None and guess != label.value else ""
    image = picture(question.features, media, brightest, f"Question {number}")
    return Card(number, image, record.class_name(label.value), otherwise)


def confused_pairs(counts: Sequence[Sequence[int]], names: Sequence[str], most: int = 10) -> list[tuple[str, str, int]]:
    """(is, said, rows), the most frequent confusions first."""
    pairs = [
        (count, row, column)
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if row != column and count
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [(names[row], names[column], count) for count, row, column in pairs[:most]]
