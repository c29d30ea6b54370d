"""Writes checkpoints while training goes on. Knows the lane, where states are copied, and a thread; decides nothing.

A copy takes microseconds, digest and fsync take milliseconds: on a full or slow disk they may take for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from active_learner.backends.base import Backend, EngineState
from active_learner.core.evaluation_events import CheckpointFailed, CheckpointWritten, RunCheckpoint
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.services.engine_lane import EngineLane


class CheckpointWriter:
    """`tell` gets the outcome of each, in the loop's thread. Nothing that fails here ends training: it is told."""

    def __init__(
        self,
        backend: Backend,
        folder: CheckpointFolder,
        lane: EngineLane,
        tell: Callable[[CheckpointWritten | CheckpointFailed], None],
    ) -> None:
        self._backend, self._folder, self._lane, self._tell = backend, folder, lane, tell
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._is_closed = False

    def start(self, run: RunCheckpoint) -> None:
        """The copy is made before whatever is submitted to the lane after this."""
        era = self._folder.era

        def captured(state: EngineState | None, error: Exception | None) -> None:
            if state is None:
                self._tell(CheckpointFailed(run.step, f"{type(error).__name__}: {error}"))
                return
            loop = asyncio.get_running_loop()
            writing = loop.run_in_executor(self._thread, self._written, state, run, era)
            writing.add_done_callback(lambda future: self._finish(run, future.result()))

        self._lane.submit("capture", self._backend.capture, captured)

    def close(self) -> None:
        """What is being written may still be written; it is not told."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _written(self, state: EngineState, run: RunCheckpoint, era: int) -> Exception | None:
        try:
            self._folder.keep(state, run.run, run.term, run.round, era)
        except Exception as error:  # whatever it is, the weights in training are as they were
            return error
        return None

    def _finish(self, run: RunCheckpoint, error: Any) -> None:
        if self._is_closed:
            return
        if error is None:
            self._tell(CheckpointWritten(run.step, self._folder.steps()))
        else:
            self._tell(CheckpointFailed(run.step, f"{type(error).__name__}: {error}"))
