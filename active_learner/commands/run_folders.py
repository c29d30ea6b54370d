"""Which run a command goes on with, or whether it starts another. Knows run folders and who writes to their stores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from active_learner.config.schema import Config

CHECKPOINTS = "checkpoints"
"""Folder of the evaluators' weights in the run folder."""

MEMORY = "memory"
"""Beside the checkpoints, memory.lock tells that a trainer runs whose labels are in no file."""


def keep_aside(folder: Path, url: str | None = None) -> Path:
    """Rename a run folder to the next free number. `url`: the store's, when the folder does not tell it.

    Raises: LeaseHeld when an `up` runs there, StoreLocked when a trainer or labeler that was started by hand
    does; with all as it was.
    """
    from active_learner.config import run_folder
    from active_learner.durable.lock import WriterLock

    with contextlib.ExitStack() as stack:
        for store in sorted(_stores(folder, url)):
            if store.with_name(f"{store.name}.lock").exists():  # else nobody has opened it yet
                stack.callback(WriterLock(store).release)
        return run_folder.move_aside(folder)


def refuse_taken(folder: Path, url: str) -> None:
    """A trainer or labeler that was started by hand may have this run. Raises: StoreLocked, with all as it was."""
    from active_learner.durable.lock import WriterLock

    for store in sorted(_stores(folder, url)):
        if store.with_name(f"{store.name}.lock").exists():
            WriterLock(store).release()


def has_begun(config: Config) -> bool:
    """There are labels, questions, plans or weights in the run folder, or what cannot be read."""
    from active_learner.config.loading import run_dir
    from active_learner.config.sample import resolve
    from active_learner.errors import ActiveLearnerError, StoreError
    from active_learner.results.metrics import METRICS_FILE
    from active_learner.stores import open_store

    folder = run_dir(config)
    if (folder / METRICS_FILE).exists() or any((folder / CHECKPOINTS).glob("*")):
        return True
    store = open_store(config.store.url, folder)
    try:
        store.open(config.name, resolve(config), read_only=True)
        return bool(store.events() or store.questions() or store.plans())
    except StoreError as error:
        return type(error) is not StoreError  # no store yet; one of somebody else's is a subclass
    except ActiveLearnerError:
        return True
    finally:
        store.close()


def must_start_anew(config: Config) -> bool:
    """The folder has a run that no process can go on with: its labels were in the memory of one that has ended."""
    from active_learner.config import loading, run_folder, running
    from active_learner.results.metrics import METRICS_FILE

    folder = loading.run_dir(config)
    kept = run_folder.kept_store(folder) if config.store.url.startswith("memory:") else None
    begun = (folder / CHECKPOINTS).is_dir() or (folder / METRICS_FILE).exists()
    return begun and kept is not None and kept.startswith("memory:") and running.running(folder) is None


def why_anew(config: Config, aside: Path) -> str:
    """For the person."""
    return (
        f"{config.store.url} ended with the process that had it, so this is a new run; the old one is kept in {aside}"
    )


@contextlib.contextmanager
def memory_held(config: Config) -> Iterator[None]:
    """While a trainer runs with a store in memory nobody moves its folder away. Raises: StoreLocked."""
    from active_learner.config.loading import run_dir
    from active_learner.durable.lock import WriterLock

    with contextlib.ExitStack() as stack:
        if config.store.url.startswith("memory:"):
            stack.callback(WriterLock(run_dir(config) / MEMORY).release)
        yield


def _stores(folder: Path, url: str | None) -> set[Path]:
    """Whose writers would lose the folder."""
    from active_learner.config import run_folder
    from active_learner.config.loading import OUTBOX
    from active_learner.stores import file_of

    urls = {url, run_folder.kept_store(folder)} - {None}
    files = {file_of(one, folder) for one in urls if one is not None}
    return {folder / MEMORY, *(file for file in files if file is not None), *(folder / OUTBOX).glob("*.jsonl")}
