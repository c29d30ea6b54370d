"""Whatever the wire loses, repeats, delays or reorders, and whoever is killed: each step is applied once and in order.

A small trainer, evaluators with an engine of numbers, and a wire that does its worst. The weights are the list of all that
was applied, so a step that is missing, doubled or of another batch shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from active_learner.core import evaluation_events as told
from active_learner.core.checkpointing import CheckpointRule
from active_learner.core.evaluation import EvaluationMachine
from active_learner.core.evaluation_events import Heard, Place
from protocol.messages import Forward, Gradient, Message, Position, PositionRequest, Promote, Promoted, Restore, Status
from protocol.messages import Step as FusedStep

ROUND = 3
STEPS = 9
ALONE = (Place("evaluator", "traininput", "trainoutput", "evolution", True, True),)
CHAIN = (
    Place("lower", "traininput", "middle", "evolution", True, False, behind="upper"),
    Place("upper", "middle", "trainoutput", "evolution", False, True, before="lower"),
)
Weights = tuple[tuple[float, ...], ...]


def array(value: float) -> np.ndarray:
    return np.array([[value]], np.float64)


@dataclass
class Engine:
    """Refuses nothing: what does not fit is a failed test."""

    weights: Weights = ()
    held: tuple[int, float] | None = None
    saved: dict[int, tuple[Weights, int]] = field(default_factory=dict)
    """Step -> weights, and step of those that score."""
    version: int = 0

    def run(self, command: Any) -> Any:
        match command:
            case told.RunForward(step=step, batch=batch):
                assert step == len(self.weights) + 1
                self.held = (step, float(batch[0, 0]))
                return told.Forwarded(batch * 0.5 + sum(w[2] for w in self.weights))
            case told.RunApply(step=step, gradient=gradient):
                assert self.held is not None
                assert step == self.held[0] == len(self.weights) + 1, "out of order"
                self.weights = (*self.weights, (step, self.held[1], float(gradient[0, 0])))
                self.held = None
                return told.Applied(gradient * 2)
            case told.RunPromote(step=step):
                self.keep(step, self.weights, step)
                self.version = step
                return told.Promotion("digest", tuple(sorted(self.saved)))
            case told.RunRestore(step=step):
                (self.weights, self.version), self.held = self.saved[step] if step else ((), 0), None
                self.saved = {k: v for k, v in self.saved.items() if k <= step}
                return told.Restored(step, self.version, tuple(sorted(self.saved)))
        raise AssertionError(command)

    def keep(self, step: int, weights: Weights, version: int) -> None:
        self.saved = {**{k: v for k, v in self.saved.items() if k > step - 2 * ROUND}, step: (weights, version)}


class Evaluator:
    def __init__(self, place: Place, world: World, machine: type[EvaluationMachine]) -> None:
        self.place, self.world, self._kind = place, world, machine
        self.engine = Engine()
        self.start()

    def start(self) -> None:
        """A new process with what is on the disk."""
        newest = max(self.engine.saved, default=0)
        weights, version = self.engine.saved.get(newest, ((), 0))
        self.engine = Engine(weights, None, self.engine.saved, version)
        self.machine = self._kind(
            self.place,
            run="r" if newest else "",
            applied=newest,
            model_version=version,
            restorable=tuple(sorted(self.engine.saved)),
            rule=CheckpointRule(2, 1000.0),
        )
        self.work: list[Any] = []
        self.writing: tuple[int, Weights, int] | None = None

    def feed(self, event: Any) -> None:
        for command in self.machine.handle(event):
            if isinstance(command, told.Say):
                self.world.say(command.room, command.message, self.place.role)
            elif isinstance(command, told.RunCheckpoint):
                assert self.writing is None, "one is written at a time"
                assert command.step == len(self.engine.weights)
                self.writing = (command.step, self.engine.weights, self.engine.version)
            elif not isinstance(command, told.Note):
                self.work.append(command)
        assert len(self.work) <= 1, "the engine has one thing to do at a time"
        assert (self.machine.phase in ("ready", "holding")) == (not self.work)

    def finish_work(self) -> None:
        if self.work:
            goes_another_way = isinstance(self.work[0], told.RunRestore | told.RunPromote)
            self.feed(self.engine.run(self.work.pop()))
            if goes_another_way and self.writing is not None:
                step, self.writing = self.writing[0], None
                self.feed(told.CheckpointFailed(step, "the weights went another way"))

    def finish_writing(self) -> None:
        if self.writing is not None:
            self.engine.keep(*self.writing)
            step, self.writing = self.writing[0], None
            self.feed(told.CheckpointWritten(step, tuple(sorted(self.engine.saved))))


OFTEN = 6


class Trainer:
    """The least that keeps the protocol: one message under way, said again until its answer comes."""

    def __init__(self, world: World, term: int, fused: bool) -> None:
        self.world, self.term, self.fused = world, term, fused
        self.sync()

    def sync(self) -> None:
        self.waits_for, self.applied, self.said = "positions", 0, 0
        self.positions: dict[str, Position] = {}
        self.promoted: set[str] = set()
        self.saying: list[tuple[str, Message]] = [("traininput", PositionRequest(self.term, "r"))]
        self.tick()

    def tick(self) -> None:
        """What was said so often in vain is not said again: a stage behind another may have begun anew, unheard."""
        self.said += 1
        if self.said > OFTEN and self.waits_for in ("predictions", "applied"):
            self.sync()
            return
        for room, message in self.saying:
            self.world.say(room, message, "trainer")

    def _say(self, waits_for: str, room: str, message: Message) -> None:
        self.waits_for, self.saying, self.said = waits_for, [(room, message)], 0
        self.tick()

    def hear(self, message: Message) -> None:
        if getattr(message, "term", None) != self.term:
            return
        match message:
            case Position():
                self._position(message)
            case Forward(step=step) if self.waits_for == "predictions" and step == self.step:
                self._gradient(-float(message.data[0, 0]))
            case Gradient(step=step) if self.waits_for == "applied" and step == self.step:
                self._after(step)
            case Promoted(step=step) if self.waits_for == "promoted" and step == self.step:
                self.promoted.add(message.role)
                if self.promoted == self.world.roles:
                    self._forward(step + 1)

    def _position(self, message: Position) -> None:
        if self.waits_for != "positions":
            if message.why or message.applied != self.applied:
                self.sync()
            return
        self.positions[message.role] = message
        if set(self.positions) < self.world.roles:
            return
        standing = {one.applied for one in self.positions.values()}
        if len(standing) == 1:
            self._after(standing.pop(), at_start=True)
            return
        reach = [{0, one.applied, *one.restorable} for one in self.positions.values()]
        common = max(step for step in set.intersection(*reach) if step <= min(standing))
        restores = [("traininput", Restore(self.term, "r", role, common)) for role in self.positions]
        self.positions = {}
        self.saying = [*restores, ("traininput", PositionRequest(self.term, "r"))]
        self.tick()

    def _after(self, applied: int, at_start: bool = False) -> None:
        self.applied = applied
        saved = at_start and all(applied == p.model_version for p in self.positions.values())
        if applied % ROUND == 0 and applied and not saved:
            self.step, self.promoted = applied, set()
            self._say("promoted", "traininput", Promote(self.term, "r", applied // ROUND, applied, applied))
        else:
            self._forward(applied + 1)

    def _forward(self, step: int) -> None:
        self.step = step
        if step > STEPS:
            self.waits_for, self.saying = "nothing", []
            return
        message = Forward(self.term, step, Status.TRAIN, "", 0, 0, (step - 1) % ROUND, 7, array(step))
        self._say("predictions", "traininput", message)

    def _gradient(self, slope: float) -> None:
        step = self.step
        self.applied = step - 1
        if self.fused and step % ROUND:
            self.step = step + 1
            message = FusedStep(self.term, step, array(slope), 0, 0, 0, 7, array(step + 1))
            self._say("predictions", "traininput", message)
        else:
            self._say("applied", "trainoutput", Gradient(self.term, step, array(slope)))


class World:
    def __init__(self, places: tuple[Place, ...], fused: bool, machine: type[EvaluationMachine]) -> None:
        self.fused = fused
        self.roles = {place.role for place in places}
        self.members = {place.role: ("traininput", place.input_room, place.output_room) for place in places}
        self.members["trainer"] = ("traininput", "trainoutput", "trainoutput")
        self.wire: list[tuple[str, Heard]] = []
        self.evaluators = {place.role: Evaluator(place, self, machine) for place in places}
        self.trainer = Trainer(self, 1, fused)

    def say(self, room: str, message: Message, sender: str) -> None:
        inside = {role for role, rooms in self.members.items() if room in rooms} - {sender}
        receivers = {room[1:]} if room.startswith("@") else inside
        heard = Heard(message, "" if room.startswith("@") else room, sender, sender)
        self.wire.extend((receiver, heard) for receiver in sorted(receivers))

    def deliver(self, index: int, keep: bool = False) -> None:
        receiver, heard = self.wire[index] if keep else self.wire.pop(index)
        if receiver == "trainer":
            self.trainer.hear(heard.message)
        else:
            self.evaluators[receiver].feed(heard)

    def misfortune(self, random: Random) -> None:
        """One thing that can happen, good or bad."""
        what = random.random()
        if what < 0.45 and self.wire:
            self.deliver(random.randrange(min(len(self.wire), 4)))
        elif what < 0.67:
            random.choice(sorted(self.evaluators.items()))[1].finish_work()
        elif what < 0.70:
            random.choice(sorted(self.evaluators.items()))[1].finish_writing()
        elif what < 0.78 and self.wire:
            self.deliver(random.randrange(len(self.wire)), keep=True)
        elif what < 0.86 and self.wire:
            del self.wire[random.randrange(len(self.wire))]
        elif what < 0.96:
            self.trainer.tick()
        elif what < 0.985:
            random.choice(sorted(self.evaluators.items()))[1].start()
            self.trainer.sync()
        else:
            self.trainer = Trainer(self, self.trainer.term + 1, self.fused)

    def heal(self) -> None:
        """Everything arrives, in order; the trainer's clock ticks when all is quiet."""
        for _ in range(3000):
            if self.trainer.waits_for == "nothing":
                return
            if self.wire:
                self.deliver(0)
            elif any(one.work for one in self.evaluators.values()):
                for one in self.evaluators.values():
                    one.finish_work()
            else:
                self.trainer.tick()
        raise AssertionError(f"stalled: the trainer waits for {self.trainer.waits_for}")


def lived(
    random: Random, places: tuple[Place, ...], fused: bool, machine: type[EvaluationMachine] = EvaluationMachine
) -> dict[str, Weights]:
    world = World(places, fused, machine)
    for _ in range(random.randrange(400)):
        world.misfortune(random)
    world.heal()
    return {role: one.engine.weights for role, one in world.evaluators.items()}


def undisturbed(places: tuple[Place, ...]) -> dict[str, Weights]:
    world = World(places, False, EvaluationMachine)
    world.heal()
    return {role: one.engine.weights for role, one in world.evaluators.items()}


KINDS = [(ALONE, True), (ALONE, False), (CHAIN, False)]


@pytest.mark.parametrize(("places", "fused"), KINDS, ids=["fused", "two trips", "chain"])
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_step_is_applied_once_and_in_order(seed: int, places: tuple[Place, ...], fused: bool) -> None:
    weights = lived(Random(seed), places, fused)
    assert weights == undisturbed(places)
    assert all([step for step, *_ in one] == list(range(1, STEPS + 1)) for one in weights.values())


class AppliesTwice(EvaluationMachine):
    """Mutant: a repeated gradient is applied again."""

    def _repeat_applied(self, event: Heard) -> list[Any]:
        self.held = self.applied
        return self._apply(event)


class SkipsTheGradient(EvaluationMachine):
    """Mutant: a STEP is only forwarded."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {**EvaluationMachine.TABLE, ("holding", "step"): "_forward"}


class ForwardsAgain(EvaluationMachine):
    """Mutant: late copies are taken as the next step."""

    TABLE: ClassVar[dict[tuple[str, str], str]] = {**EvaluationMachine.TABLE, ("*", "past"): "_forward"}


@pytest.mark.parametrize("mutant", [AppliesTwice, SkipsTheGradient, ForwardsAgain], ids=lambda one: one.__name__)
def test_a_machine_with_a_seeded_mistake_is_caught(mutant: type[EvaluationMachine]) -> None:
    caught = 0
    for seed in range(20):
        try:
            caught += lived(Random(seed), ALONE, seed % 2 == 0, mutant) != undisturbed(ALONE)
        except Exception:  # an assertion of the engine or a row that is missing: caught as well
            caught += 1
    print(f"{mutant.__name__}: caught by {caught} of 20 runs")
    assert caught
