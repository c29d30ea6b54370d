"""What a simulated experiment is made of: its configuration and, for each process, the real service with simulated
surroundings. Knows services, engines and people; not time or faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import numpy as np

from active_learner.config.schema import Config
from active_learner.core.answering import MAX_UNSENT, Answering
from active_learner.core.checkpointing import CheckpointRule
from active_learner.core.evaluation_events import TRAINER, Place
from active_learner.core.holding import AHEAD
from active_learner.core.proposing import Proposing
from active_learner.losses.cross_entropy import CrossEntropy
from active_learner.peer import Peer
from active_learner.services.broker import Broker, BrokerDefaults
from active_learner.services.candidate_source import CandidateSource
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.services.evaluator import Evaluator, EvaluatorRooms
from active_learner.services.goals import Goals
from active_learner.services.labeler import Labeler
from active_learner.services.trainer import Trainer, TrainerParts
from active_learner.simulator.answers import DiskAnswers
from active_learner.simulator.chatter import Chatterbox, Operator
from active_learner.simulator.disk import DiskPath
from active_learner.simulator.engine import HIDDEN, HashBackend
from active_learner.simulator.network import Network, SimulatedRouter
from active_learner.simulator.people import MINUTE_S, SPEC, Habit, Person, Proposer, Temper, sample
from active_learner.simulator.processes import Process
from active_learner.simulator.store import SimulatedStore
from active_learner.strategies.random_choice import RandomChoice
from active_learner.strategies.uncertainty import LeastConfidence
from protocol.messages import AnswerReceipt

HASTY = 0.25
"""Share of the experiments that ask few samples and do not wait long for their labels."""
TEMPERS = (
    Temper,
    Temper,
    partial(Temper, skip=0.6, undo=0.1, leave=0.03),
    partial(Temper, undo=0.6, revise=0.2, astray=0.1, wrong_key=0.05),
    partial(Temper, undo=0.1, revise=0.6, astray=0.2),
)
"""Of the people in it, from the beginning on."""
HELD_OUT = 5
KEPT = 3
CHECKPOINT_STEPS, CHECKPOINT_S = 4, 2.0
"""Between two checkpoints in the middle of a round: rounds are short here."""
OUTBOX = ("active_learner.services.desk", "Answering")
SELDOM = {
    ("active_learner.core.session", "LOOK_S"): 2.0,
    ("active_learner.core.membership", "QUIET_S"): 1.0,
    ("active_learner.services.broker", "QUIET_S"): 1.0,
}
"""Signs of life, in three of four runs. They are half of all that is said: who looks into a room finds PRESENCE that was lost,
and none is lost here; who is asked after a quarter of a second has mostly spoken after half of one."""
LONG_LEASE_S = 600.0
"""Where people may be away for hours: looks are rare then, and a lease that is shorter than the time between them always over."""
LOW_LIMITS = {
    ("active_learner.core.answering", "MAX_OPEN"): AHEAD,
    ("active_learner.core.answering", "HISTORY"): 1,
    ("active_learner.core.evaluation_triggers", "WAITING_LIMIT"): 0,
    ("active_learner.core.leasing", "MOST_SEATS"): 2,
    ("active_learner.core.scoring", "SCORING_LIMIT"): 1,
}
"""A labeler has place for as many questions as it wants to hold, as ever: what is leased to it and has no place, nobody gets."""


@dataclass(slots=True)
class Draft:
    """The size and the rules of one experiment, drawn from a seed."""

    stages: int
    sources: int
    labelers: int
    same_annotator: bool
    """Two labelers answer under one name."""
    config: Config
    habits: list[Habit]
    temper: Temper
    validated: bool
    queue_messages: int
    is_patient: bool
    """Questions wait for their labels as long as it takes: then whole nights cost little."""
    storm: bool
    """The weather is bad from the beginning to the end."""
    slow: bool
    """So are the disks and engines of all processes."""
    limits: dict[tuple[str, str], Any]
    """Modules' limits that are lower than they are: nobody gets to a thousand open questions here."""
    backups: bool
    """The store may be put back from one."""
    gossip: bool = False
    """The peer that behaves badly has a role that nobody knows, and with it the right to say most things."""


def draft(random: Random) -> Draft:
    stages, sources, labelers = random.choice((1, 2)), random.randint(1, 2), random.randint(1, 3)
    roles = tuple(f"stage{place}" for place in range(stages)) if stages > 1 else ("evaluator",)
    hasty = random.random() < HASTY
    trainer = _rules(random, hasty, roles)
    patient = trainer["label_timeout_s"] is None
    trainer.update(_ways(random, patient))
    config = Config.model_validate({"name": "sim", "seed": random.getrandbits(40), "trainer": trainer})
    all_end = random.random() < 0.2
    low = random.random() < 0.35
    most = random.choice((1, 2) if low else (1, MAX_UNSENT, MAX_UNSENT))
    habits = [_habit(random, ends=number > 0 or all_end) for number in range(sources)]
    return Draft(
        stages=stages,
        sources=sources,
        labelers=labelers,
        same_annotator=random.random() < 0.2,
        config=config,
        habits=habits,
        temper=random.choice(TEMPERS)(
            away_s=(6 * MINUTE_S, 60 * MINUTE_S) if patient else (0.5 * MINUTE_S, 2 * MINUTE_S)
        ),
        validated=random.random() < 0.6,
        queue_messages=random.choice((40, 10_000)),
        is_patient=patient,
        storm=random.random() < 0.2,
        slow=random.random() < (0.5 if hasty else 0.15),
        limits={
            **(LOW_LIMITS if low else {}),
            **(SELDOM if random.random() < 0.75 else {}),
            OUTBOX: partial(Answering, max_unsent=most),
        },
        backups=random.random() < 0.3,
    )


def _rules(random: Random, hasty: bool, roles: tuple[str, ...]) -> dict[str, Any]:
    """The trainer's section of the configuration."""
    pool = random.choice((2, 4) if hasty else (4, 8, 12))
    return {
        "pool_size": pool,
        "pool_capacity": random.choice((pool, 2 * pool)),
        "query_size": random.choice((1, 2) if hasty else (2, 3, 5)),
        "initial_labels": random.choice((0, 0, 3)),
        "epochs": random.choice((1, 2, 3)),
        "batch_size": random.choice((3, 5)),
        "pool_after_round": random.choice(("keep", "keep", "clear")),
        "label_timeout_s": random.choice((3.0, 8.0) if hasty else (None, None, 40.0)),
        "skip_cooldown_s": random.choice((1.0, 5.0) if hasty else (5.0, 30.0)),
        "stages": roles,
        "fused": random.random() < 0.7,
    }


def _ways(random: Random, patient: bool) -> dict[str, Any]:
    """When a round is made, and for how long a question is somebody's."""
    return {
        "round_when": random.choice(("batch", "batch", "labels", "time")),
        "queue_size": random.choice((2, 5)),
        "round_labels": random.choice((1, 3)),
        "round_s": random.choice((5.0, 20.0)),
        "lease_s": LONG_LEASE_S if patient else random.choice((5.0, 30.0)),
    }


def _habit(random: Random, ends: bool) -> Habit:
    """Mostly the first source has no end. Such a one rests long: what it proposes to a full pool in an idle hour proves
    nothing."""
    total = random.choice((None, 30, 60)) if ends else None
    return Habit(
        batch=random.choice((1, 4, 6)),
        total=total,
        wants_fitness=random.random() < 0.4,
        interval_s=random.choice((10.0, 60.0)) if total is None else random.choice((0.0, 0.2, 2.0)),
    )


class Experiment:
    """Builds the processes. `told` gets the annotator's process and each receipt that a person is shown."""

    def __init__(self, made: Draft, seed: int, network: Network) -> None:
        self.draft, self._seed, self._network = made, seed, network
        self.run = f"{seed & (1 << 128) - 1:032x}"
        self.told: Callable[[str, AnswerReceipt], None] = lambda name, receipt: None
        self.said: Callable[[str, str, Any], None] = lambda name, room, message: None
        self.walked_away: Callable[[str, float], None] = lambda name, seconds: None
        self.roles: tuple[str, ...] = made.config.trainer.stages
        self._refusals: dict[str, int] = {}
        """Of each process, how often it had ended for a wrong store when it was started last."""

    def builders(self) -> dict[str, Callable[[Process], Any]]:
        """By name, in the order of starting."""
        found: dict[str, Callable[[Process], Any]] = {"broker": self._broker, "trainer": self._trainer}
        found.update({role: self._stage(number) for number, role in enumerate(self.roles)})
        found.update({f"source{number}": self._source(number) for number in range(self.draft.sources)})
        found.update({f"labeler{number}": self._labeler(number) for number in range(self.draft.labelers)})
        return found

    def _peer(self, process: Process, role: str, exclusive: bool) -> Peer:
        return Peer(
            experiment="sim",
            role=role,
            name=process.name,
            exclusive=exclusive,
            address="simulated://broker",
            connect_timeout_s=30.0,
        )

    def _broker(self, process: Process) -> Broker:
        assert process.loop is not None
        defaults = BrokerDefaults(address="simulated://broker", queue_messages=self.draft.queue_messages)
        return Broker(defaults, SimulatedRouter(self._network, process.loop))

    def _trainer(self, process: Process) -> Trainer:
        assert process.loop is not None
        rows = np.stack([sample(9, number) for number in range(HELD_OUT)])
        parts = TrainerParts(
            config=self.draft.config,
            spec=SPEC,
            store=SimulatedStore(process.disk, self.run, process.loop),
            loss=CrossEntropy(),
            strategies={"": LeastConfidence(), "random": RandomChoice()},
            held_out=(rows, np.arange(HELD_OUT, dtype=np.int64) % SPEC.classes) if self.draft.validated else None,
            run_dir=DiskPath(process.disk),  # type: ignore[arg-type]
            goals=Goals(),
            write_report=lambda questions, labels: None,
            settle=lambda: None,
            accept_rollback=self.draft.backups and self._was_refused(process),
        )
        return Trainer(parts, self._peer(process, "trainer", True))

    def _was_refused(self, process: Process) -> bool:
        """The last start ended for a wrong store: who starts it again says that it is meant."""
        count = sum(kind == "WrongStore" for _, kind in process.ends.by_themselves)
        before, self._refusals[process.seed] = self._refusals.get(process.seed, 0), count
        return count > before

    def backend(self, number: int) -> HashBackend:
        last = number == len(self.roles) - 1
        return HashBackend(self.draft.config.seed, number, SPEC.classes if last else HIDDEN, last)

    def place(self, number: int) -> Place:
        roles, last = self.roles, len(self.roles) - 1
        return Place(
            roles[number],
            "traininput" if number == 0 else f"between{number}",
            "trainoutput" if number == last else f"between{number + 1}",
            "evolution",
            number == 0,
            number == last,
            before=TRAINER if number == 0 else roles[number - 1],
            behind=TRAINER if number == last else roles[number + 1],
        )

    def _stage(self, number: int) -> Callable[[Process], Evaluator]:
        def build(process: Process) -> Evaluator:
            folder = CheckpointFolder(DiskPath(process.disk), self.roles[number], KEPT)  # type: ignore[arg-type]
            rooms = EvaluatorRooms("evolution", "traininput", "control")
            peer = self._peer(process, self.roles[number], True)
            place, seed, rule = (
                self.place(number),
                self.draft.config.seed,
                CheckpointRule(CHECKPOINT_STEPS, CHECKPOINT_S),
            )
            return Evaluator(peer, self.backend(number), folder, place, rooms, seed, rule)

        return build

    def chatterbox(self, process: Process) -> Chatterbox:
        assert process.loop is not None
        roles = ("guest",) if self.draft.gossip else ("labeler", "source", "guest", "guest", "operator")
        role = process.loop.random.choice(roles)
        return Chatterbox(self._peer(process, role, False), process.loop.random)

    def operator(self, process: Process) -> Operator:
        assert process.loop is not None
        return Operator(self._peer(process, "operator", False), process.loop.random)

    def _source(self, number: int) -> Callable[[Process], CandidateSource]:
        def build(process: Process) -> CandidateSource:
            loop, habit = process.loop, self.draft.habits[number]
            assert loop is not None
            return CandidateSource(
                self._peer(process, "source", False),
                Proposer(number, habit, loop.time),
                SPEC,
                machine=Proposing(wants_fitness=habit.wants_fitness, interval_s=habit.interval_s),
                evaluators=(self.roles[-1],),
                clock=loop.time,
                new_id=lambda: loop.random.randbytes(8).hex(),
            )

        return build

    def _labeler(self, number: int) -> Callable[[Process], Labeler]:
        def build(process: Process) -> Labeler:
            loop, name = process.loop, process.name
            assert loop is not None
            annotator = "ann" if self.draft.same_annotator else f"ann{number}"
            person = Person(
                annotator,
                self.draft.temper,
                loop.random,
                lambda receipt: self.told(name, receipt),
                lambda seconds: self.walked_away(name, seconds),
            )
            peer = self._peer(process, "labeler", False)
            say = peer.send
            peer.send = lambda room, message: (self.said(name, room, message), say(room, message))[1]  # type: ignore[method-assign]
            new_id = lambda: loop.random.randbytes(16).hex()  # noqa: E731
            kept = DiskAnswers(process.disk)
            return Labeler(
                peer,
                person,
                clock=loop.time,
                wall=loop.wall,
                new_id=new_id,
                kept=kept,  # type: ignore[arg-type]
            )

        return build
