"""Seeds and orders are hashes that any language can redo."""

from __future__ import annotations

from active_learner.core.seeds import derived_seed, epoch_order, step_seed


def test_an_epoch_is_the_rows_sorted_by_their_hash() -> None:
    for seed, round_number, epoch, rows in ((7, 1, 0, 50), (2**62, 3, 9, 1), (0, 0, 0, 333)):
        hashes = [derived_seed("epoch", seed, round_number, epoch, row) for row in range(rows)]
        assert epoch_order(seed, round_number, epoch, rows) == sorted(range(rows), key=lambda row: hashes[row])


def test_every_epoch_round_step_and_stage_has_a_seed_of_its_own() -> None:
    assert epoch_order(1, 1, 0, 20) != epoch_order(1, 1, 1, 20)
    assert epoch_order(1, 1, 0, 20) != epoch_order(1, 2, 0, 20)
    assert len({step_seed(1, step, stage) for step in range(50) for stage in range(3)}) == 150
    assert all(0 <= step_seed(2**63 - 1, step, 0) < 2**63 for step in range(100))
