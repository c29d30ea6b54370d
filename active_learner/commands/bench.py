"""`bench`: measure, print a table and JSON. Knows the names of the benchmarks; each measures by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from active_learner.bench.outcome import Outcome

QUICK = ("start", "relay", "roundtrip", "step")
"""What `all` runs: under three minutes on two cores."""
NAMES = (*QUICK, "slow", "demo", "breeding", "listener", "recovery", "stopping", "waiting", "all")


PARTS = {"all": QUICK, "waiting": ("waiting", "waiting_page")}
"""What consists of several; any other is one module."""


@click.command("bench")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--seeds", type=click.IntRange(1, 1000), default=10, show_default=True, help="Of `demo`.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Repetitions, interleaved; more are steadier.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there.")
def command(name: str, seeds: int, rounds: int | None, json_file: Path | None) -> int:
    """Measure NAME and print a table, with the goals that were met and missed.

    start: time and memory of fresh processes. relay, roundtrip: our broker, the C zmq.proxy and swergio. step: the SGD
    step over the wire, in process, and by swergio. slow: what members that do not read cost the others. demo: labels to
    90 % on digits, asked by margin and at random. breeding: generations a second of the evolution, and of DEAP when it is
    installed. listener: what the simulated listener rates, and how well it is learned. recovery: from kill -9 to the next
    useful message, each process; --rounds: kills of each. waiting: what a labeler, and a person at the page in a real Chromium (extra
    browser), wait for while the trainer trains without pause, with a pool of 10,000. all: the first four. A missed goal does not change the exit code.
    """
    from active_learner.bench import facts

    outcomes = []
    begun = time.monotonic()
    for one in PARTS.get(name, (name,)):
        outcome = _demo(seeds) if one == "demo" else _measured(one, rounds)
        click.echo(f"{outcome.table()}\n")
        outcomes.append(outcome)
    click.echo(f"on {facts.told()}; {time.monotonic() - begun:.0f} s in all")
    if json_file is not None:
        _write(json_file, outcomes)
    return 0


def _measured(name: str, rounds: int | None) -> Outcome:
    bench: Callable[..., Outcome] = import_module(f"active_learner.bench.{name}").bench
    return bench() if rounds is None else bench(rounds)


def _demo(seeds: int) -> Outcome:
    from active_learner.bench import demo

    return demo.bench(seeds, say=lambda line: click.echo(line, err=True))


def _write(path: Path, outcomes: list[Outcome]) -> None:
    from active_learner.bench import facts

    content = {"machine": facts.facts(), "benchmarks": [outcome.as_json() for outcome in outcomes]}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    click.echo(f"figures: {path}")
