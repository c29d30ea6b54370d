"""Hostile bytes for everything that reads what others wrote: frames, checkpoints, label files, pool snapshots, requests.

Nothing may be raised but what the reader promises, nothing may take long, memory must not grow; what is accepted can be
said again. The live part sends frames through a real broker, with honest peers in the room.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from active_learner.bench.outcome import Goal
from protocol.codec import decode, encode
from protocol.errors import RemoteProtocolError
from tests.proofs.base import Proof, Say, Tally
from tests.proofs.fuzz_files import READERS
from tests.proofs.fuzz_frames import Fuzzer
from tests.proofs.fuzz_live import attack

SLOW_S = 0.050
"""Processor time that a reader may take for one input; asked again before it counts, as a cold cache proves nothing."""
GROWTH_BYTES = 16 << 20
LOOK_EVERY = 500
WARM = 0.1
"""Share of a run before memory is first looked at: tables are compiled and caches filled with the first inputs."""
OF_FRAMES = {"reader": 4, "live": 40}
"""One input for each other reader in so many frames, and one frame through the broker in so many."""


class Fuzz(Proof):
    title: ClassVar[str] = "hostile frames and files: nothing raised but refusals, nothing slow, no memory kept"
    unit: ClassVar[str] = "frames"
    short: ClassVar[int] = 100_000
    long: ClassVar[int] = 4_000_000
    """1e6 for each other reader, and 1e5 through the broker."""
    chunk: ClassVar[int] = 200_000
    timeout_s: ClassVar[float] = 900.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        watched("frames", frames(units, seed, tally), units, tally)
        say(f"frames: {told(tally, 'frame ')}")
        for name, inputs in READERS.items():
            count = max(1, units // OF_FRAMES["reader"])
            watched(name, inputs(count, seed, tally), count, tally)
            say(f"{name}: {told(tally, name + ' ')}")
        attack(max(1, units // OF_FRAMES["live"]), seed, tally)
        say(f"broker: {told(tally, 'live ')}")
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        counts = total.counts
        growth = max(value for name, value in total.highest.items() if name.startswith("growth of"))
        kinds = Fuzzer(1).kinds
        share = min(counts[f"sealed kind {kind}"] / max(1, counts[f"kind {kind}"]) for kind in kinds)
        fewest = min(counts[f"kind {kind}"] for kind in kinds)
        lacking = counts["live honest said"] - counts["live honest heard"]
        return [
            Goal(
                "of each kind at least half changed and with a right checksum", f"{share:.0%} the least", share >= 0.5
            ),
            Goal("every kind, at least one in a hundred", f"{fewest:,} the rarest", fewest >= units / 100),
            Goal(f"growth under {GROWTH_BYTES >> 20} MiB", f"{growth:.1f} MiB", growth < GROWTH_BYTES >> 20),
            Goal("some are accepted", f"{counts['frame accepted']:,}", counts["frame accepted"] > 0),
            Goal("honest peers lose nothing", f"{lacking} of {counts['live honest said']:,}", lacking == 0),
            Goal("the sender is cut off", f"{counts['live cut off']:,} times", counts["live cut off"] > 0),
        ]


def told(tally: Tally, prefix: str) -> str:
    found = {name.removeprefix(prefix): count for name, count in tally.counts.items() if name.startswith(prefix)}
    return ", ".join(f"{name} {count:,}" for name, count in sorted(found.items()))


def watched(name: str, inputs: Iterator[object], count: int, tally: Tally) -> None:
    """Run them all, and measure how much memory that kept."""
    least: int | None = None
    most = 0
    for number, _ in enumerate(inputs):
        if number >= WARM * count and number % LOOK_EVERY == 0:
            size = resident_bytes()
            least = size if least is None else least
            most = max(most, size)
    tally.measured(f"growth of {name} MiB", (most - (least or most)) / 2**20)


def frames(count: int, seed: int, tally: Tally) -> Iterator[None]:
    fuzzer = Fuzzer(seed)
    for number in range(count):
        drawn = fuzzer.draw()
        tally.count("frame all")
        tally.count(f"kind {drawn.kind}")
        sealed = drawn.sealed and drawn.change != "nothing"
        tally.count("frame sealed and changed", sealed)
        tally.count(f"sealed kind {drawn.kind}", sealed)
        where = f"frame {number} of seed {seed} ({drawn.change} of kind {drawn.kind})"
        tried(lambda frames=drawn.frames: _through(frames), RemoteProtocolError, where, "frame ", tally)  # type: ignore[misc]
        yield


def _through(frames: list[bytes]) -> None:
    """What is accepted must be something that we could have said."""
    envelope, message = decode(frames)
    encode(message, session=envelope.session, sequence=envelope.sequence)


def tried(
    read: Callable[[], object],
    refusals: type[Exception] | tuple[type[Exception], ...],
    where: str,
    prefix: str,
    tally: Tally,
) -> None:
    """Read it once, and again when that took long."""
    took = _timed(read, refusals, where, prefix, tally)
    if took > SLOW_S:
        again = min(_timed(read, refusals, where, "again ", Tally()) for _ in range(3))
        tally.count(f"{prefix}slow once")
        if again > SLOW_S:
            tally.fail(f"{where} takes {1000 * again:.0f} ms")


def _timed(
    read: Callable[[], object],
    refusals: type[Exception] | tuple[type[Exception], ...],
    where: str,
    prefix: str,
    tally: Tally,
) -> float:
    begun = time.thread_time()
    try:
        read()
    except refusals:
        outcome = "refused"
    except Exception as error:
        outcome = "raised"
        tally.fail(f"{where} raises {type(error).__name__}: {str(error)[:200]}")
    else:
        outcome = "accepted"
    took = time.thread_time() - begun
    tally.count(prefix + outcome)
    return took


def resident_bytes(pid: int | None = None) -> int:
    pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
