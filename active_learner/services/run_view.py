"""The run as the labeling page shows it: the trainer's reports, who is here, how fast labels come. Knows messages of the control
room; asks nobody."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from active_learner.core.measures import Histogram
from active_learner.web.forms import Form, status_form
from protocol.messages import Member, StatusReport

MINUTE_S = 60.0
SAMPLES = 512
"""Counts of labels kept for the speed: reports come twice a second at most."""

GONE_SHOWN = 16
"""Peers that left lately; older ones are forgotten."""


@dataclass(slots=True)
class _Seen:
    role: str
    here: bool
    since: float
    why: str


class RunView:
    def __init__(self) -> None:
        self.report: StatusReport | None = None
        self.reported_at = float("-inf")
        self._labels: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._peers: OrderedDict[str, _Seen] = OrderedDict()

    def reported(self, report: StatusReport, at: float) -> None:
        self.report, self.reported_at = report, at
        self._labels.append((at, report.labels))

    def presence(self, member: Member, here: bool, why: str, at: float) -> None:
        self._peers.pop(member.name, None)
        self._peers[member.name] = _Seen(member.role, here, at, why)
        gone = [name for name, one in self._peers.items() if not one.here]
        for name in gone[:-GONE_SHOWN]:
            del self._peers[name]

    def per_minute(self, at: float) -> float | None:
        """Labels of all people in the last minute; None: it is not known yet."""
        lately = [one for one in self._labels if one[0] >= at - MINUTE_S]
        if not lately:
            return None
        first = next((one for one in reversed(self._labels) if one[0] < at - MINUTE_S), lately[0])
        return float(max(0, lately[-1][1] - first[1]))

    def form(self, at: float, times: Histogram, trainer_here: bool, ended: str) -> Form:
        report = {} if self.report is None else status_form(self.report)
        heard = {one["name"]: one["age_s"] for one in report.get("peers", [])}
        return {
            **report,
            "age_s": None if self.report is None else round(at - self.reported_at, 3),
            "trainer_here": trainer_here,
            "ended": ended or None,
            "labels_per_minute": self.per_minute(at),
            "peers": [self._peer(name, one, heard.get(name), at) for name, one in self._peers.items()],
            "answers": waits(times),
        }

    def _peer(self, name: str, seen: _Seen, age_s: float | None, at: float) -> Form:
        """Who hangs or dies is announced as gone by the broker, within two seconds: who is here is well."""
        health = "here" if seen.here else "gone"
        return {
            "name": name,
            "role": seen.role,
            "health": health,
            "since_s": round(at - seen.since, 3),
            "why": seen.why,
            "age_s": age_s,
        }


def waits(times: Histogram) -> Form:
    """From the coming of an answer to its receipt: how many, and upper bounds of the median and of 99 in 100."""
    return {"count": sum(times.counts), "p50_s": _quantile(times, 0.5), "p99_s": _quantile(times, 0.99)}


def _quantile(times: Histogram, share: float) -> float | None:
    wanted, so_far = share * sum(times.counts), 0
    for bound, count in zip(times.bounds, times.counts, strict=False):
        so_far += count
        if count and so_far >= wanted:
            return bound
    return None
