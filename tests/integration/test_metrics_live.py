"""What a running experiment tells of itself: metrics of each process, counters of trainer and broker in `status`."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from active_learner.core.measures import PREFIX
from tests.broker_process import process
from tests.integration.by_hand import PATIENCE_S, Hand, Shell
from tests.integration.gated_run import by_hand
from tests.integration.up_process import call

pytestmark = pytest.mark.integration

__all__ = ["by_hand"]

Values = dict[tuple[str, ...], float]


def scraped(ready_line: str) -> Values:
    """(name without the prefix, *label values) -> value, from the port that the ready line tells."""
    found = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", ready_line)
    assert found is not None, ready_line
    with urllib.request.urlopen(found[1], timeout=20) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (one.name.removeprefix(PREFIX), *one.labels.values()): one.value
        for family in families
        for one in family.samples
    }


def status(hand: Hand) -> dict[str, Any]:
    """As JSON, when all others have said what they counted: `status` waits a second for that, a busy process may need more."""
    deadline = time.monotonic() + PATIENCE_S
    where = ("--set", f"broker.address={hand.address}")
    while True:
        told: dict[str, Any] = json.loads(
            call("status", "digits", *hand.sets, *where, "--json", cwd=hand.folder).stdout
        )
        if None not in told["others"].values():
            return told
        assert time.monotonic() < deadline, told["others"]


def test_every_process_tells_what_it_does_and_status_what_the_broker_counted(by_hand: Callable[..., Hand]) -> None:
    hand = by_hand()
    commands = ("serve", "evaluator", "source", "label")
    hand.broker()
    shells: dict[str, Shell] = {one: hand.start(one, "--metrics-port", "0") for one in commands}
    ready = {name: shell.wait_for("ready: ") for name, shell in shells.items()}
    hand.until(lambda report: report.round >= 2)
    trainer, evaluator = scraped(ready["serve"]), scraped(ready["evaluator"])
    assert trainer["answers_total", "stored"] >= 50
    assert trainer["labels",] >= 50
    assert trainer["step_seconds_count",] >= 20
    assert 0 < trainer["step_seconds_sum",] < trainer["step_seconds_count",] * 10
    assert trainer["commit_seconds_bucket", "+Inf"] >= 50
    assert trainer["candidates_total", "new"] > 0
    assert trainer["process_resident_memory_bytes",] > 1e7
    assert evaluator["checkpoint_step",] >= 25
    assert 0 <= evaluator["checkpoint_age_seconds",] < 100
    assert evaluator["duplicates_total", "work"] >= 0
    assert evaluator["refused_total", "not_finite"] == 0
    assert ("queue_messages", "work") in evaluator
    assert ("queue_messages", "answers") in trainer
    assert trainer["answers_total", "conflict"] == 0
    assert scraped(ready["source"])["candidates_total", "proposed"] > 0
    assert ("outbox_messages",) in scraped(ready["label"])
    told = status(hand)
    assert told["others"]["broker"]["relayed"] > 100
    assert len(told["others"]) == 4
    assert told["counters"]["answers.stored"] >= 50
    ping = call("ping", "-v", "--address", hand.address, cwd=hand.folder)
    assert re.search(r"^relayed  \d+$", ping.stdout, re.MULTILINE)


def test_the_broker_tells_its_own_and_still_starts_small(tmp_path: Path) -> None:
    with process("-m", "active_learner", "broker", "--address", "tcp://127.0.0.1:0", "--metrics-port", "0") as started:
        ready = started.ready()
        first = scraped(ready)
        assert (first["peers",], first["rooms",]) == (0, 0)
        assert (first["queue_messages", "members"], first["queue_bytes",]) == (0, 0)
        assert (first["refused_total", "forbidden"], first["shed_total", "log_line"], first["lost_total",]) == (0, 0, 0)
        assert first["process_resident_memory_bytes",] < 80e6
        address = ready.split()[1].rstrip(",")
        assert call("ping", "--address", address, cwd=tmp_path).returncode == 0
        _, errors = started.end()
        assert "Traceback" not in errors


def test_a_metrics_port_in_use_ends_the_process_with_who_has_it(tmp_path: Path) -> None:
    with process("-m", "active_learner", "broker", "--address", "tcp://127.0.0.1:0", "--metrics-port", "0") as first:
        port = first.ready().rpartition(":")[2].removesuffix("/metrics")
        second = call("broker", "--address", "tcp://127.0.0.1:0", "--metrics-port", port, cwd=tmp_path)
        assert second.returncode == 1
        assert re.search(rf"--metrics-port: 127.0.0.1:{port} is in use by process \d+ \(", second.stderr)
