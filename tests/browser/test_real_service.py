"""`make run` as a person meets it: broker, trainer, evaluator, source and page as real processes, a person in a real Chromium."""

from __future__ import annotations

import csv
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.visit import LOST, Visit
from tests.integration.by_hand import Shell
from tests.integration.up_process import COMMAND, call, descendants, environment
from tests.ports import free_port

pytestmark = pytest.mark.browser

SIGNAL = "(() => { const wave = new Float32Array(2048); activeLearner.player.analyser.getFloatTimeDomainData(wave); return wave.some((one) => Math.abs(one) > 0.01); })()"
BLOCKS = (
    "#phases .phase.on",
    "#pool svg",
    "#pace .person",
    "#waits svg",
    "#wait-figures dd",
    "#peers tbody tr",
)
"""Of the run page, with what the real service says: phases, pool, pace of a person, waiting times, peers."""

POINTS = "document.querySelectorAll('#curve-table tbody tr').length"


@dataclass
class Run:
    """`up melody` in a folder of its own; a small pool, so that it asks soon."""

    shell: Shell
    folder: Path
    url: str
    way: str

    def labeler(self) -> int:
        """The page's process."""
        [found] = [pid for pid in descendants(self.shell.process.pid) if b"label" in _words(pid)]
        return found

    def stored(self) -> list[int]:
        """All labels, as another program reads them."""
        exported = call("labels", "export", "melody", "labels.csv", cwd=self.folder)
        assert exported.returncode == 0, exported.stderr
        with (self.folder / "labels.csv").open(encoding="utf-8", newline="") as file:
            return [int(row["label"]) for row in csv.DictReader(file)]


def _words(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    port = free_port()
    sets = (f"labeler.port={port}", "labeler.min_listen_s=0", "trainer.pool_size=60", "validation.limit=200")
    options = [word for one in sets for word in ("--set", one)]
    shell = Shell([*COMMAND, "up", "melody", "--labels", "500", *options], tmp_path, environment())
    try:
        told = shell.wait_for("Label here: ")
        found = re.search(rf"http://127\.0\.0\.1:{port}(/enter\?token=\S+)", told)
        assert found is not None, told
        yield Run(shell, tmp_path, f"http://127.0.0.1:{port}", found[1])
    finally:
        shell.clear_away()


@pytest.fixture
def person(run: Run, browser: Any) -> Iterator[Visit]:
    """Let in by the printed address; the questions come when the pool is full."""
    visit = Visit(browser, run.url, {})
    visit.page.goto(run.url + run.way)
    visit.until("window.activeLearner?.opened")
    yield visit
    visit.close()


def decide(person: Visit, keys: str) -> None:
    """Each decision is seen as saved before the next."""
    for key in keys:
        person.until("activeLearner.session.current")
        person.answer(key)
        person.saved()


def undo_and_revise(person: Visit) -> None:
    """The last answer, and one that an earlier process of the service took: 0 becomes 3, the last one 5."""
    assert person.chips()[:5] == ["4", "3", "2", "1", "0"]
    person.page.keyboard.press("Backspace")
    person.saved()
    decide(person, "5")
    person.page.locator("#history [data-past]").nth(4).click()
    person.press("3")
    person.page.locator("#correcting").wait_for(state="hidden")
    person.saved()
    assert person.chips()[:5] == ["5", "3", "2", "1", "3"]


@pytest.mark.timeout(300)
def test_a_person_starts_hears_answers_and_sees_the_curve_rise_through_a_reload_and_a_kill(
    run: Run, person: Visit
) -> None:
    person.until("activeLearner.session.current")
    person.start()
    person.until(SIGNAL)
    decide(person, "43125")
    watching = person.context.new_page()
    watching.goto(f"{run.url}/run")
    watching.wait_for_selector("#curve path.line.one, #curve circle.dot.one", state="attached")
    points = watching.evaluate(POINTS)
    assert points >= 1
    assert "more labels to 500" in watching.inner_text("#lead")
    for block in BLOCKS:
        watching.wait_for_selector(block, state="attached")

    person.open()
    assert len(person.chips()) == 5
    person.start()
    person.expected = LOST
    decide(person, "01")
    person.note_ways()
    os.kill(run.labeler(), signal.SIGKILL)
    person.answer("2")
    person.noted("away")
    run.shell.wait_for("Label here: ")
    person.saved()
    decide(person, "34")
    undo_and_revise(person)
    for _ in range(2000):
        if watching.evaluate(POINTS) > points:
            break
        watching.wait_for_timeout(50)
    assert watching.evaluate(POINTS) > points
    watching.close()

    assert sorted(run.stored()) == sorted(int(key) for key in "4312531235")
    code, seconds = run.shell.interrupt()
    assert code == 0
    assert seconds < 15
