"""Looking after stores that are in files, running or not: the promise of verify, backup and upgrade. Knows no variant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from active_learner.core.records import SampleSpec
from active_learner.stores.findings import Findings


class Care(ABC):
    """Of the store in the file `path`; made with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def verify(self, experiment: str, spec: SampleSpec, *, marked: bool = True) -> Findings:
        """Read all of it, beside whoever writes; nothing is changed. `marked` False: a copy, which has no watermark.

        Raises: WrongStore when it is another experiment's or of another schema; StoreError when it cannot be read.
        """

    @abstractmethod
    def backup(self, experiment: str, spec: SampleSpec, target: Path) -> Findings:
        """A consistent and durable copy, as of one moment, while a trainer may be writing; returns what `verify` finds in the
        copy. `target` is not there yet, and never is with anything damaged in it. Raises: StoreError; WrongStore as `verify`, and
        when the store is damaged."""

    @abstractmethod
    def upgrade(self, experiment: str, spec: SampleSpec) -> Path | None:
        """Bring it to the schema of this version, all or nothing, after a copy beside it. Returns the copy; None: it is up
        to date. Raises: StoreLocked, WrongStore, StoreError; with all as it was."""


def free_name(path: Path, version: str) -> Path:
    """labels.db.schema-1, or with a number behind it."""
    copy, number = path.with_name(f"{path.name}.schema-{version}"), 1
    while copy.exists():
        copy, number = path.with_name(f"{path.name}.schema-{version}.{number}"), number + 1
    return copy
