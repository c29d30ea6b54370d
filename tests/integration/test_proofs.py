"""The short form of every proof in tests/proofs: what is promised holds under attack. `make soak` runs the long forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.proofs import OPEN, PROOFS, load_proof
from tests.proofs.base import all_goals

SEED = 1


def _proofs() -> list[object]:
    return [
        pytest.param(name, marks=pytest.mark.timeout(load_proof(name).timeout_s)) for name in PROOFS if name not in OPEN
    ]


@pytest.mark.integration
@pytest.mark.parametrize("name", _proofs())
def test_the_promise_holds_under_attack(name: str, record_property: Callable[[str, object], None]) -> None:
    """What it found is printed at the end of the run (tests/conftest.py): of two processes that test, neither has the screen."""
    proof = load_proof(name)
    told: list[str] = [f"{name}: {proof.title}"]
    total = proof.run(proof.short, SEED, lambda line: told.append(f"  {line}"))
    goals = all_goals(proof, total, proof.short)
    record_property("proof", "\n".join([*told, *(f"  {goal.told()}" for goal in goals)]))
    assert all(goal.met for goal in goals), "\n".join(
        [*(goal.told() for goal in goals if not goal.met), *total.failures]
    )
