"""The checkpoints of one role in a run folder: which there are, which is newest, which may go. Knows names; not contents.

Two threads come here, the engine's and that which writes while training goes on: one at a time gets in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from active_learner.backends.base import Backend, EngineState
from active_learner.durable.files import sync_folder


class CheckpointFolder:
    """checkpoints/<role>-<step, 10 digits>.safetensors; the newest `kept` stay, and that of the weights that score."""

    def __init__(self, folder: Path, role: str, kept: int) -> None:
        self._folder, self._role, self._kept = folder, role, kept
        self._name = re.compile(rf"{re.escape(role)}-(\d{{10}})\.safetensors")
        self._damaged: set[int] = set()
        self._lock = Lock()
        self.era = 0
        """Counts promotions and restorations: a state that was captured before one must not be written after it."""

    def path(self, step: int) -> Path:
        return self._folder / f"{self._role}-{step:010d}.safetensors"

    def steps(self) -> tuple[int, ...]:
        """Of the files that are not known to be damaged, rising."""
        return tuple(sorted(self._found() - self._damaged))

    def _found(self) -> set[int]:
        names = (entry.name for entry in self._folder.iterdir()) if self._folder.is_dir() else ()
        return {int(match[1]) for name in names if (match := self._name.fullmatch(name))}

    def newest(self) -> tuple[int, float] | None:
        """Step of the newest that is good, and when it was written (seconds since 1970); None: there is none."""
        for step in reversed(self.steps()):
            with suppress(OSError):  # it may go between the look and the question
                return step, self.path(step).stat().st_mtime
        return None

    def open_newest(self, backend: Backend, report: Callable[[str], None]) -> None:
        """Load the newest that is good, if there is one. Damaged ones are told to `report` and left where they are."""
        for step in reversed(self.steps()):
            try:
                self._load(backend, step, "")
            except ValueError as error:
                report(f"{error}; an older one is taken")
            else:
                return

    def sweep(self) -> None:
        """Away with what a kill cut off while it was written. Only for who has the role: it may be another's write."""
        for leftover in self._folder.glob(f"{self._role}-*.tmp"):
            leftover.unlink(missing_ok=True)

    def keep(self, state: EngineState, run: str, term: int, plan_round: int, era: int) -> None:
        """Write a state of the middle of a round. Raises: OSError, ValueError (nothing changed), also when a promotion or a
        restoration came between."""
        with self._lock:
            if era != self.era:
                raise ValueError("the weights went another way meanwhile")
            self._write(state, run, term, plan_round, scoring=state.facts["model_version"])

    def promote(self, backend: Backend, run: str, term: int, plan_round: int) -> tuple[int, ...]:
        """Write the present state and have it score. Raises: OSError, ValueError (nothing changed)."""
        with self._lock:
            state = backend.capture(promoted=True)
            self._write(state, run, term, plan_round, scoring=backend.model_version)  # first: this may fail
            self.era += 1
            backend.promote()
        return self.steps()

    def promote_older(
        self, backend: Backend, step: int, weights_of: int, run: str, term: int, plan_round: int
    ) -> tuple[int, ...]:
        """Write the checkpoint of `weights_of` as that of `step`, and go on from it. Raises: OSError; ValueError (nothing
        changed; when that checkpoint is damaged, it counts as such)."""
        with self._lock:
            state = self._look(weights_of, run).as_of(step)
            self._write(state, run, term, plan_round, scoring=weights_of)
            self.era += 1
            backend.load(self.path(step), run)
        return self.steps()

    def restore(self, backend: Backend, run: str, step: int, seed: int) -> tuple[int, ...]:
        """Go back to `step`. Later checkpoints are abandoned first: after a crash the newest must not be one of a future that
        the trainer has given up. Raises: OSError; ValueError (the file counts as damaged); with the weights as they were."""
        with self._lock:
            is_kept = step in self.steps()
            if is_kept:
                self._look(step, run)
            elif step:
                raise ValueError(f"there is no checkpoint of step {step}")
            self._abandon(step)
            if is_kept:
                self._load(backend, step, run)
            else:
                backend.reset(seed)
            self.era += 1
        return self.steps()

    def _load(self, backend: Backend, step: int, run: str) -> None:
        """Raises: ValueError, and it counts as damaged: what is whole may be of another network."""
        try:
            backend.load(self.path(step), run)
        except ValueError:
            self._damaged.add(step)
            raise

    def _look(self, step: int, run: str) -> EngineState:
        """Raises: ValueError, and it counts as damaged from now on."""
        try:
            return EngineState.read(self.path(step), run)
        except ValueError:
            self._damaged.add(step)
            raise

    def _abandon(self, step: int) -> None:
        """What is later gets the name *.abandoned, also what could not be read: it may be read next time. Raises: OSError."""
        later = [self.path(one) for one in self._found() if one > step]
        for path in later:
            path.replace(path.with_suffix(".abandoned"))
        if later:
            sync_folder(self._folder)

    def _write(self, state: EngineState, run: str, term: int, plan_round: int, scoring: int) -> None:
        """And let the oldest go; `scoring`: step of the weights that score now, to which a rollback goes back."""
        state.write(self.path(state.step), run, term, plan_round)
        self._damaged.discard(state.step)
        for step in self.steps()[: -self._kept]:
            if step != scoring:
                self.path(step).unlink(missing_ok=True)
