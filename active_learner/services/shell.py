"""What every service process does alike: start, ready line, signals, stop. Knows no service."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from active_learner.core.measures import Reading
from active_learner.crash_points import reach

if TYPE_CHECKING:
    from active_learner.peer import Peer

LOG = logging.getLogger(__name__)

STOP_TIMEOUT_S = 2.5
"""`up` promises to end all within 3 s; what a service cannot flush in this time it gives up on."""

TELL_AFTER_S = 0.5
"""Who waits longer for the broker is told so: with everything on one machine it is there long before."""


class Service(ABC):
    """One process's work. `done` is set (to the exit code) when the work ends by itself."""

    def __init__(self) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @abstractmethod
    async def start(self) -> str:
        """Become ready; returns what the ready line says behind "ready: ". Raises: ActiveLearnerError."""

    @abstractmethod
    async def stop(self) -> None:
        """Drain and give everything back."""

    def readings(self) -> Iterable[Reading]:
        """What the metrics port tells, at any moment from the making of the service on."""
        return ()

    def finish(self, code: int = 0) -> None:
        """The work is over. Only the first call counts."""
        if not self.done.done():
            self.done.set_result(code)

    def fail(self, error: BaseException) -> None:
        """The work cannot go on: `run` raises it after `stop`."""
        if not self.done.done():
            self.done.set_exception(error)


def jitter() -> float:
    """Of a wait before a re-send: peers that lost the same one must not all come back to it at once."""
    return random.uniform(0.8, 1.2)


async def meet(peer: Peer) -> None:
    """Open it, and say so when the broker lets it wait. Raises: as `Peer.open`."""

    def tell() -> None:
        LOG.info("waiting for the broker at %s%s", peer.address, f": {peer.trouble}" if peer.trouble else "")

    telling = asyncio.get_running_loop().call_later(TELL_AFTER_S, tell)
    try:
        reach("any.before_hello")
        await peer.open()
        reach("any.welcomed")
    finally:
        telling.cancel()


async def run(service: Service, metrics: tuple[str, int] | None = None) -> int:
    """Start, say "ready: ..." on stdout, wait for the end (of the work, SIGINT or SIGTERM, which parent.py sends too), stop.

    `metrics`: host and port to serve the service's readings at; where that is, is said in the ready line.
    Returns the exit code: 0 after a graceful stop.
    """
    if metrics is None:
        return await _run(service, "")
    from active_learner.services.metrics_port import MetricsPort

    port = MetricsPort(*metrics, service.readings)
    where = await port.open()
    try:
        return await _run(service, f", metrics at {where}")
    finally:
        await port.close()


async def _run(service: Service, also: str) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, service.finish)
    gc.enable()  # cli.main imported without
    try:
        starting = asyncio.ensure_future(service.start())
        either: set[asyncio.Future[Any]] = {starting, service.done}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return 0
        reach("any.ready")
        gc.freeze()  # modules and networks stay: going through them again and again would delay training steps
        sys.stdout.write(f"ready: {starting.result()}{also}\n")
        sys.stdout.flush()
        return await service.done
    finally:
        is_failing = sys.exception() is not None
        try:
            await asyncio.wait_for(service.stop(), STOP_TIMEOUT_S)
        except TimeoutError:
            sys.stderr.write(f"gave up flushing after {STOP_TIMEOUT_S} s\n")
        except Exception as error:
            if not is_failing:
                raise
            sys.stderr.write(f"the stop failed too: {error}\n")  # what it ends of is told by who called
