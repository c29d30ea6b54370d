"""The checkpoints of one role in a run folder: which there are, which is newest, which may go. Knows names; not contents."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from active_learner.backends.base import Backend


class CheckpointFolder:
    """checkpoints/<role>-<step, 10 digits>.safetensors; the newest `kept` stay."""

    def __init__(self, folder: Path, role: str, kept: int) -> None:
        self._folder, self._role, self._kept = folder, role, kept
        self._name = re.compile(rf"{re.escape(role)}-(\d{{10}})\.safetensors")
        self._damaged: set[int] = set()

    def path(self, step: int) -> Path:
        return self._folder / f"{self._role}-{step:010d}.safetensors"

    def steps(self) -> tuple[int, ...]:
        """Of the files that are not known to be damaged, rising."""
        names = (entry.name for entry in self._folder.iterdir()) if self._folder.is_dir() else ()
        found = (match for name in names if (match := self._name.fullmatch(name)))
        return tuple(sorted({int(match[1]) for match in found} - self._damaged))

    def newest(self) -> tuple[int, float] | None:
        """Step of the newest that is good, and when it was written (seconds since 1970); None: there is none."""
        for step in reversed(self.steps()):
            with suppress(OSError):  # it may go between the look and the question
                return step, self.path(step).stat().st_mtime
        return None

    def open_newest(self, backend: Backend, report: Callable[[str], None]) -> None:
        """Load the newest that is good, if there is one. Damaged ones are told to `report` and left where they are."""
        for leftover in self._folder.glob(f"{self._role}-*.tmp"):
            leftover.unlink()  # a write that a kill cut off
        for step in reversed(self.steps()):
            try:
                backend.load(self.path(step), "")
            except ValueError as error:
                self._damaged.add(step)
                report(f"{error}; an older one is taken")
            else:
                return

    def save(self, backend: Backend, run: str, plan_round: int) -> tuple[int, ...]:
        """Write the present state as promoted, let the oldest go. Raises: OSError, ValueError (nothing changed)."""
        backend.save(self.path(backend.applied), run, plan_round)
        self._damaged.discard(backend.applied)
        for step in self.steps()[: -self._kept]:
            self.path(step).unlink(missing_ok=True)
        return self.steps()

    def restore(self, backend: Backend, run: str, step: int, seed: int) -> tuple[int, ...]:
        """Go back to `step`. Later checkpoints are renamed to *.abandoned: after a crash the newest must not be one of a
        future that the trainer has given up. Raises: ValueError (nothing changed, the file counts as damaged)."""
        if step in self.steps():
            try:
                backend.load(self.path(step), run)
            except ValueError:
                self._damaged.add(step)
                raise
        elif step == 0:
            backend.reset(seed)
        else:
            raise ValueError(f"there is no checkpoint of step {step}")
        for later in self.steps():
            if later > step:
                self.path(later).replace(self.path(later).with_suffix(".abandoned"))
        return self.steps()
