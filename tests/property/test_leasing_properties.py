"""Ten annotators at the leasing machine, who answer, pass, take back, fall silent and come again, in any order, while the trainer
is restarted: nobody holds more than it may, nothing is answered twice against the rule, nothing is stuck longer than its lease."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from active_learner.core import asking_events as a
from active_learner.core.leasing import CLAIM_S, Leasing
from active_learner.core.leasing_events import LeaseAsked, PeerLeft, QuestionsOpened, SayQuestion
from active_learner.core.records import AskedQuestion, LabelEvent
from active_learner.core.words import Enough, Words

LEASE_S = 10.0
PEOPLE = [f"person-{number}" for number in range(10)]


class World:
    """A store that takes what is not surplus, as the book does; and people."""

    def __init__(self, seed: int, enough: Enough) -> None:
        self.random, self.enough, self.at = Random(seed), enough, 0.0
        self.events: list[LabelEvent] = []
        self.open: dict[str, AskedQuestion] = {}
        self.held_since: dict[tuple[str, str], float] = {}
        self.screens: dict[str, list[AskedQuestion]] = {name: [] for name in PEOPLE}
        self.number = 0
        self.machine = Leasing(enough, LEASE_S)

    def feed(self, event: Any) -> None:
        for command in self.machine.handle(event):
            match command:
                case SayQuestion(question=question, annotator=name):
                    assert not Words(self.events).has_had(name, question.key, question.id), "asked again"
                    if question not in self.screens[name]:
                        self.screens[name].append(question)
                case a.CloseQuestions(ids=ids):
                    for closed in ids:
                        self.open.pop(closed, None)
        self.check()

    def check(self) -> None:
        words = Words(self.events)
        for item in self.machine._items:
            votes = words.votes(item.question.key)
            assert len(votes) + len(item.holders) <= self.enough.needed(votes.values())
            assert not votes.keys() & item.holders.keys()
            assert all(hold.until <= self.at + LEASE_S for hold in item.holders.values()), "held too long"
        for question in {event.key for event in self.events}:
            votes = words.votes(question)
            assert len(votes) <= self.enough.labels_per_item + self.enough.adjudicate

    def opens(self) -> None:
        questions = []
        for _ in range(self.random.randint(1, 5)):
            self.number += 1
            name = f"q{self.number}"
            questions.append(AskedQuestion(name, f"k{name}", np.zeros(1), 1, "m", 0.5, 1, 0, False, 9, 1.0))
        self.open |= {question.id: question for question in questions}
        self.feed(QuestionsOpened(tuple(questions), self.at))

    def says(self, name: str, question: AskedQuestion, action: str) -> None:
        value = self.random.randrange(3) if action == "answer" else None
        event = LabelEvent(f"e{len(self.events)}", question.id, question.key, name, 0, action, value, 0.0)
        words = Words(self.events)
        votes = words.votes(question.key)
        if action == "answer" and (name not in votes and len(votes) >= self.enough.needed(votes.values())):
            return  # surplus
        self.events.append(event)
        self.screens[name] = [one for one in self.screens[name] if one is not question]
        self.feed(a.AnswerStored(event, "stored", bool(votes), None, self.at))

    def lease(self, name: str, wants: int = 3) -> None:
        holds = tuple(question.id for question in self.screens[name]) if wants else ()
        self.feed(LeaseAsked(name, name, 1, wants, holds, (), self.at))

    def turn(self) -> None:
        self.at += self.random.choice([0.0, 0.1, 1.0, 4.0])
        name = self.random.choice(PEOPLE)
        choice = self.random.random()
        if choice < 0.15:
            self.opens()
        elif choice < 0.5:
            self.lease(name)
        elif choice < 0.8 and self.screens[name]:
            action = self.random.choice(["answer", "answer", "answer", "skip", "cannot_tell"])
            self.says(name, self.screens[name][0], action)
        elif choice < 0.85:
            self.lease(name, 0)
        elif choice < 0.9:
            self.feed(PeerLeft(name, self.at))
        elif choice < 0.93 and self.open:
            there = tuple(self.open.values())
            self.machine = Leasing(self.enough, LEASE_S, open_questions=there, said=self.events)
        self.feed(a.Tick(self.at))

    def ends(self) -> None:
        """All who are left behind go; one who answers everything comes, and as many more as the rule wants."""
        self.at += LEASE_S + CLAIM_S
        for _ in range(3):
            self.at += CLAIM_S
            self.feed(a.Tick(self.at))
        for helper in (f"helper-{number}" for number in range(4)):
            self.screens[helper] = []
            self.feed(LeaseAsked(helper, helper, 1, 1000, (), (), self.at))
            while self.screens[helper]:
                self.says(helper, self.screens[helper][0], "answer")
                self.screens[helper] = [one for one in self.screens[helper] if one.id in self.machine._items]
        assert not self.open, "stuck"


@pytest.mark.parametrize("enough", [Enough(), Enough(2), Enough(2, adjudicate=True)], ids=str)
def test_no_item_is_answered_twice_against_the_rule_and_none_is_stuck(enough: Enough) -> None:
    for seed in range(25):
        world = World(seed, enough)
        for _ in range(150):
            world.turn()
        world.ends()
