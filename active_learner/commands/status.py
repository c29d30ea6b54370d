"""`status`: asks a running experiment how it is. Knows how to print it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import experiment

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from protocol.messages import StatusReport


@click.command("status")
@experiment
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C: a line for every change.")
def command(config: Config, as_json: bool, watch: bool) -> None:
    """Phase, round, epoch, batch, step, pool, labels, model version, peers and their age; and whatever was lost, refused,
    shed or said twice, in the trainer, the broker and the other processes."""
    from active_learner.config import loading
    from active_learner.services import monitor, pinging

    address = loading.address_of(config)
    answers = asyncio.run(monitor.ask(config, address))
    broker = asyncio.run(pinging.broker_counters(address, loading.keys_of(config, monitor.ROLE)))
    _show(answers.report, {"broker": broker, **answers.counted}, as_json)
    if watch:
        follow = monitor.follow(config, address, lambda report: _show_change(report, as_json), connect_timeout_s=5.0)
        try:
            asyncio.run(follow)
        except KeyboardInterrupt:
            return


def _show(report: StatusReport, others: dict[str, dict[str, int] | None], as_json: bool) -> None:
    from active_learner.services import progress

    if as_json:
        click.echo(json.dumps({**progress.as_json(report), "others": others}))
        return
    rows = [
        *progress.rows(report),
        *(row for name, counted in others.items() for row in progress.counted(name, counted)),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def _show_change(report: StatusReport, as_json: bool) -> None:
    from active_learner.services import progress

    click.echo(json.dumps(progress.as_json(report)) if as_json else progress.line(report))
