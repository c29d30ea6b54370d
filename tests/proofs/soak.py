"""Runs the long form of proofs in chunks, part by part, and goes on where it was stopped. Knows the state file and SOAK.md.

python -m tests.proofs.soak [PART ...] [--short] [--seed N] [--state FILE] [--afresh]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from active_learner.bench import facts
from active_learner.bench.outcome import Goal
from tests.proofs import PROOFS, load_proof
from tests.proofs.base import Proof, Tally, all_goals

STATE = Path("runs/soak.json")
FIGURES = Path(__file__).parent.parent / "SOAK.md"
ROW = "| {name} | {date} | {units} | {figures} | {goals} |"


def soak(name: str, proof: Proof, units: int, seed: int, state_file: Path) -> tuple[Tally, dict[str, Any]]:
    """All chunks that the state file does not have yet; it is written after each."""
    states = json.loads(state_file.read_text(encoding="utf-8")) if state_file.exists() else {}
    state = states.get(name)
    if state is None or (state["units"], state["seed"]) != (units, seed):
        state = {"units": units, "seed": seed, "done": 0, "seconds": 0.0, "tally": Tally().as_json()}
    total = Tally.from_json(state["tally"])
    while state["done"] < units:
        part = min(proof.chunk, units - state["done"])
        begun = time.monotonic()
        total.add(proof.run(part, seed + state["done"], lambda line: print(f"{name}: {line}", flush=True)))
        state["done"] += part
        state["seconds"] += time.monotonic() - begun
        state["tally"], state["date"] = total.as_json(), datetime.now(UTC).date().isoformat()
        _write(state_file, {**states, name: state})
        print(f"{name}: {state['done']:,} of {units:,} {proof.unit}, {state['seconds']:.0f} s", flush=True)
    return total, state


def _write(path: Path, states: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(states, indent=1), encoding="utf-8")
    temporary.replace(path)


def told(total: Tally, state: dict[str, Any]) -> str:
    """Counts and largest values in one line."""
    counts = [f"{name} {number:,}" for name, number in sorted(total.counts.items())]
    highest = [
        f"{name} p50 {_middle(total, name):.3g} max {value:.3g}" for name, value in sorted(total.highest.items())
    ]
    return "; ".join([*counts, *highest, f"{state['seconds']:,.0f} s, seed {state['seed']}"])


def _middle(total: Tally, name: str) -> float:
    values = sorted(total.samples.get(name, [])) or [float("nan")]
    return values[len(values) // 2]


def record(name: str, proof: Proof, total: Tally, state: dict[str, Any], goals: list[Goal]) -> None:
    """Replace the part's row in SOAK.md; misses stand there as misses."""
    row = ROW.format(
        name=name,
        date=state["date"],
        units=f"{state['units']:,} {proof.unit}",
        figures=told(total, state),
        goals="<br>".join(goal.told() for goal in goals),
    )
    lines = FIGURES.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"| {name} |")]
    rule = next(place for place, line in enumerate(kept) if line.startswith("| ---"))
    rows = sorted([row, *kept[rule + 1 :]], key=lambda line: _place(line.split("|")[1].strip() if "|" in line else ""))
    FIGURES.write_text("\n".join([*kept[: rule + 1], *rows]).rstrip() + "\n", encoding="utf-8")


def _place(name: str) -> int:
    return list(PROOFS).index(name) if name in PROOFS else len(PROOFS)


def main() -> int:
    """0: every goal was met."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.soak", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PROOFS)}; none: all")
    parser.add_argument("--short", action="store_true", help="the form of every test run, not recorded")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, default=STATE)
    parser.add_argument("--afresh", action="store_true", help="forget what the state file has of these parts")
    given = parser.parse_args()
    if unknown := [part for part in given.parts if part not in PROOFS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PROOFS)}")
    if given.afresh and given.state.exists():
        states = json.loads(given.state.read_text(encoding="utf-8"))
        forgotten = {_kept_as(part, given.short) for part in given.parts or PROOFS}
        _write(given.state, {name: state for name, state in states.items() if name not in forgotten})
    return max([_part(name, given) for name in given.parts or PROOFS], default=0)


def _kept_as(part: str, is_short: bool) -> str:
    """Its name in the state file."""
    return f"{part} (short)" if is_short else part


def _part(name: str, given: argparse.Namespace) -> int:
    proof = load_proof(name)
    units = proof.short if given.short else proof.long
    total, state = soak(_kept_as(name, given.short), proof, units, given.seed, given.state)
    goals = all_goals(proof, total, units)
    print(f"== {name}: {proof.title}\n{told(total, state)}")
    print("\n".join([*(goal.told() for goal in goals), *total.failures, f"on {facts.told()}"]), flush=True)
    if not given.short:
        record(name, proof, total, state, goals)
    return int(not all(goal.met for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
