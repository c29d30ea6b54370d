"""A run as its page sees it: rising curve, control arm, a pool that grows sure, people and peers. Invented numbers, for tests and pictures."""

from __future__ import annotations

from math import exp
from typing import Any

BINS = 14
HELD_OUT = 400


def _line(round_: int, labels: int, top: float, slope: float) -> dict[str, Any]:
    middle = 0.86 - 0.55 * (1 - exp(-round_ / 9))
    bins = [round(60 * exp(-((((b + 0.5) / BINS - middle) / (0.13 + 0.0022 * round_)) ** 2))) for b in range(BINS)]
    accuracy = round(HELD_OUT * (top - 0.75 * exp(-labels / slope) + 0.008 * ((round_ * 7) % 5 - 2) / 2)) / HELD_OUT
    return {
        "round": round_,
        "labels": labels,
        "accuracy": accuracy,
        "loss": 0.4,
        "held_out": HELD_OUT,
        "uncertainty": bins,
        "pool": min(200, 150 + 14 * round_ - 4 * (round_ % 3)),
        "model_version": round_,
    }


ROUNDS: dict[str, Any] = {
    "rounds": [_line(n, 10 + 5 * n, 0.97, 52) for n in range(29)],
    "control": [_line(n, 10 + 5 * n, 0.955, 78) for n in range(29)],
}
STATUS: dict[str, Any] = {
    "asking": "asking",
    "training": "computing",
    "round": 29,
    "epoch": 4,
    "epochs": 10,
    "batch": 3,
    "batches": 8,
    "step": 1203,
    "pool": 200,
    "pool_size": 200,
    "open_questions": 5,
    "labels": 150,
    "model_version": 18,
    "accuracy": 0.928,
    "loss": 0.214,
    "text": "",
    "answers": {"count": 150, "p50_s": 0.01, "p99_s": 0.02},
    "labels_per_minute": 10.5,
    "people": [
        {"annotator": "anna", "rate": 6.1, "minutes": [5, 6, 7, 4, 6, 7, 6, 5, 6, 7, 8, 6, 5, 6, 7, 6, 6, 5, 6, 7]},
        {"annotator": "ben", "rate": 4.4, "minutes": [0] * 7 + [4, 5, 4, 3, 4, 5, 6, 4, 4, 5, 4, 3, 5]},
    ],
    "peers": [
        {"name": "trainer", "role": "trainer", "age_s": 0.1, "health": "ok"},
        {"name": "evaluator", "role": "evaluator", "age_s": 0.3, "health": "ok"},
        {"name": "source", "role": "source", "age_s": 0.9, "health": "ok"},
        {"name": "page", "role": "labeler", "age_s": 4.2, "health": "late"},
    ],
}
