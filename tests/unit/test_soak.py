"""The soak runner: chunks, state file, what is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from active_learner.bench.outcome import Goal
from tests.proofs import PROOFS, soak
from tests.proofs.base import Proof, Say, Tally, all_goals


class Counting(Proof):
    title, unit, short, long, chunk = "counts", "units", 3, 10, 4

    def __init__(self, stop_after: int = 99) -> None:
        self.calls: list[tuple[int, int]] = []
        self._left = stop_after

    def run(self, units: int, seed: int, say: Say) -> Tally:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        self.calls.append((units, seed))
        tally = Tally()
        tally.count("seen", units)
        tally.measured("seconds", float(units))
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        return [Goal("all seen", str(total.counts["seen"]), total.counts["seen"] == units)]


def test_a_long_run_is_made_of_chunks_with_seeds_of_their_own(tmp_path: Path) -> None:
    proof = Counting()
    total, state = soak.soak("counting", proof, 10, 100, tmp_path / "state.json")
    assert proof.calls == [(4, 100), (4, 104), (2, 108)]
    assert total.counts["seen"] == 10
    assert total.highest["seconds"] == 4.0
    assert state["done"] == 10


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        soak.soak("counting", Counting(stop_after=2), 10, 1, tmp_path / "state.json")
    again = Counting()
    total, _ = soak.soak("counting", again, 10, 1, tmp_path / "state.json")
    assert again.calls == [(2, 9)]
    assert total.counts["seen"] == 10


def test_another_seed_begins_anew(tmp_path: Path) -> None:
    soak.soak("counting", Counting(), 10, 1, tmp_path / "state.json")
    again = Counting()
    soak.soak("counting", again, 10, 2, tmp_path / "state.json")
    assert len(again.calls) == 3
    assert json.loads((tmp_path / "state.json").read_text())["counting"]["seed"] == 2


def test_a_failure_is_a_missed_goal() -> None:
    total = Tally()
    total.fail("seed 7: lost an answer")
    assert [goal.met for goal in all_goals(Counting(), total, 0)] == [True, False]


def test_a_row_is_replaced_and_a_miss_stays_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = tmp_path / "SOAK.md"
    figures.write_text("# Words\n\n| part | x |\n| --- | --- |\n", encoding="utf-8")
    monkeypatch.setattr(soak, "FIGURES", figures)
    monkeypatch.setitem(PROOFS, "counting", "nowhere:Counting")
    for units in (10, 11):
        total, state = soak.soak("counting", Counting(), 10, units, tmp_path / "state.json")
        soak.record("counting", Counting(), total, state, Counting().goals(total, units))
    lines = figures.read_text(encoding="utf-8").splitlines()
    assert lines[:4] == ["# Words", "", "| part | x |", "| --- | --- |"]
    assert len(lines) == 5
    assert "MISSED  all seen: 10" in lines[4]
