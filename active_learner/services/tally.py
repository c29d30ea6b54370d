"""What a process counted, in a log line: said in the control room to whoever asks there. Knows words; counts nothing."""

from __future__ import annotations

from collections.abc import Mapping

from protocol.limits import shortened
from protocol.messages import LogLine

COUNTED = " counted: "
LONGEST_BYTES = 4096
"""Some 150 counters: more than any process has."""


def tally_line(number: int, name: str, counters: Mapping[str, int]) -> LogLine:
    """The `number`th line of the peer `name`."""
    told = ", ".join(f"{counter} {count}" for counter, count in sorted(counters.items()) if count)
    return LogLine(number, "info", shortened(f"{name}{COUNTED}{told or 'nothing'}", LONGEST_BYTES))


def read_tally(line: LogLine) -> dict[str, int] | None:
    """The counters again; None when it is another line. What cannot be read of it is left out."""
    _, counted, told = line.text.partition(COUNTED)
    pairs = (one.rpartition(" ") for one in told.split(", "))
    return {name: int(count) for name, _, count in pairs if name and count.isdecimal()} if counted else None
