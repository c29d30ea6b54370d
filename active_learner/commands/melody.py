"""`melody`: the best rated melodies of a run as files to be heard. Knows runs and file names; notes and sound are elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from active_learner.commands.report import run_folder
from active_learner.errors import ActiveLearnerError, BadSample

if TYPE_CHECKING:
    from active_learner.config.schema import Config
    from active_learner.core.records import Label, SampleSpec


@click.command("melody")
@click.argument("run", metavar="RUN")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Another folder than RUN/melodies.")
@click.option("--best", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="So many melodies.")
def command(run: str, out: Path | None, best: int) -> None:
    """Write the best rated melodies of RUN as MIDI and WAV files: a run folder, or the name of one in runs/. It may be running.

    The highest rating comes first, of equal ones the newest.
    """
    folder = run_folder(run)
    labels = _rated(folder)
    chosen = sorted(labels, key=lambda label: (-label.value, -label.sequence))[:best]
    target = folder / "melodies" if out is None else out
    try:
        target.mkdir(parents=True, exist_ok=True)
        for label in chosen:
            _write(label, target)
    except OSError as error:
        raise ActiveLearnerError(f"{error.filename or target}: cannot be written: {error.strerror}") from None
    click.echo(f"{len(chosen)} of {len(labels)} rated melodies in {target}")


def _rated(folder: Path) -> list[Label]:
    """The current labels of a run of melodies, at least one. Raises: ActiveLearnerError."""
    from active_learner.config import loading, sample
    from active_learner.melody.genome import BITS

    resolved = folder / loading.RESOLVED
    if not resolved.is_file():
        raise ActiveLearnerError(
            f"{folder}: no run has begun here: it has no {loading.RESOLVED}, which `active-learner up` writes"
        )
    config = loading.load(str(resolved), environment={})
    spec = sample.resolve(config)
    if spec.shape != (BITS,):
        raise ActiveLearnerError(f"{folder}: its samples have shape {spec.shape}; melodies are genomes of {BITS} bits")
    labels = _stored(config, folder, spec)
    if not labels:
        raise ActiveLearnerError(f"{folder}: no melody has a rating yet")
    return labels


def _stored(config: Config, folder: Path, spec: SampleSpec) -> list[Label]:
    from active_learner.stores import file_of, open_store

    file = file_of(config.store.url, folder)
    if file is None or not file.exists():
        return []
    store = open_store(config.store.url, folder)
    store.open(config.name, spec, read_only=True)
    try:
        return store.labels()
    finally:
        store.close()


def _write(label: Label, folder: Path) -> None:
    """Both files, named by rating and content, and the notes on stdout. Raises: ActiveLearnerError, OSError."""
    from active_learner.melody.genome import to_text
    from active_learner.melody.midi import write_midi
    from active_learner.melody.wav import write_wav

    path = folder / f"rating-{label.value}-{label.key[:8]}"
    try:
        notes = to_text(label.features)
    except BadSample as error:
        raise ActiveLearnerError(f"not a run of melodies: {error}") from None
    write_midi(label.features, path.with_suffix(".mid"))
    write_wav(label.features, path.with_suffix(".wav"))
    click.echo(f"{path}.mid .wav: rated {label.value} by {label.annotator}\n{notes}\n")
