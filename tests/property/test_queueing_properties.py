"""The queue under random candidates, holds, answers, rounds, absences and restarts: nothing doubled, nothing lost, never nothing to
ask, no label untrained for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from active_learner.core import asking_events as a
from active_learner.core.pool import Pool
from active_learner.core.queueing import QueueMachine
from active_learner.core.records import AskedQuestion, Features, LabelEvent
from active_learner.strategies.uncertainty import LeastConfidence

CAPACITY, KINDS, QUEUE = 14, 60, 4
RULES = a.AskingRules(
    6,
    3,
    skip_cooldown_s=4.0,
    source_timeout_s=3.0,
    refresh_timeout_s=2.0,
    queue_size=QUEUE,
    round_labels=3,
    round_s=10.0,
)


class World:
    """Source, evaluator, labelers, leases, store and training, all played by a seeded dice. Stores are slow by a turn."""

    def __init__(
        self, random: Random, machine: type[QueueMachine] = QueueMachine, rules: a.AskingRules = RULES
    ) -> None:
        self.random, self.kind, self.rules, self.at = random, machine, rules, 0.0
        self.open: dict[str, AskedQuestion] = {}
        self.told: set[str] = set()
        """Ids that leases know of: those in the store and not here were never opened."""
        self.held: set[str] = set()
        self.returned: set[str] = set()
        """Taken back a moment ago."""
        self.labels: dict[str, int] = {}
        self.plan: dict[str, int] = {}
        self.training = False
        self.due: list[a.Event] = []
        self.rounds = self.version = self.terms = self.proposals = 0
        self.evaluator = True
        self.seen: set[str] = set()
        self.start()

    def start(self) -> None:
        """A new trainer: it knows what is in the store."""
        self.terms += 1
        self.due.clear()
        pool = Pool(CAPACITY, 2)
        changed = {key for key in self.labels | self.plan if self.labels.get(key) != self.plan.get(key)}
        self.told = set(self.open)
        self.held &= self.told
        self.machine = self.kind(
            self.rules,
            pool,
            name=f"run-{self.terms}",
            at=self.at,
            labeled=self.labels,
            open_questions=[*self.open.values()],
            round=self.rounds,
            model_version=self.version,
            changes=len(changed),
            under_way=self.training,
            due=self.rules.round_labels is None,
        )
        self.feed(a.EvaluatorHere(self.evaluator, self.at))

    # --- what happens

    def turn(self) -> None:
        self.at += self.random.choice([0.0, 0.1, 1.0, 3.0])
        choice = self.random.random()
        waiting, self.due = self.due, []
        for event in waiting:
            self.feed(replace(event, at=self.at))
        if choice < 0.3:
            self.propose()
        elif choice < 0.4:
            self.hold()
        elif choice < 0.7 and self.told:
            self.say(self.random.choice(sorted(self.told)), self.random.choice(["answer", "answer", "skip"]))
        elif choice < 0.75 and self.labels:
            self.retract(self.random.choice(sorted(self.labels)))
        elif choice < 0.85 and self.training:
            self.train()
        elif choice < 0.9:
            self.evaluator = not self.evaluator
            self.feed(a.EvaluatorHere(self.evaluator, self.at))
        elif choice < 0.93:
            self.start()
        self.feed(a.Tick(self.at))

    def propose(self) -> None:
        kinds = [self.random.randrange(KINDS) for _ in range(self.random.randint(1, 5))]
        keys = tuple(f"k{kind:02d}" for kind in kinds)
        self.proposals += 1
        rows = np.array([[kind] for kind in kinds], np.float32)
        self.seen.update(keys)
        batch = a.CandidatesHeard(f"c{self.proposals}", 1, keys, rows, 0, "", self.at)
        self.feed(batch)
        if self.evaluator:
            self.score(batch.id, rows)

    def score(self, re: str, features: Features) -> None:
        """How certain a model is of a sample changes with each."""
        certain = [0.5 + (int(row[0]) * 7 + self.version) % 50 / 100 for row in features]
        self.feed(a.ScoresHeard(re, self.version, np.array([[p, 1 - p] for p in certain], np.float32), self.at))

    def hold(self) -> None:
        free = sorted(self.told - self.held)
        if free and self.random.random() < 0.7:
            self.held.add(self.random.choice(free))
        elif self.held:
            self.held.discard(self.random.choice(sorted(self.held)))

    def say(self, id: str, action: str) -> None:
        question = self.open[id]
        self.held.discard(id)
        value = self.random.randrange(2) if action == "answer" else None
        if value is not None:
            self.labels[question.key] = value
            self.close([id])
        self.feed(self.stored(question, action, value))
        self.feed(a.QuestionResolved(id, self.at) if action == "answer" else a.QuestionPassed(id, self.at))

    def retract(self, key: str) -> None:
        del self.labels[key]
        sample = np.array([int(key[1:])], np.float32)
        question = AskedQuestion("old", key, sample, 0, "", 0.0, 1, 0, False, 1, 0.0)
        self.feed(self.stored(question, "undo", None))

    def stored(self, question: AskedQuestion, action: str, value: int | None) -> a.AnswerStored:
        event = LabelEvent("e", question.id, question.key, "ann", 0, action, value, 0.0)
        return a.AnswerStored(event, "stored", question.key in self.labels, question.features, self.at)

    def train(self) -> None:
        self.training = False
        self.rounds += 1
        self.version += 10
        self.feed(a.RoundOver(self.rounds, self.version, self.at))

    # --- the shell

    def feed(self, event: a.Event) -> None:
        events = [event]
        while events:
            now = events.pop(0)
            for command in self.machine.handle(now):
                events += self.do(command)
            self.check()
            if isinstance(now, a.TakenBack):
                self.check_returned()

    def do(self, command: a.Command) -> list[a.Event]:
        match command:
            case a.Select():
                assert command.count > 0
                selection = LeastConfidence().select(command.view, command.count, np.random.default_rng(0))
                self.due.append(a.SelectionMade(command.view, selection, "least_confidence", self.at, 0.0))
            case a.StoreQuestions():
                self.open |= {question.id: question for question in command.questions}
                self.due.append(a.QuestionsStored(tuple(one.id for one in command.questions), self.at))
            case a.OpenQuestions():
                assert command.questions, "nothing is opened"
                asked = {self.open[one].key for one in self.told}
                assert not any(question.key in asked for question in command.questions), "asked twice"
                assert all(question.key not in self.labels for question in command.questions), "asked what is labeled"
                self.told |= {question.id for question in command.questions}
            case a.TakeBack():
                gone = tuple(one for one in command.ids if one in self.told - self.held)
                self.returned = {self.open[one].key for one in gone}
                self.close(gone)
                return [a.TakenBack(gone, self.at)]
            case a.CloseQuestions():
                self.close(command.ids)
            case a.Refresh() if self.evaluator:
                self.score(command.id, command.features)
            case a.WantRound():
                self.want()
        return []

    def want(self) -> None:
        assert not self.training, "a round while one is under way"
        if not self.labels:
            self.plan = {}
            self.due.append(a.RoundOver(None, self.version, self.at))
            return
        self.plan, self.training = dict(self.labels), True
        self.feed_later(a.RoundPlanned(self.at))

    def feed_later(self, event: a.Event) -> None:
        self.due.append(event)

    def close(self, ids: Iterable[str]) -> None:
        for one in ids:
            self.open.pop(one, None)
            self.told.discard(one)
            self.held.discard(one)

    def check(self) -> None:
        machine = self.machine
        pool, asked = machine.pool.keys(), [question.key for question in machine.unanswered()]
        assert len(asked) == len(set(asked)), "a sample is asked twice"
        assert not pool & set(asked), "in the pool and asked"
        assert not pool & machine.labeled, "in the pool and labeled"
        assert machine.labeled == set(self.labels)
        assert pool | set(asked) <= self.seen
        assert len(pool) <= CAPACITY
        if self.terms == 1:
            assert len(asked) <= QUEUE, "more is open than the queue holds"

    def check_returned(self) -> None:
        there = {*self.machine.pool.keys(), *(one.key for one in self.machine.unanswered()), *self.machine.labeled}
        assert self.returned <= there or len(self.machine.pool) == CAPACITY, "taken back and lost"

    def heal(self) -> None:
        """Everybody is here and answers: all that was proposed is labeled, and all labels are trained."""
        self.evaluator = True
        self.feed(a.EvaluatorHere(True, self.at))
        for _ in range(400):
            self.at += 1.0
            waiting, self.due = self.due, []
            for event in waiting:
                self.feed(replace(event, at=self.at))
            if self.told:
                self.say(min(self.told), "answer")
            if self.training:
                self.train()
            self.feed(a.Tick(self.at))
        assert not self.machine.pool.keys(), f"stalled in {self.machine.phase}: {self.machine.story()}"
        assert not self.open, "a question is open and cannot be answered"
        assert self.plan == self.labels, "labels are not trained"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**32), turns=st.integers(1, 150), initial=st.sampled_from([0, 5]), by_time=st.booleans())
def test_queue_pool_and_labels_stay_apart_and_nothing_is_left(
    seed: int, turns: int, initial: int, by_time: bool
) -> None:
    rules = replace(RULES, initial_labels=initial, round_labels=None if by_time else 3)
    world = World(Random(seed), rules=rules)
    for _ in range(turns):
        world.turn()
    world.heal()


class AsksWhatIsHeldAgain(QueueMachine):
    """Mutant: what somebody holds is opened a second time."""

    def _is_free(self, key: str) -> bool:
        return key not in self.labeled


class ForgetsTheLastLabels(QueueMachine):
    """Mutant: at the end too it waits for as many changes as the rule says."""

    def _is_last(self, at: float) -> bool:
        return False


class LosesWhatItTakesBack(QueueMachine):
    """Mutant: what was taken back is neither open nor in the pool."""

    def _return(self, id: str) -> str:
        sample = self.queue.remove(id)
        return "" if sample is None else sample.key


class WantsRoundsAtOnce(QueueMachine):
    """Mutant: it does not wait for the round that is under way."""

    def _want_round(self, event):  # type: ignore[no-untyped-def]
        commands = super()._want_round(event)
        self.rounds.under_way = False
        return commands


class OpensTooMany(QueueMachine):
    """Mutant: all that was chosen anew is opened, whatever is held."""

    def _room(self) -> int:
        return self._most() if self.phase == "taking back" or self._is_anew else super()._room()

    def _open_chosen(self, event):  # type: ignore[no-untyped-def]
        self._room = lambda: 99  # type: ignore[method-assign]
        commands = super()._open_chosen(event)
        del self._room
        return commands


MUTANTS = [AsksWhatIsHeldAgain, ForgetsTheLastLabels, LosesWhatItTakesBack, WantsRoundsAtOnce, OpensTooMany]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_seeded_mutants_are_caught(mutant: type[QueueMachine]) -> None:
    for seed in range(40):
        try:
            world = World(Random(seed), mutant)
            for _ in range(80):
                world.turn()
            world.heal()
        except (AssertionError, IndexError):
            return
    pytest.fail("the mutant went through unseen")
