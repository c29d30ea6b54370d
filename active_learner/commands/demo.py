"""`demo`: digits once asked by uncertainty and once at random. Knows the two arms; the service does the work."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from active_learner.results.metrics import RoundMetrics

RUNS = Path("runs")
GOAL = 0.9


@click.command("demo")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of everything that is drawn.")
@click.option(
    "--labels", type=click.IntRange(min=25), default=200, show_default=True, help="Each arm ends with so many."
)
def command(seed: int, labels: int) -> None:
    """Watch a network learn real handwritten digits from labels that it asked for, and again from random ones.

    Both arms start from the same network and the same first labels. Ends by itself after about a minute.
    """
    from active_learner.results.comparison import table

    click.echo(f"Handwritten digits, seed {seed}: each arm gets {labels} labels from a simulated person.")
    asked = _arm("uncertainty", seed, labels, ())
    control = _arm("random", seed, labels, ("trainer.strategy=random",))
    click.echo()
    for line in table(asked, control, GOAL):
        click.echo(line)
    click.echo(f"report: {_report()}")


def _arm(name: str, seed: int, labels: int, sets: tuple[str, ...]) -> list[RoundMetrics]:
    """Run one arm and say each round as it ends."""
    from active_learner.bench.arms import Arm, run_arm

    click.echo(f"\nasking {'at random' if name == 'random' else 'what the network is least sure of'}:")
    begun = time.monotonic()

    def say(one: RoundMetrics) -> None:
        accuracy = "" if one.accuracy is None else f"{one.accuracy * 100:5.1f} % {'#' * round(one.accuracy * 40)}"
        click.echo(f"  {time.monotonic() - begun:5.1f} s  round {one.round:>3}  {one.labels:>4} labels  {accuracy}")

    return run_arm(Arm(RUNS / f"demo-{name}", seed, labels, sets), say)


def _report() -> Path:
    """Of the first arm, with the second as its control arm."""
    from active_learner.commands.report import write
    from active_learner.results.metrics import CONTROL_FILE, METRICS_FILE

    folder = RUNS / "demo-uncertainty"
    shutil.copyfile(RUNS / "demo-random" / METRICS_FILE, folder / CONTROL_FILE)
    return write(folder, goal=GOAL)
