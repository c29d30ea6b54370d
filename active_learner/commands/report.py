"""`report`: write a run's report.html. Knows where runs are and which store holds the labels; the page is in results/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.options import Number
from active_learner.errors import ActiveLearnerError

if TYPE_CHECKING:
    from active_learner.core.records import AskedQuestion, Label


@click.command("report")
@click.argument("run", metavar="RUN")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Another file than RUN/report.html.")
@click.option("--goal", type=Number(0, 1), default=0.9, show_default=True, help="Where two arms are compared.")
@click.option("--curve", type=click.Path(dir_okay=False, path_type=Path), help="Also the learning curve, as SVG.")
def command(run: str, out: Path | None, goal: float, curve: Path | None) -> None:
    """Write the report of RUN: a run folder, or the name of one in runs/. It may be running."""
    folder = run_folder(run)
    click.echo(f"report: {write(folder, out, goal)}")
    if curve is not None:
        click.echo(f"curve: {write_svg(folder, curve, goal)}")


def run_folder(run: str) -> Path:
    """The folder itself, or runs/RUN. Raises: ActiveLearnerError."""
    for folder in (Path(run), Path("runs") / run):
        if folder.is_dir():
            return folder
    raise ActiveLearnerError(
        f"{run}: no run folder here or in {Path('runs').absolute()}; `active-learner runs` lists them"
    )


def write(folder: Path, out: Path | None = None, goal: float = 0.9) -> Path:
    """The report of a run folder, with what its store says. Raises: ActiveLearnerError."""
    from active_learner.results.report import write_report

    questions, labels = asked_and_answered(folder)
    try:
        return write_report(folder, questions, labels, out, goal)
    except OSError as error:
        raise ActiveLearnerError(f"{error.filename}: cannot be written: {error.strerror}") from None


def write_svg(folder: Path, out: Path, goal: float) -> Path:
    """The learning curve of a run folder. Raises: ActiveLearnerError."""
    from active_learner.results.curve import write_curve

    try:
        return write_curve(folder, out, goal)
    except OSError as error:
        raise ActiveLearnerError(f"{error.filename}: cannot be written: {error.strerror}") from None


def asked_and_answered(folder: Path) -> tuple[list[AskedQuestion], list[Label]]:
    """Questions in the order of asking and current labels; none where there is no store yet.

    Raises: ActiveLearnerError when there is one that cannot be read.
    """
    from active_learner.config import loading, sample
    from active_learner.stores import file_of, open_store

    resolved = folder / loading.RESOLVED
    if not resolved.is_file():
        return [], []
    config = loading.load(str(resolved))
    file = file_of(config.store.url, folder)
    if file is None or not file.exists():
        return [], []
    store = open_store(config.store.url, folder)
    store.open(config.name, sample.resolve(config), read_only=True)
    try:
        return store.asked(), store.labels()
    finally:
        store.close()
