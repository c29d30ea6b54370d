"""`up`: the whole loop on this machine. Knows the order of things; the launcher does them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.goals import check_goals, goal_options
from active_learner.commands.keys import make_own
from active_learner.commands.options import experiment, rollback_option

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.services.child import Program
    from active_learner.services.launcher import Launcher
    from active_learner.services.restarts import End
    from active_learner.services.screen import Screen


@click.command("up")
@experiment
@goal_options
@rollback_option
@click.option("--new", is_flag=True, help="Keep the old run aside and start another.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Prometheus metrics of each process on 127.0.0.1: the broker's at PORT, the trainer's at PORT + 1, and so on in the "
    "order of starting; 0: free ports. Each ready line tells its own.",
)
@click.option(
    "--open", "opens", is_flag=True, help="Open the labeling page in this machine's browser when it is there."
)
@click.pass_context
def command(
    context: click.Context,
    config: Config,
    rounds: int | None,
    labels: int | None,
    until_accuracy: float | None,
    new: bool,
    metrics_port: int | None,
    accept_rollback: bool,
    opens: bool,
) -> int:
    """Start broker, trainer, evaluator, source and labeler of CONFIG, and follow them.

    The same command again resumes the run: its labels, weights and pool. Ctrl-C ends all within 3 s, a second one at once.
    """
    check_goals(config, until_accuracy)
    serve = _given({"--rounds": rounds, "--labels": labels, "--until-accuracy": until_accuracy})
    serve += ["--accept-rollback"] if accept_rollback else []
    options = _log_options(context)
    return _up(config, serve, options, new, metrics_port, opens)


def _given(options: dict[str, int | float | None]) -> list[str]:
    return [text for name, value in options.items() if value is not None for text in (name, str(value))]


def _log_options(context: click.Context) -> list[str]:
    chosen = context.params
    return [
        *(["--log-format", "json"] if chosen.get("log_format") == "json" else []),
        *(["--verbose"] if chosen.get("verbose") else []),
    ]


def _up(config: Config, serve: list[str], options: list[str], new: bool, metrics: int | None, opens: bool) -> int:
    from active_learner.services import plan

    port, elsewhere = plan.page_port(config)
    config = config if port is None else _with_page_at(config, port)
    address, moved = plan.meeting_place(config)
    end, launcher = _attempt(_at(config, address), serve, options, new, [moved, elsewhere], metrics, opens)
    if end.code == 1 and not launcher.any_ready:
        # Another `up` may have taken the default port between our look and our broker's start.
        other, moved = plan.meeting_place(config)
        if other != address and moved:
            end, launcher = _attempt(_at(config, other), serve, options, False, [moved, elsewhere], metrics, opens)
    if end.text:
        click.echo(end.text, err=True)
    if end.code == 0 and launcher.result:
        click.echo(launcher.result)
    return end.code


def _attempt(
    config: Config, serve: list[str], options: list[str], new: bool, moved: list[str], metrics: int | None, opens: bool
) -> tuple[End, Launcher]:
    """One run from start to end, in its claimed run folder."""
    from active_learner.config import loading
    from active_learner.services import plan

    make_own(config)
    planned = plan.programs(config, loading.run_dir(config) / loading.RESOLVED, serve, options)
    if metrics is not None:
        planned = plan.with_metrics(planned, metrics)
    with _run_folder(config, new) as notes:
        notes += [note for note in moved if note]
        notes += [f"waits for the evaluator {role!r}, which is started by itself" for role in plan.elsewhere(config)]
        return asyncio.run(_run(config, planned, options, notes, opens))


def _at(config: Config, address: str) -> Config:
    """The same configuration with the broker there."""
    return config.model_copy(update={"broker": config.broker.model_copy(update={"address": address})})


def _with_page_at(config: Config, port: int) -> Config:
    return config.model_copy(update={"labeler": config.labeler.model_copy(update={"port": port})})


@contextlib.contextmanager
def _run_folder(config: Config, new: bool) -> Iterator[list[str]]:
    """The run folder is ours; gives what there is to say about it."""
    from active_learner.commands.run_folders import has_begun, keep_aside, must_start_anew, refuse_taken, why_anew
    from active_learner.config import loading, run_folder, running

    folder = loading.run_dir(config)
    notes = []
    if new and folder.exists():
        notes.append(f"the old run is kept in {keep_aside(folder, config.store.url)}")
    elif must_start_anew(config):
        notes.append(why_anew(config, keep_aside(folder)))
    folder.mkdir(parents=True, exist_ok=True)
    claim = running.Running.claim(folder, config.broker.address)
    try:
        refuse_taken(folder, config.store.url)
        yield [*notes, *run_folder.prepare(config, lambda: has_begun(config)).notes]
    finally:
        claim.release()


async def _run(
    config: Config, planned: list[Program], options: list[str], notes: list[str], opens: bool
) -> tuple[End, Launcher]:
    from active_learner.config import loading
    from active_learner.services import monitor
    from active_learner.services.hall import Hall
    from active_learner.services.launcher import Launcher

    with contextlib.ExitStack() as stack:
        screen = _screen(loading.run_dir(config), planned, "json" in options, stack)
        for note in notes:
            screen.note(note)
        launcher = Launcher(planned, Hall(screen, opens).line, screen.note)
        following = asyncio.create_task(monitor.follow(config, config.broker.address, screen.report))
        following.add_done_callback(lambda task: _tell_fault(task, screen))
        try:
            end = await launcher.run()
        finally:
            following.cancel()
            await asyncio.wait({following})
        return end, launcher


def _tell_fault(following: asyncio.Task[None], screen: Screen) -> None:
    """A run goes on without its progress line, but not silently."""
    error = None if following.cancelled() else following.exception()
    if error is not None:
        screen.note(f"the progress cannot be followed any more: {type(error).__name__}: {error}")


def _screen(folder: Path, planned: list[Program], as_json: bool, stack: contextlib.ExitStack) -> Screen:
    """A person who labels in the terminal has it to himself: all else goes to up.log."""
    from active_learner import logs
    from active_learner.services.screen import JsonScreen, LiveScreen, PlainScreen

    stream = sys.stderr
    if any(program.terminal for program in planned):
        stream = stack.enter_context((folder / "up.log").open("a", encoding="utf-8"))
        click.echo(f"logs: {stream.name}", err=True)
    screen: Screen
    if as_json:
        screen = JsonScreen(stream)
    elif stream is sys.stderr and logs.coloured():
        screen = LiveScreen(stream)
    else:
        screen = PlainScreen(stream)
    stack.callback(screen.close)
    return screen
