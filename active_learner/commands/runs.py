"""`runs`: the run folders of a folder. Knows what a run leaves behind; opens no store."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

_COLUMNS = ("name", "state", "rounds", "labels", "accuracy", "where")


@click.command("runs")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def command(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER (runs/ if not given): name, running or stopped, rounds, labels, last accuracy, where."""
    found = [_run(path) for path in _run_folders(folder)]
    if as_json:
        for run in found:
            click.echo(json.dumps(run))
        return
    if not found:
        click.echo(f"no runs in {folder}", err=True)
        return
    table = [_COLUMNS, *(tuple(_said(run[column]) for column in _COLUMNS) for run in found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _run_folders(folder: Path) -> Iterator[Path]:
    from active_learner.config.loading import RESOLVED

    for kept in sorted(folder.glob(f"*/{RESOLVED}")):
        yield kept.parent


def _run(folder: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    from active_learner.config import loading, running

    kept = YAML(typ="safe", pure=True).load((folder / loading.RESOLVED).read_text(encoding="utf-8"))
    holder = running.running(folder)
    lines = _lines(folder / "metrics.jsonl")
    last = lines[-1] if lines else {}
    return {
        "name": kept.get("name") if isinstance(kept, dict) else None,
        "state": f"running (process {holder.get('pid')})" if holder else "stopped",
        "rounds": len({line.get("round") for line in lines}) or None,
        "labels": last.get("labels"),
        "accuracy": last.get("accuracy"),
        "where": str(folder),
    }


def _lines(metrics: Path) -> list[dict[str, Any]]:
    """The whole lines: a run that writes right now may have begun another."""
    try:
        texts = metrics.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for text in texts:
        with contextlib.suppress(ValueError):
            found.append(json.loads(text))
    return [line for line in found if isinstance(line, dict)]


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
