"""A status report in words. Knows no terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from protocol.messages import StatusReport


def line(report: StatusReport) -> str:
    """Where it stands, on one line."""
    parts = [
        f"round {report.round}",
        f"epoch {report.epoch}/{report.epochs}, batch {report.batch}/{report.batches}" if report.epochs else "",
        f"step {report.step}",
        f"accuracy {percent(report.accuracy)}",
        f"labels {report.labels}",
        f"pool {report.pool}/{report.pool_size}",
        f"{report.asking}, {report.training}",
        report.text,
    ]
    return " | ".join(part for part in parts if part)


def percent(share: float | None) -> str:
    """0.912 -> "91.2 %"; "-" for none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def rows(report: StatusReport) -> list[tuple[str, str]]:
    """Everything, as name and value."""
    loss = "-" if report.loss is None else f"{report.loss:.4f}"
    found = [
        ("run", report.run),
        ("asking", report.asking),
        ("training", report.training),
        ("round", str(report.round)),
        ("epoch", f"{report.epoch} of {report.epochs}"),
        ("batch", f"{report.batch} of {report.batches}"),
        ("step", str(report.step)),
        ("pool", f"{report.pool}, asks from {report.pool_size}"),
        ("open questions", f"{report.open_questions}, {report.held} held by annotators"),
        ("labels", str(report.labels)),
        ("model version", str(report.model_version)),
        ("accuracy", percent(report.accuracy)),
        ("loss", loss),
    ]
    if report.agreement is not None:
        found.append(("agreement", f"alpha {report.agreement:.2f}"))
    if report.text:
        found.append(("waits for", report.text))
    found.extend((f"peer {one.name}", f"{one.role}, heard {one.age_s:.1f} s ago") for one in report.peers)
    found.extend((name, str(count)) for name, count in report.counters if count)
    return found


def counted(who: str, counters: dict[str, int] | None) -> list[tuple[str, str]]:
    """What a process counted since its start, as name and value; None: it did not say."""
    if counters is None:
        return [(who, "did not say what it counted")]
    return [(f"{who}: {name}", str(number)) for name, number in sorted(counters.items()) if number]


def as_json(report: StatusReport) -> dict[str, Any]:
    """Every field, counters as a mapping."""
    fields = asdict(report)
    fields["counters"] = dict(report.counters)
    return fields


class Rounds:
    """Says when a report tells of a finished round that was not told before."""

    def __init__(self) -> None:
        self._told: int | None = None

    def finished(self, report: StatusReport) -> bool:
        """True once for each promoted model; what was there when we came is not news."""
        news = self._told is not None and report.model_version > self._told
        self._told = max(self._told or 0, report.model_version)
        return news
