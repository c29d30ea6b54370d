"""The asking machine under random candidates, answers, absences and clocks: nothing doubled, nothing over its bound, no stall."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from active_learner.core import asking_events as a
from active_learner.core.asking import AskingMachine
from active_learner.core.pool import Pool
from active_learner.core.records import AskedQuestion, Features, LabelEvent
from active_learner.strategies.uncertainty import LeastConfidence

CAPACITY = 12
KINDS = 40


class Loop:
    """The machine with a source, an evaluator, labelers, a store and a trainer that are all played by a seeded dice."""

    def __init__(self, random: Random, machine: type[AskingMachine] = AskingMachine, initial: int = 0) -> None:
        self.random, self.at = random, 0.0
        rules = a.AskingRules(
            6,
            3,
            initial_labels=initial,
            label_timeout_s=5.0,
            skip_cooldown_s=4.0,
            source_timeout_s=3.0,
            refresh_timeout_s=2.0,
        )
        self.machine = machine(rules, Pool(CAPACITY, 2), name="run", at=0.0)
        self.open: dict[str, AskedQuestion] = {}
        self.labels: dict[str, str] = {}
        self.answered: dict[str, AskedQuestion] = {}
        self.rounds = 0
        self.version = 0
        self.evaluator = self.labeler = True
        self.seen: set[str] = set()
        self.receipts = dict.fromkeys(("new", "known", "refused"), 0)
        self.proposed: dict[str, a.CandidatesHeard] = {}
        self.receipted: set[str] = set()
        self.feed(a.EvaluatorHere(True, 0.0))
        self.feed(a.LabelerHere("ann", True, 0.0))

    # --- the world

    def turn(self) -> None:
        self.at += self.random.choice([0.0, 0.1, 1.0, 3.0])
        choice = self.random.random()
        if choice < 0.35:
            self.propose()
        elif choice < 0.7 and self.labeler and self.open:
            self.answer(self.random.choice([*self.open.values()]))
        elif choice < 0.75:
            self.evaluator = not self.evaluator
            self.feed(a.EvaluatorHere(self.evaluator, self.at))
        elif choice < 0.8:
            self.labeler = not self.labeler
            self.feed(a.LabelerHere("ann", self.labeler, self.at))
        elif choice < 0.85 and self.proposed:
            self.feed(self.random.choice([*self.proposed.values()]))
        elif choice < 0.9:
            self.feed(a.ScoresHeard("stray", 0, np.array([[0.5, 0.5]], np.float32), self.at))
        self.feed(a.Tick(self.at))

    def propose(self) -> None:
        kinds = [self.random.randrange(KINDS) for _ in range(self.random.randint(1, 5))]
        keys = tuple(f"k{kind:02d}" for kind in kinds)
        batch = a.CandidatesHeard(
            f"c{len(self.proposed)}", 1, keys, np.array([[k] for k in kinds], np.float32), 0, "", self.at
        )
        self.proposed[batch.id] = batch
        self.seen.update(keys)
        self.feed(batch)
        if self.evaluator:
            self.score(batch.id, batch.features)

    def score(self, re: str, features: Features) -> None:
        rows = np.array([[0.5 + float(f[0]) / 100, 0.5 - float(f[0]) / 100] for f in features], np.float32)
        self.feed(a.ScoresHeard(re, self.version, rows, self.at))

    def answer(self, question: AskedQuestion) -> None:
        action = self.random.choice(["answer", "answer", "answer", "skip", "undo"])
        if action == "undo":
            if not self.answered:
                return
            question = self.answered.pop(self.random.choice([*self.answered]))
        event = LabelEvent(
            f"e{self.at}{self.random.random()}",
            question.id,
            question.key,
            "ann",
            0,
            action,
            1 if action == "answer" else None,
            0.0,
        )
        if action == "answer":
            self.resolve(question)
        elif action == "undo":
            self.labels.pop(question.key, None)
        else:
            self.feed(a.QuestionPassed(question.id, self.at))
        self.feed(a.AnswerStored(event, "stored", question.key in self.labels, question.features, self.at))

    def resolve(self, question: AskedQuestion) -> None:
        """The leasing machine says first that it has its answer."""
        self.labels[question.key] = question.id
        self.answered[question.key] = self.open.pop(question.id)
        self.feed(a.QuestionResolved(question.id, self.at))

    # --- the shell

    def feed(self, event: a.Event) -> None:
        events = [event]
        while events:
            for command in self.machine.handle(events.pop(0)):
                events += self.do(command)
            self.check()

    def do(self, command: a.Command) -> list[a.Event]:
        match command:
            case a.Select():
                assert command.count > 0
                selection = LeastConfidence().select(command.view, command.count, np.random.default_rng(0))
                return [a.SelectionMade(command.view, selection, "least_confidence", self.at, 0.0)]
            case a.StoreQuestions():
                assert command.questions, "an empty acquisition batch"
                assert all(question.key not in self.labels for question in command.questions), "asked what is labeled"
                return [a.QuestionsStored(tuple(question.id for question in command.questions), self.at)]
            case a.OpenQuestions():
                self.open |= {question.id: question for question in command.questions}
            case a.CloseQuestions():
                for question in command.ids:
                    self.open.pop(question, None)
            case a.Refresh():
                if self.evaluator:
                    self.score(command.id, command.features)
            case a.SendReceipt():
                if command.re not in self.receipted:
                    self.receipted.add(command.re)
                    assert command.new + command.known + command.refused == len(self.proposed[command.re].keys)
            case a.WantRound():
                assert self.labels, "a round without any label"
                self.rounds += 1
                self.version += 10
                return [a.RoundOver(self.rounds, self.version, self.at)]
        return []

    def check(self) -> None:
        machine = self.machine
        pool = {key for key in (f"k{kind:02d}" for kind in range(KINDS)) if key in machine.pool}
        asked = {question.key for question in machine.batch.unanswered()}
        labeled = machine.labeled
        assert not pool & asked, "in the pool and asked"
        assert not pool & labeled, "in the pool and labeled"
        assert pool | asked | labeled <= self.seen
        assert len(machine.pool) <= CAPACITY

    def heal(self) -> None:
        """Everybody is here and answers: a round must come."""
        self.evaluator = self.labeler = True
        self.feed(a.EvaluatorHere(True, self.at))
        self.feed(a.LabelerHere("ann", True, self.at))
        before = self.rounds
        for _ in range(200):
            self.at += 0.5
            for question in [*self.open.values()]:
                event = LabelEvent(f"h{self.at}{question.id}", question.id, question.key, "ann", 0, "answer", 1, 0.0)
                self.resolve(question)
                self.feed(a.AnswerStored(event, "stored", True, question.features, self.at))
            self.feed(a.Tick(self.at))
            if self.rounds > before:
                return
        unknown = self.seen - self.machine.labeled
        assert not unknown or not len(self.machine.pool), f"stalled in {self.machine.phase}: {self.machine.story()}"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**32), turns=st.integers(1, 120), initial=st.sampled_from([0, 4]))
def test_pool_questions_and_labels_stay_apart_and_nothing_stalls(seed: int, turns: int, initial: int) -> None:
    loop = Loop(Random(seed), initial=initial)
    for _ in range(turns):
        loop.turn()
    loop.heal()


@given(
    probabilities=st.lists(st.integers(0, 50), min_size=1, max_size=40, unique=True),
    count=st.integers(1, 10),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_asked_are_the_most_uncertain_and_never_the_least(probabilities: list[int], count: int) -> None:
    pool = Pool(100, 2)
    for number in probabilities:
        key = f"k{number:02d}"
        pool.add(key, np.array([number], np.float32))
        pool.score(key, np.array([0.5 + number / 100, 0.5 - number / 100], np.float32), 1)
    view = pool.view()
    chosen = [view.keys[row] for row in LeastConfidence().select(view, count, np.random.default_rng(0)).rows]
    assert chosen == [f"k{number:02d}" for number in sorted(probabilities)[:count]]


class ForgetsWhatIsLabeled(AskingMachine):
    """Mutant: a labeled sample may be proposed again."""

    def _is_known(self, key: str) -> bool:
        return self.batch.asks(key)


class KeepsAskedInThePool(AskingMachine):
    """Mutant: asked samples stay in the pool."""

    def _store_questions(self, event):  # type: ignore[no-untyped-def]
        commands = super()._store_questions(event)
        for question in commands[0].questions:
            self.pool.add(question.key, question.features)
        return commands


class NeverCoolsDown(AskingMachine):
    """Mutant: a round is wanted when all was skipped."""

    def _give_up_batch(self, event):  # type: ignore[no-untyped-def]
        return self._want_round(event)


class WaitsForEver(AskingMachine):
    """Mutant: below the pool size nothing is ever asked."""

    def _is_silent(self, at: float) -> bool:
        return False


@pytest.mark.parametrize("mutant", [ForgetsWhatIsLabeled, KeepsAskedInThePool, NeverCoolsDown, WaitsForEver])
def test_seeded_mutants_are_caught(mutant: type[AskingMachine]) -> None:
    for seed in range(40):
        loop = Loop(Random(seed), mutant)
        try:
            for _ in range(2 * seed):
                loop.turn()
            loop.heal()
        except AssertionError:
            return
    pytest.fail("the mutant went through unseen")
