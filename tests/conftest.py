"""One torch thread, the same examples of every property in every run, and two things printed at the end: which rows of the
transition tables were run, and what the proofs found.

`--require-every-row` (what `make check` passes) fails the run when a row of a table was never hit.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from active_learner.core.machine import Machine

PROOFS_S = 480
"""What all short proofs may take of a test run on two cores."""

settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
"""No example fails because the machine was busy with something else; what is rare is looked for by the proofs."""

HITS: Counter[tuple[str, str, str]] = Counter()


def _observe(machine: str, phase: str, trigger: str) -> None:
    HITS[machine, phase, trigger] += 1


Machine.observe = staticmethod(_observe)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-every-row", action="store_true", help="fail when a transition was never run")


def _machines() -> list[type[Machine]]:  # type: ignore[type-arg]
    from active_learner.core import (
        answering,
        asking,
        evaluation,
        leasing,
        proposing,
        queueing,
        scoring,
        session,
        training,
    )

    modules = (answering, asking, evaluation, leasing, proposing, queueing, scoring, session, training)
    found = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    return sorted(
        {kind for kind in found if issubclass(kind, Machine) and "TABLE" in vars(kind)}, key=lambda k: k.__name__
    )


def _missing() -> dict[str, tuple[int, list[tuple[str, str]]]]:
    return {
        kind.__name__: (len(kind.TABLE), [row for row in kind.TABLE if not HITS[(kind.__name__, *row)]])
        for kind in _machines()
    }


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    worker = getattr(session.config, "workeroutput", None)
    if worker is not None:  # one of several processes of pytest-xdist: what it hit is told to the one that prints
        worker["rows"] = [[*row, number] for row, number in HITS.items()]
        return
    required = session.config.getoption("--require-every-row") and exitstatus == 0
    if required and any(rows for _, rows in _missing().values()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    for machine, phase, trigger, number in getattr(node, "workeroutput", {}).get("rows", ()):
        HITS[machine, phase, trigger] += number


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _tell_proofs(terminalreporter)
    if not terminalreporter.config.getoption("--require-every-row"):
        return
    for name, (total, missing) in _missing().items():
        terminalreporter.write_line(f"rows of {name}: {total - len(missing)} of {total} hit")
        for phase, trigger in missing:
            terminalreporter.write_line(f"  never hit: {phase}: {trigger}", red=True)


def _tell_proofs(terminalreporter: pytest.TerminalReporter) -> None:
    """What each proof found, and the seconds that all of them took of the run, of which two may be under way at once."""
    ended = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    proofs = [(report, words) for report in ended for name, words in report.user_properties if name == "proof"]
    for report, words in proofs:
        terminalreporter.write_line(f"{words}\n  {report.duration:.0f} s")
    if proofs:
        seconds = max(report.stop for report, _ in proofs) - min(report.start for report, _ in proofs)
        terminalreporter.write_line(f"proofs: {seconds:.0f} s of the run, of {PROOFS_S} that they may take")
