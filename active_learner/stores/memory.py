"""Store in this process's memory: `memory:NAME`. Outlives the store object, not the process; for tests and trials."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from active_learner.core.records import SampleSpec
from active_learner.errors import StoreError, StoreLocked
from active_learner.stores import rules
from active_learner.stores.ledger import Entry, Ledger
from active_learner.stores.ledger_store import LedgerStore


@dataclass(slots=True)
class _Kept:
    """All of one store, and whether somebody writes to it."""

    experiment: str
    ledger: Ledger
    run: str = field(default_factory=lambda: secrets.token_hex(16))
    pool: bytes | None = None
    held: bool = False


_STORES: dict[tuple[str, str], _Kept] = {}
"""By run folder and name, for as long as the process lives."""


class MemoryStore(LedgerStore):
    def __init__(self, url: str, run_dir: Path) -> None:
        self._url = url
        self._place = (str(run_dir.absolute()), url)
        self._kept: _Kept | None = None

    def open(
        self,
        experiment: str,
        spec: SampleSpec,
        *,
        read_only: bool = False,
        accept_rollback: bool = False,
        takes_over: bool = False,
    ) -> None:
        """It cannot be rolled back, and who holds it hangs together with us."""
        kept = _STORES.get(self._place)
        if kept is None:
            if read_only:
                raise StoreError(f"{self._url}: there is no such store yet")
            kept = _STORES[self._place] = _Kept(experiment, Ledger(spec))
        form = {"experiment": kept.experiment, "spec": rules.spec_form(kept.ledger.spec)}
        rules.check_owner(self._url, form, experiment, spec)
        if not read_only:
            if kept.held:
                raise StoreLocked(f"{self._url} is being written to by another part of this process")
            kept.held = True
        self._kept, self._read_only = kept, read_only

    def close(self) -> None:
        if self._kept is not None and not self._read_only:
            self._kept.held = False
        self._kept = None

    @property
    def run(self) -> str:
        return self._opened().run

    def save_pool(self, snapshot: bytes) -> None:
        self._writable()
        self._opened().pool = bytes(snapshot)

    def load_pool(self) -> bytes | None:
        return self._opened().pool

    def _opened(self) -> _Kept:
        if self._kept is None:
            raise StoreError(f"{self._url} is not open")
        return self._kept

    def _state(self) -> Ledger:
        return self._opened().ledger

    def _keep(self, entry: Entry) -> None:
        self._state().apply(entry)
