"""One writer: an advisory lock on a file beside the store, and a lease for a holder that hangs. Knows processes; not what
is stored.

The lock proves that a process lives; it is free the moment the process ends in any way. The lease proves that it works:
who renews it about once a second and then does not for LEASE_S (stopped, hung) can be replaced by one that `takes_over`.
The replaced one finds out by `check`, before it writes anything.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from active_learner.durable import lease
from active_learner.errors import LeaseHeld, StoreError, StoreLocked

RENEW_S = 1.0
LEASE_S = 5.0
"""Five renewals: a busy machine delays one or two; a person who waits for a hung trainer's successor bears five seconds."""
LOOK_S = 0.1


class WriterLock:
    """Held from construction until `release`, or until the process ends in any way.

    Raises: StoreLocked, naming the holder; StoreError when the file cannot be made.
    """

    def __init__(self, store: Path, *, takes_over: bool = False) -> None:
        """`takes_over`: wait for the end of the holder's lease, and refuse only when it was renewed meanwhile."""
        self._store, self._path = store, store.with_name(f"{store.name}.lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        self._locked = False
        try:
            self.replaced = self._wait_for_turn(takes_over)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._holder = lease.this_process()
        self._told = lease.write_holder(self._descriptor, self._holder)

    def _wait_for_turn(self, takes_over: bool) -> str:
        """Returns whom it replaces, who has not let go; "": nobody. Raises: StoreLocked."""
        first: lease.Seen | None = None
        while not self._is_free(seen := lease.read(self._path)):
            if not takes_over or seen is None or seen.renewed is None or seen.holder.boot != lease.boot():
                raise self._refusal(seen)
            if seen.age() >= LEASE_S:
                return seen.holder.told()
            if first is not None and seen != first:
                raise self._refusal(seen)
            first = seen
            time.sleep(LOOK_S)
        return ""

    def _is_free(self, seen: lease.Seen | None) -> bool:
        """The lock is ours, and nobody works without having it: who replaced a process that still hangs does."""
        self._locked = self._locked or self._lock()
        return self._locked and (seen is None or seen.age() >= LEASE_S or not seen.holder.is_alive)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _refusal(self, seen: lease.Seen | None) -> StoreLocked:
        told = "another process" if seen is None else seen.holder.told()
        return StoreLocked(f"{self._store} is being written to by {told}")

    def check(self) -> None:
        """Raises: LeaseHeld when another process has taken over. By name: a file that was removed is no lock either."""
        seen = lease.read(self._path)
        if not self._told:  # a full disk must not cost the lock: the text is only told to others
            self._told = lease.write_holder(self._descriptor, self._holder)
        elif seen is None:
            raise LeaseHeld(f"{self._path} was removed or overwritten: another process may be writing to {self._store}")
        elif seen.holder != self._holder:
            raise LeaseHeld(f"{self._store} was taken over by {seen.holder.told()}: this process did not answer")

    def renew(self) -> None:
        """This process is at work. Raises: LeaseHeld."""
        self.check()
        lease.write_renewal(self._descriptor, self._holder)
        self._locked = self._locked or self._lock()

    def release(self) -> None:
        """The file stays: to remove it would let two processes lock two files of one name."""
        seen = lease.read(self._path)
        if seen is not None and seen.holder == self._holder:
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
