"""Messages a second from one sender to one receiver: through our broker, the C zmq.proxy and swergio, interleaved."""

from __future__ import annotations

import time
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from active_learner.bench.outcome import NO_SWERGIO, Outcome, middle, times
from active_learner.bench.processes import context, has_swergio, pair
from active_learner.bench.wires import BROKERS, OURS, PROXY, SWERGIO, connect

SIZES = {"64 B": 64, "10 KB": 10_240, "1 MB": 1 << 20}
COUNTS = {"64 B": 20_000, "10 KB": 6_000, "1 MB": 200}
SWERGIO_COUNTS = {"64 B": 2_000, "10 KB": 100, "1 MB": 3}
WINDOW_MESSAGES, WINDOW_BYTES = 2_000, 16 << 20
"""Under way at most: our broker sheds what a member does not read, and nothing may be lost in any of the three."""
ROUNDS = 3


def bench(rounds: int = ROUNDS) -> Outcome:
    """Median of `rounds` interleaved measurements a size and broker."""
    outcome = Outcome("relay: one sender, one receiver", ("broker", "payload", "messages/s", "MB/s", "of C proxy"))
    brokers = [OURS, PROXY, *([SWERGIO] if has_swergio() else [])]
    for size in SIZES:
        rates: dict[str, list[float]] = {broker: [] for broker in brokers}
        for _ in range(rounds):
            for broker in brokers:
                rates[broker].append(measured(broker, size))
        for broker in brokers:
            rate = middle(rates[broker])
            share = middle([own / proxy for own, proxy in zip(rates[broker], rates[PROXY], strict=True)])
            told = (f"{rate:,.0f}", f"{rate * SIZES[size] / 1e6:,.1f}", times(share))
            outcome.rows.append((broker, size, *told))
        outcome.figures[size] = rates
    if not has_swergio():
        outcome.notes.append(NO_SWERGIO)
    return outcome


def measured(broker: str, size: str) -> float:
    """Messages a second, from the first that arrives to the last."""
    count = (SWERGIO_COUNTS if broker == SWERGIO else COUNTS)[size]
    arrived = context.Value("q", 0, lock=False)
    with BROKERS[broker]() as ports:
        rate: float = pair(_receiver, _sender, broker, ports, SIZES[size], count, arrived)
    return rate


def _receiver(
    broker: str, ports: tuple[int, ...], size: int, count: int, arrived: Synchronized[int], ready: Any, results: Any
) -> None:
    wire = connect(broker, ports, "receiver", "room", "back")
    ready.set()
    begun = 0.0
    for number in range(count):
        if not wire.receive():
            raise RuntimeError(f"{number} of {count} messages arrived")
        begun = begun or time.perf_counter()
        arrived.value = number + 1
    results.put((count - 1) / (time.perf_counter() - begun))


def _sender(
    broker: str, ports: tuple[int, ...], size: int, count: int, arrived: Synchronized[int], ready: Any, results: Any
) -> None:
    wire = connect(broker, ports, "sender", "back", "room")
    payload = wire.prepare(size)
    window = max(2, min(WINDOW_MESSAGES, WINDOW_BYTES // size))
    ready.wait()
    time.sleep(0.3)  # swergio does not confirm a join
    for number in range(count):
        while number - arrived.value >= window:
            time.sleep(0.0001)
        wire.send(payload)
    while arrived.value < count:
        time.sleep(0.01)
