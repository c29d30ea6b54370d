"""A query strategy under which the disk of its process fails: imported by the trainer under test."""

from __future__ import annotations

from typing import Any

from active_learner.strategies.base import PoolView, QueryStrategy, Selection
from active_learner.strategies.random_choice import RandomChoice
from tests.proofs.store_scene import break_syncs


class Breaking(QueryStrategy):
    """From the first choice on every fsync of the process fails with EIO; the questions chosen are to be committed next."""

    name = "breaking"

    def select(self, pool: PoolView, count: int, generator: Any) -> Selection:
        if not break_syncs():
            raise RuntimeError("this kernel cannot refuse a system call")
        return RandomChoice().select(pool, count, generator)
