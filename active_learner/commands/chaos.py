"""`chaos`: an experiment of the user's own under fire, and a verdict. Draws the attacks; services/fire.py makes them."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from active_learner.commands.keys import make_own
from active_learner.commands.options import Number, experiment

if TYPE_CHECKING:
    from active_learner.bench.outcome import Goal
    from active_learner.config.schema import Config
    from active_learner.faults.attacks import Attack
    from active_learner.services.fire import Burning, Fire

SHARE = Number(0, 1)
LOG_FILE = "chaos.log"


def _list_points(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    from active_learner.crash_points import POINTS

    if wanted and not context.resilient_parsing:
        width = max(map(len, POINTS))
        click.echo("\n".join(f"{name:<{width}}  {words}" for name, words in POINTS.items()))
        context.exit()


@click.command("chaos")
@click.option(
    "--list-points",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_points,
    help="List the named crash points, and end.",
)
@experiment
@click.option("--kills", type=click.IntRange(0), default=20, show_default=True, help="Attacks on processes in all.")
@click.option("--stop-probability", type=SHARE, default=0.0, help="Share of the attacks that only stop it (SIGSTOP).")
@click.option("--points/--no-points", default=True, help="Kill at crash points too, not only at drawn times.")
@click.option("--drop", type=SHARE, default=0.0, help="Share of the messages that is lost, on every link, both ways.")
@click.option("--duplicate", type=SHARE, default=0.0, help="Share of the messages that comes twice.")
@click.option("--reorder", type=click.IntRange(0, 1000), default=0, help="A message may be overtaken by so many.")
@click.option("--delay", type=Number(0, 60), default=0.0, help="Seconds that a message is held at most.")
@click.option("--cut-every", type=Number(0), default=0.0, help="Seconds between two cuts of all connections.")
@click.option(
    "--half-open-every",
    type=Number(0),
    default=0.0,
    help="Seconds between two times that nothing passes for 4 s and nobody is told, as when a cable is cut.",
)
@click.option("--corrupt", type=SHARE, default=0.0, help="Share of 16 KiB pieces with one bit flipped on the way.")
@click.option("--seed", type=click.IntRange(0), help="Of everything that is drawn; none: a new one, which is told.")
@click.option("--rounds", type=click.IntRange(1), default=1, help="Go on until the run has so many rounds.")
@click.option("--labels", type=click.IntRange(0), default=0, help="Go on until it has trained on so many labels.")
@click.option("--minutes", type=Number(0), default=60.0, show_default=True, help="Begin no attack later.")
def command(config: Config, **options: Any) -> int:
    """Run CONFIG under fire: kill, stop and cut off its processes, and see whether anything is lost.

    It is a run of its own in NAME-chaos beside your run folders; your runs are not touched. Every process is killed in
    turn, at drawn times and at named crash points, and started again. When all attacks are made and one more round is
    finished, everything is stopped, and the verdict is told: acknowledged answers lost or doubled (the labelers write down
    what they were told, outside of the store), steps missing, weights other than those that the run's
    plans lead to (`replay`), and how long each process took to work again. Exit code 0: nothing was lost; 1: something was.

    \b
    active-learner chaos digits --kills 50
    active-learner chaos digits --drop 0.2 --duplicate 0.2 --reorder 16 --set trainer.resend_s=0.1
    active-learner chaos my.yaml --kills 30 --stop-probability 0.3 --cut-every 5 --seed 7
    """
    from active_learner.config import loading, run_folder

    seed = secrets.randbelow(2**31) if options["seed"] is None else options["seed"]
    chosen = _of_its_own(config)
    folder = loading.run_dir(chosen)
    fire = _fire(chosen, seed, options)
    click.echo(f"seed {seed}; {len(fire.attacks)} attacks on the run in {folder}, its lines go to {folder / LOG_FILE}")
    run_folder.prepare(chosen)
    make_own(chosen, observed=True)
    burning = asyncio.run(_burn(fire, folder / LOG_FILE))
    found = verdict(chosen, burning, len(fire.attacks))
    click.echo("\n".join([*(goal.told() for goal in found), f"seed {seed}"]))
    return int(not all(goal.met for goal in found))


async def _burn(fire: Fire, log_file: Path) -> Burning:
    from active_learner.services.fire import Burning

    with log_file.open("a", encoding="utf-8") as log:
        burning = Burning(fire, lambda name, line: print(f"{name} | {line}", file=log, flush=True), click.echo)
        await burning.run()
    return burning


def _of_its_own(config: Config) -> Config:
    """The same experiment in another run folder and at a broker of its own. Raises: ConfigError for what cannot be killed."""
    from active_learner.commands.run_folders import keep_aside
    from active_learner.config import loading
    from active_learner.errors import ConfigError
    from active_learner.services.plan import free_address

    problems = []
    if config.store.url.startswith("memory:"):
        problems.append("store.url: labels in memory end with the trainer, which chaos kills; use sqlite:///labels.db")
    if config.labeler.kind != "simulated":
        problems.append(
            f"labeler.kind: {config.labeler.kind} answers nothing by itself; chaos needs a labeler without a person: "
            "--set 'labeler={kind: simulated}', or digits and melody-simulated, which have one"
        )
    if config.source.kind == "jsonl" and config.source.path == "-":
        problems.append("source.path: lines from standard input cannot be had again by a source that was killed")
    if problems:
        raise ConfigError(problems)
    usual = loading.run_dir(config)
    folder = usual.with_name(f"{usual.name}-chaos")
    if folder.exists():
        click.echo(f"the chaos of before is kept in {keep_aside(folder)}")
    broker = config.broker.model_copy(update={"address": free_address()})
    return config.model_copy(update={"run_dir": str(folder), "broker": broker})


def _fire(config: Config, seed: int, options: dict[str, Any]) -> Fire:
    from active_learner.faults.rules import FaultRules
    from active_learner.services.fire import Fire

    rules = FaultRules(seed, options["drop"], options["duplicate"], options["reorder"], options["delay"])
    return Fire(
        config,
        attacks=_attacks(config, seed, options),
        faults=rules,
        cut_every_s=options["cut_every"],
        half_open_every_s=options["half_open_every"],
        corrupt=options["corrupt"],
        seed=seed,
        rounds=options["rounds"],
        labels=options["labels"],
        minutes=options["minutes"],
    )


def _attacks(config: Config, seed: int, options: dict[str, Any]) -> list[Attack]:
    from active_learner.faults import attacks
    from active_learner.services.fire import points_of, programs_of

    names = programs_of(config)
    points = points_of(config) if options["points"] else {}
    return attacks.drawn(seed, options["kills"], names, points, options["stop_probability"])


def verdict(config: Config, burning: Burning, attacked: int) -> list[Goal]:
    """All that is promised, met or missed."""
    from active_learner.bench.outcome import Goal
    from active_learner.commands import verdict as ask
    from active_learner.config import loading
    from active_learner.faults.history import History
    from active_learner.services.fire import HISTORY_FILE

    folder = loading.run_dir(config)
    kept, plans = ask.kept_of(config, folder)
    history = History()
    if (folder / HISTORY_FILE).exists():
        history.read((folder / HISTORY_FILE).read_text(encoding="utf-8"))
    return [
        Goal("the run goes on to its end", burning.stalled or "it did", not burning.stalled),
        ask.answers(history, kept),
        ask.steps(plans),
        ask.replayed(folder),
        *ask.attacks(burning.account, attacked),
    ]
