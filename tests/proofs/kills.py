"""kill -9 over all processes of a live run: what a labeler was told is kept is in the store, once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from active_learner.bench.outcome import Goal
from active_learner.faults.attacks import Attack, drawn
from active_learner.services.fire import Fire
from tests.proofs import under_fire
from tests.proofs.base import Proof, Say, Tally

ROLES = ("broker", "trainer", "evaluator", "labeler")
INSIDE_PER_ROLE = 4
"""Deaths inside of a step, message or commit, below which the proof has proved nothing."""

LABELS_A_KILL = 50
TWICE = (2, 2)


class Kills(Proof):
    """A chunk is a run of its own: two turns of each role, each a kill at a drawn time and two at points inside."""

    title: ClassVar[str] = "random kill -9 over all processes of a live run, answers listed outside of it"
    unit: ClassVar[str] = "kills"
    short: ClassVar[int] = 25
    long: ClassVar[int] = 1000
    chunk: ClassVar[int] = 25
    timeout_s: ClassVar[float] = 1200.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        while units > tally.counts["kills"]:
            self._one(min(units - tally.counts["kills"], self.chunk), seed + tally.counts["kills"], say, tally)
        return tally

    def _one(self, kills: int, seed: int, say: Say, tally: Tally) -> None:
        say(f"seed {seed}")
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            config = under_fire.small(Path(folder))
            fire = Fire(
                config, attacks(kills, seed), seed=seed, labels=LABELS_A_KILL * kills, patience=under_fire.PATIENCE
            )
            (burning,) = under_fire.burnt(fire, say=say)
            tally.count("kills", burning.account.deaths)
            under_fire.tally_account(tally, burning, f"seed {seed}")
            under_fire.tally_answers(tally, config, f"seed {seed}")

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        inside = {role: counts[f"{role} killed inside"] for role in ROLES}
        told = ", ".join(f"{role} {number}" for role, number in inside.items())
        enough = all(number >= INSIDE_PER_ROLE for number in inside.values())
        labels = units * LABELS_A_KILL
        return [
            Goal(f"{units:,} kills", f"{counts['kills']:,}", counts["kills"] >= units),
            Goal(f"at least {INSIDE_PER_ROLE} of each role inside a step, message or commit", told, enough),
            Goal(f"at least {labels:,} labels", f"{counts['labels']:,}", counts["labels"] >= labels),
            Goal("0 lost", f"{counts['lost']} of {counts['acknowledged']:,} acknowledged", not counts["lost"]),
            Goal("0 doubled", f"{counts['doubled']}", not counts["doubled"]),
        ]


def attacks(kills: int, seed: int) -> list[Attack]:
    """Every process has a turn, then all but the source a second one."""
    points = {role: under_fire.inside(role) for role in ROLES}
    first = drawn(seed, 13, under_fire.PROGRAMS, points, points_a_turn=TWICE)
    second = drawn(seed + 1, 12, ROLES, points, points_a_turn=TWICE)
    return [*first, *second][:kills]
