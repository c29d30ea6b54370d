"""Every named crash point: the process dies there, is started again, and the run ends as if it had not."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

from active_learner.bench.outcome import Goal
from active_learner.config.loading import outbox_of
from active_learner.config.schema import Config
from active_learner.crash_points import POINTS
from active_learner.durable.kept_answers import FULL, KeptAnswers
from active_learner.faults.attacks import AT_START, KILL, Attack
from active_learner.services.fire import Burning, Fire
from protocol.messages import Action, Answer
from tests.proofs import under_fire
from tests.proofs.base import Proof, Say, Tally

LEAST = 30
HITS = 10

ANY = "labeler"
"""Who dies at the points that all processes have: the quickest to come back."""

RESTORED, JOURNAL = "evaluator.restored", "trainer.journal_durable"
COMPACTION = "labeler.outbox_before_compaction"
"""Comes once in thousands of answers: the outbox of its run has most of these before."""

CHAIN = (
    "trainer.stages=[front, back]",
    "trainer.epochs=20",
    "evaluator.stages={front: {network: 'tests.proofs.torch_parts:front', output_room: middle}, "
    "back: {network: 'tests.proofs.torch_parts:back', input_room: middle}}",
)
"""A stage is restored when the other one has died and stands at an older step."""

QUERY = 40
"""Answers a round."""

CSV = ("store.url=csv:labels.csv",)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the runs that go on side by side, and the deaths in it."""

    name: str
    sets: tuple[str, ...]
    attacks: tuple[Attack, ...]
    points: tuple[str, ...]
    """Which of the deaths count here."""


class CrashPoints(Proof):
    """A unit is a death at one point; a chunk visits all of them at their n-th hit, in four runs side by side: the trainer's,
    all others', and two for points that only a chain of evaluators and a CSV store have."""

    title: ClassVar[str] = "a death at each named crash point"
    unit: ClassVar[str] = "deaths"
    short: ClassVar[int] = len(POINTS)
    long: ClassVar[int] = HITS * len(POINTS)
    chunk: ClassVar[int] = len(POINTS)
    timeout_s: ClassVar[float] = 1500.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        hit = (seed - 1) // self.chunk % HITS + 1
        parts = parts_of(hit, seed)
        with tempfile.TemporaryDirectory(prefix="points-") as folder:
            configs = [under_fire.small(Path(folder) / part.name, *part.sets) for part in parts]
            _fill_outbox(configs[-1])
            fires = [
                Fire(config, part.attacks, seed=seed, rounds=2, patience=under_fire.PATIENCE)
                for config, part in zip(configs, parts, strict=True)
            ]
            for part, config, burning in zip(parts, configs, under_fire.burnt(*fires, say=say), strict=True):
                _count(tally, part, config, burning, f"seed {seed}, hit {hit}, {part.name}")
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        equal, runs = counts["equal"], counts["compared"]
        return [
            Goal(f"at least {LEAST} points", f"{len(POINTS)}", len(POINTS) >= LEAST),
            Goal(f"{units} deaths at them", f"{counts['deaths']}", counts["deaths"] >= units),
            Goal("0 lost", f"{counts['lost']} of {counts['acknowledged']:,} acknowledged", not counts["lost"]),
            Goal("SHA-256 equal to plain PyTorch after each run", f"{equal} of {runs}", 0 < runs == equal),
        ]


def _count(tally: Tally, part: Part, config: Config, burning: Burning, what: str) -> None:
    under_fire.tally_account(tally, burning, what)
    under_fire.tally_answers(tally, config, what)
    visited = {blow.attack.how for blow in burning.account.blows if blow.attack.at_point and blow.reached}
    tally.count("deaths", len(visited & set(part.points)))
    for point in set(part.points) - visited:
        tally.fail(f"{what}: {point} was never reached")
    if part.sets:  # the reference reads SQLite and knows one stage
        return
    equal = under_fire.plain_digest(config) == under_fire.last_digest(config)
    tally.count("compared")
    tally.count("equal", equal)
    if not equal:
        tally.fail(f"{what}: the weights are others than those of plain PyTorch")


def parts_of(hit: int, seed: int) -> list[Part]:
    """All points at that hit, each in one of the runs."""
    random = Random(f"{seed}/points")
    elsewhere = {RESTORED, JOURNAL, COMPACTION}
    usual = [point for point in POINTS if point not in elsewhere]
    trainers = [point for point in usual if _who(point) == "trainer"]
    others = [point for point in usual if _who(point) != "trainer"]
    # the back stage dies in the middle of a round and comes back at its beginning: the front one must go back too
    chain = (
        Attack("front", KILL, 0.5),
        Attack("back", KILL, 0.5),
        Attack("back", "evaluator.before_apply", hit=7),
        Attack("front", RESTORED),
    )
    rare = (*_turns([COMPACTION], hit, random), *_turns([JOURNAL], hit, random))
    return [
        Part("trainer", (), _turns(trainers, hit, random), tuple(trainers)),
        Part("others", (), _turns(others, hit, random), tuple(others)),
        Part("chain", CHAIN, chain, (RESTORED,)),
        Part("csv", CSV, rare, (JOURNAL, COMPACTION)),
    ]


def _turns(points: Sequence[str], hit: int, random: Random) -> tuple[Attack, ...]:
    """Of each process one kill, so that the next life is armed, then all of its points in a drawn order."""
    found: list[Attack] = []
    for program in under_fire.PROGRAMS:
        own = [point for point in points if _who(point) == program]
        if own:
            found.append(Attack(program, KILL, after_s=0.5))
            found += [Attack(program, one, hit=_hit(one, hit)) for one in random.sample(own, len(own))]
    return tuple(found)


def _who(point: str) -> str:
    role = point.partition(".")[0]
    return ANY if role == "any" else role


def _hit(point: str, hit: int) -> int:
    return 1 if point.partition(".")[2] in AT_START or point == COMPACTION else hit


def _fill_outbox(config: Config) -> None:
    """As many settled answers as the file takes, but for those that are given before the labeler is armed."""
    kept = KeptAnswers(outbox_of(config, "simulated"))
    for number in range(FULL - 10 * QUERY):
        kept.keep(Answer(f"old-{number}", f"question-{number}", "simulated", 0, Action.ANSWER, 1, 1.0))
        kept.settle(f"old-{number}", "stored")
    kept.close()
