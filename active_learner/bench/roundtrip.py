"""10 KB up and 480 B back: a batch of melodies and its predictions, through our broker, the C zmq.proxy and swergio."""

from __future__ import annotations

import time
from typing import Any

from active_learner.bench.outcome import NO_SWERGIO, Outcome, middle, times
from active_learner.bench.processes import has_swergio, pair
from active_learner.bench.wires import BROKERS, OURS, PROXY, SWERGIO, connect
from active_learner.results.words import quantile

UP_BYTES, DOWN_BYTES = 20 * 128 * 4, 20 * 6 * 4
COUNT, SWERGIO_COUNT, WARM_UP = 1_000, 15, 3
ROUNDS = 3
NAGLE = (
    "swergio: header and body are two writes, so Nagle's algorithm holds the second until the delayed ACK (40 ms) of the "
    "first, on both hops; with TCP_NODELAY it is tens of times faster"
)


def bench(rounds: int = ROUNDS) -> Outcome:
    """Medians over `rounds` interleaved measurements."""
    outcome = Outcome("round trip: 10 KB up, 480 B down", ("broker", "p50 us", "p99 us", "p50 of C proxy"))
    brokers = [OURS, PROXY, *([SWERGIO] if has_swergio() else [])]
    found: dict[str, list[tuple[float, float]]] = {broker: [] for broker in brokers}
    for _ in range(rounds):
        for broker in brokers:
            with BROKERS[broker]() as ports:
                found[broker].append(pair(_responder, _requester, broker, ports))
    for broker in brokers:
        half, most = middle([one[0] for one in found[broker]]), middle([one[1] for one in found[broker]])
        share = middle([own[0] / proxy[0] for own, proxy in zip(found[broker], found[PROXY], strict=True)])
        outcome.rows.append((broker, f"{half * 1e6:,.0f}", f"{most * 1e6:,.0f}", times(share)))
        outcome.figures[broker] = [{"p50_s": one[0], "p99_s": one[1]} for one in found[broker]]
    outcome.notes.append(NAGLE if has_swergio() else NO_SWERGIO)
    return outcome


def _responder(broker: str, ports: tuple[int, ...], ready: Any, results: Any) -> None:
    wire = connect(broker, ports, "responder", "up", "down")
    answer = wire.prepare(DOWN_BYTES)
    ready.set()
    while wire.receive():
        wire.send(answer)


def _requester(broker: str, ports: tuple[int, ...], ready: Any, results: Any) -> None:
    wire = connect(broker, ports, "requester", "down", "up")
    request = wire.prepare(UP_BYTES)
    ready.wait()
    time.sleep(0.3)  # swergio does not confirm a join
    taken: list[float] = []
    for _ in range(WARM_UP + (SWERGIO_COUNT if broker == SWERGIO else COUNT)):
        begun = time.perf_counter()
        wire.send(request)
        if not wire.receive():
            raise RuntimeError("no answer in time")
        taken.append(time.perf_counter() - begun)
    results.put((quantile(taken[WARM_UP:], 0.5), quantile(taken[WARM_UP:], 0.99)))
