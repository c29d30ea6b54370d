"""Training over a network that loses, repeats, reorders and delays, with processes that die: the same weights."""

from __future__ import annotations

from collections import Counter
from functools import cache
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from active_learner.core import training_events as t
from active_learner.core.evaluation import EvaluationMachine
from active_learner.core.schedule import place_of
from active_learner.core.stages import ASKS
from active_learner.core.training import TrainingMachine
from active_learner.core.training_events import SendForward
from protocol.messages import Message, Position, PositionRequest, Promote, Promoted
from tests.property.training_wire import Engine, Faults, Wire, reference

FAULTS = st.builds(
    Faults,
    drop=st.sampled_from([0.0, 0.2, 0.5]),
    repeat=st.sampled_from([0.0, 0.2, 0.5]),
    delay_s=st.sampled_from([0.0, 1.0, 6.0]),
    full_disk=st.sampled_from([0.0, 0.3]),
    kill_evaluator=st.sampled_from([0.0, 0.05]),
    kill_trainer=st.sampled_from([0.0, 0.03]),
)
RUNS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def finish(wire: Wire, disturbed_s: float = 60.0) -> None:
    wire.run(disturbed_s)
    wire.heal()
    assert wire.is_done(), f"stalled: {wire.trainer.phase} at {wire.trainer.applied}, {wire.trainer.story()}"


@RUNS
@given(seed=st.integers(0, 2**32), faults=FAULTS, fused=st.booleans())
def test_rows_16_to_19_each_step_is_applied_once_and_in_order_whatever_the_network_does(
    seed: int, faults: Faults, fused: bool
) -> None:
    wire = Wire(Random(seed), faults, rounds=2, fused=fused)
    finish(wire)
    assert [engine.weights for engine in wire.engines] == reference(2, 1)
    assert not wire.errors


@RUNS
@given(seed=st.integers(0, 2**32), faults=FAULTS)
def test_rows_16_to_19_a_chain_of_evaluators_comes_to_the_same_weights_in_every_stage(
    seed: int, faults: Faults
) -> None:
    wire = Wire(Random(seed), faults, rounds=2, stages=2)
    finish(wire)
    assert [engine.weights for engine in wire.engines] == reference(2, 2)
    assert not wire.errors


@RUNS
@given(seed=st.integers(0, 2**32), faults=FAULTS, stages=st.integers(1, 2))
def test_behind_a_gate_the_same_rounds_are_held_back_whatever_happens(seed: int, faults: Faults, stages: int) -> None:
    wire = Wire(Random(seed), faults, rounds=4, stages=stages, gated=True)
    finish(wire)
    assert verdicts(wire) == undisturbed(stages)
    assert [engine.weights for engine in wire.engines] == reference(4, stages, gated=True)
    assert not wire.errors


def verdicts(wire: Wire) -> list[tuple[float | None, str, str]]:
    """Accuracy, why it is held back, and digest of each round: the first tells of weights that go on nowhere, too."""
    return [(one.accuracy, one.held_back, one.digest) for one in wire.results.values()]


@cache
def undisturbed(stages: int) -> list[tuple[float | None, str, str]]:
    wire = Wire(Random(0), Faults(), rounds=4, stages=stages, gated=True)
    finish(wire)
    found = verdicts(wire)
    assert [not why for _, why, _ in found] == [True, False, stages == 1, stages == 2]
    return found


class LateVerdict(Wire):
    """The evaluator dies behind the PROMOTED of the round that is held back. That word, and the POSITION by which it is judged
    again, come once more when both are asked for once more, while the question itself is lost."""

    late: list[tuple[str, str, Message]]

    def say(self, sender: str, room: str, message: Message) -> None:
        self.late = self.__dict__.get("late", [])
        match len(self.late), message:
            case 0, Promoted() if self.evaluators[0].older:
                self.late.append((sender, room, message))
                self.evaluators[0] = self._new_evaluator(0)
                self._feed(t.StageJoined(self.roles[0], self.now))
                return
            case 1, Position() if message.model_version == message.applied:
                self.late.append((sender, room, message))
            case 2, Promote():
                self.late.append(self.late[0])
                super().say(*self.late[0])
                return
            case 3, PositionRequest():
                self.late.append(self.late[1])
                super().say(*self.late[1])
                return
        super().say(sender, room, message)


def test_a_verdict_that_comes_late_is_not_taken_for_that_of_the_steps_that_were_done_again() -> None:
    wire = LateVerdict(Random(0), Faults(), rounds=4, gated=True)
    finish(wire)
    assert len(wire.late) == 4, "the scene was played"
    assert verdicts(wire) == undisturbed(1)
    assert [engine.weights for engine in wire.engines] == reference(4, 1, gated=True)
    assert not wire.errors


class CountsWhatItSays(TrainingMachine):
    """The most batches that were said in one second because of where the stages stand."""

    most = 0

    def _reconcile(self, event):  # type: ignore[no-untyped-def]
        commands = super()._reconcile(event)
        said = self.__dict__.setdefault("said", Counter())
        said[int(event.at)] += sum(isinstance(command, SendForward) for command in commands)
        CountsWhatItSays.most = max(CountsWhatItSays.most, *said.values())
        return commands


@pytest.mark.parametrize("seed", range(5))
def test_in_a_chain_where_everything_is_heard_twice_positions_and_batches_do_not_beget_each_other(seed: int) -> None:
    """Its second stage stands behind the first; a batch is answered by positions, and those by a batch."""
    CountsWhatItSays.most = 0
    faults = Faults(repeat=0.95, copies=3, delay_s=0.3, kill_evaluator=0.1)
    wire = Wire(Random(seed), faults, rounds=2, stages=2, trainer=CountsWhatItSays)
    finish(wire)
    assert [engine.weights for engine in wire.engines] == reference(2, 2)
    assert CountsWhatItSays.most <= 2 * ASKS, "those of a second begin in the one before"


@given(rows=st.integers(1, 60), epochs=st.integers(1, 4), size=st.integers(1, 25), seed=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_epoch_uses_each_row_once_in_full_batches(rows: int, epochs: int, size: int, seed: int) -> None:
    from active_learner.core.records import Plan

    plan = Plan(3, 11, tuple(map(str, range(rows))), (0,) * rows, seed, epochs, size, "loss", 10)
    assert plan.steps == epochs * -(-rows // size)
    places = [place_of(plan, step) for step in range(plan.first_step, plan.last_step + 1)]
    for epoch in range(epochs):
        used = [row for place in places if place.epoch == epoch for row in place.rows]
        assert sorted(used) == list(range(rows))
    assert all(len(place.rows) == size for place in places if place.batch < plan.batches_per_epoch - 1)
    with pytest.raises(ValueError, match="not of round"):
        place_of(plan, plan.last_step + 1)


class ForgetsReplies(EvaluationMachine):
    """Mutant: a repeated forward runs again as if it were new, and counts the step in between."""

    def _repeat_forward(self, event):  # type: ignore[no-untyped-def]
        self.applied += 1
        return super()._repeat_forward(event)


class AppliesTwice(Engine):
    """Mutant: every fifth gradient is applied twice."""

    def apply(self, step, gradient):  # type: ignore[no-untyped-def]
        graph = self.graph
        result = super().apply(step, gradient)
        if step % 5 == 0:
            self.graph, self.applied = graph, step - 1
            super().apply(step, gradient)
        return result


class SkipsABatch(TrainingMachine):
    """Mutant: after a re-send it goes on with the next batch."""

    def _say_again(self, event):  # type: ignore[no-untyped-def]
        if self.phase == "predicting" and self.place is not None and self.place.step < self.place.plan.last_step:
            self.place = place_of(self.place.plan, self.place.step + 1)
        return super()._say_again(event)


class WrongOrder(TrainingMachine):
    """Mutant: batches of an epoch in another order."""

    def _forward(self, plan, at):  # type: ignore[no-untyped-def]
        commands = super()._forward(plan, at)
        return [type(c)(place_of(plan, plan.last_step)) if type(c).__name__ == "SendForward" else c for c in commands]


MUTANTS = [
    {"evaluator": ForgetsReplies},
    {"engine": AppliesTwice},
    {"trainer": SkipsABatch},
    {"trainer": WrongOrder},
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: next(iter(m.values())).__name__)
def test_seeded_mutants_are_caught(mutant: dict[str, type]) -> None:
    faults = Faults(drop=0.3, repeat=0.3, delay_s=3.0)
    for seed in range(20):
        wire = Wire(Random(seed), faults, rounds=2, **mutant)  # type: ignore[arg-type]
        try:
            finish(wire, 30.0)
        except (AssertionError, Exception):
            return
        if [engine.weights for engine in wire.engines] != reference(2, 1) or wire.errors:
            return
    pytest.fail("the mutant went through unseen")


def test_the_same_seed_is_the_same_run() -> None:
    faults = Faults(drop=0.2, repeat=0.2, delay_s=2.0, kill_evaluator=0.05)
    runs = []
    for _ in range(2):
        wire = Wire(Random(5), faults)
        finish(wire)
        runs.append((wire.now, wire.trainer.resent, wire.engines[0].history))
    assert runs[0] == runs[1]
