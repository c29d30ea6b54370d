"""The label store on a simulated disk: the ledger of stores/, its entries as records of one file. Knows no process."""

from __future__ import annotations

from active_learner.core.records import SampleSpec
from active_learner.durable.files import SyncError
from active_learner.errors import DiskFailed, LeaseHeld, StoreError, StoreLocked, WrongStore
from active_learner.simulator.clock import ProcessLoop
from active_learner.simulator.disk import SimulatedDisk
from active_learner.stores.ledger import Entry, Ledger
from active_learner.stores.ledger_store import LedgerStore

FILE, POOL = "labels", "pool"


LEASE_S = 5.0
"""As durable/lock.py."""


class SimulatedStore(LedgerStore):
    """One writer at a time, by the lock that stands on the disk. `holder` is the loop of the process: while that runs it renews
    its lease, which is not simulated one by one."""

    def __init__(self, disk: SimulatedDisk, run: str, holder: ProcessLoop) -> None:
        self._disk, self._run, self._holder = disk, run, holder
        self.ledger: Ledger | None = None
        self._failed: DiskFailed | None = None

    def open(
        self,
        experiment: str,
        spec: SampleSpec,
        *,
        read_only: bool = False,
        accept_rollback: bool = False,
        takes_over: bool = False,
    ) -> None:
        holder = self._disk.locked_by
        if not read_only:
            if holder is not None and not (takes_over and holder.silent_for() > LEASE_S):
                raise StoreLocked("the store is being written to by another process")
            self._disk.locked_by = self._holder
            if self._disk.is_older and not accept_rollback:
                raise WrongStore("the store is older than what had been committed")
            self._disk.is_older = False
        self._read_only = read_only
        self.ledger = recovered(self._disk, spec)

    def close(self) -> None:
        if self.ledger is not None and not self._read_only and self._disk.locked_by is self._holder:
            self._disk.locked_by = None
        self.ledger = None

    @property
    def run(self) -> str:
        return self._run

    @property
    def is_held(self) -> bool:
        return self._disk.locked_by is self._holder

    def renew(self) -> None:
        if self.ledger is not None and not self.is_held:
            raise LeaseHeld("another trainer has taken the store over")

    def save_pool(self, snapshot: bytes) -> None:
        self._writable()
        self.renew()
        try:
            self._disk.replace(POOL, bytes(snapshot))
        except OSError as error:
            raise StoreError(f"the pool cannot be written: {error}") from error

    def load_pool(self) -> bytes | None:
        found: bytes | None = self._disk.files.get(POOL)
        return found

    def _state(self) -> Ledger:
        if self.ledger is None:
            raise StoreError("the store is not open")
        return self.ledger

    def _keep(self, entry: Entry) -> None:
        self.renew()
        if self._failed is not None:
            raise self._failed
        try:
            self._disk.append(FILE, entry)
        except SyncError as error:
            self._failed = DiskFailed(f"the store cannot be written: {error}")
            raise self._failed from error
        except OSError as error:
            raise StoreError(f"the store cannot be written: {error}") from error
        self._state().apply(entry)


def recovered(disk: SimulatedDisk, spec: SampleSpec) -> Ledger:
    """What the records on the disk add up to."""
    ledger = Ledger(spec)
    for entry in disk.read(FILE):
        ledger.apply(entry)
    return ledger
