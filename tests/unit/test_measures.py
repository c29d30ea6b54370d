"""What is measured: the table, counters by it, histograms; and that README tells the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner.core.measures import (
    COUNTED,
    MEASURES,
    OF_PEERS,
    PREFIX,
    STEMS,
    Histogram,
    Kind,
    Reading,
    added_up,
    counted,
    gauge,
)
from active_learner.services import broker, evaluator, status_board

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_every_counter_of_the_table_has_its_measure_and_labels(name: str) -> None:
    measure, *labels = COUNTED[name]
    assert MEASURES[measure].kind is Kind.COUNTER
    assert len(labels) == len(MEASURES[measure].labels) or name in STEMS


def test_a_counter_says_its_label_by_the_table_or_in_its_name() -> None:
    told = list(counted({"gaps": 1, "refused.limit": 2, "answers.stored": 3, "bad_frames": 4, "refused": 5}))
    assert told == [
        Reading("answers", ("stored",), 3.0),
        Reading("dropped", ("bad_frames",), 4.0),
        Reading("telemetry_gaps", (), 1.0),
        Reading("candidates", ("refused",), 5.0),
        Reading("refused", ("limit",), 2.0),
    ]


@pytest.mark.parametrize("name", sorted({*OF_PEERS, *broker.COUNTERS, *evaluator.REFUSES, *status_board.COUNTERS}))
def test_what_is_shown_before_it_was_counted_is_in_the_table(name: str) -> None:
    (reading,) = counted({}, name)
    assert reading.measure != "events"
    assert reading.value == 0
    assert list(counted({name: 3}, name)) == [reading._replace(value=3.0)]


def test_a_counter_that_is_not_in_the_table_is_told_all_the_same() -> None:
    assert list(counted({"brand.new": 7, "shed": 1})) == [
        Reading("events", ("brand.new",), 7.0),
        Reading("events", ("shed",), 1.0),
    ]


def test_two_counters_in_one_place_are_added_and_the_order_is_that_of_the_table() -> None:
    readings = [*gauge("labels", 3), *counted({"unknown": 1, "refused.unknown": 2}), *gauge("loss", None)]
    assert added_up(readings) == {"refused": {("unknown",): 3.0}, "labels": {(): 3.0}}
    assert list(added_up(readings)) == ["refused", "labels"]


def test_a_histogram_counts_up_to_each_bound_the_bound_included() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    assert histogram.cumulative() == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert histogram.total == pytest.approx(7.65)


def test_readme_names_every_metric_with_its_kind_labels_and_words() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, measure in MEASURES.items():
        full = f"{PREFIX}{name}{'_total' if measure.kind is Kind.COUNTER else ''}"
        labels = ", ".join(measure.labels)
        assert f"| `{full}` | {measure.kind.value} | {labels} | {measure.words} |" in readme
