"""What is measured: names, kinds and words in one table, and which counter is which. Knows no exporter, clock or process.

Services count in plain mappings (`counters`), as they go; only when somebody looks are these made into readings by the
table. A counter that is not in it is told under `events`: nothing that is counted is hidden.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

PREFIX = "active_learner_"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram of times: a step takes 2 ms, a commit 1 to 20, whatever takes longer than 10 s is stuck."""


class Kind(Enum):
    COUNTER = "counter"
    """Since the process started; only grows. Its name ends with _total."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Measure:
    kind: Kind
    words: str
    labels: tuple[str, ...] = ()
    """Names of what tells one value from another: few values each, and bounded in number."""


MEASURES: dict[str, Measure] = {
    "relayed": Measure(Kind.COUNTER, "Copies of messages that the broker passed on"),
    "shed": Measure(Kind.COUNTER, "Messages dropped from the queue of a member that reads too slowly", ("what",)),
    "lost": Measure(Kind.COUNTER, "Messages thrown away with the queue of a member that was evicted or is gone"),
    "undelivered": Measure(Kind.COUNTER, "Times that a sender was told that nobody, or not this member, got a message"),
    "evicted": Measure(Kind.COUNTER, "Members that read nothing (broker), samples of a full pool (trainer)"),
    "cut_off": Measure(Kind.COUNTER, "Connections and keys not heard for a while after three offences"),
    "refused": Measure(Kind.COUNTER, "What was not accepted", ("reason",)),
    "dropped": Measure(Kind.COUNTER, "What was left without a word to its sender", ("reason",)),
    "duplicates": Measure(Kind.COUNTER, "Repeats and late copies that changed nothing", ("of",)),
    "resends": Measure(Kind.COUNTER, "What was said again because no answer came", ("what",)),
    "telemetry_gaps": Measure(Kind.COUNTER, "Reports and log lines that were said and not heard"),
    "sessions_lost": Measure(Kind.COUNTER, "Times that this peer lost the broker"),
    "answers": Measure(Kind.COUNTER, "Answers of labelers by what became of them", ("status",)),
    "candidates": Measure(Kind.COUNTER, "Rows proposed by sources, by what became of them", ("outcome",)),
    "webhooks": Measure(Kind.COUNTER, "Webhook messages and attempts by what became of them", ("outcome",)),
    "checkpoints": Measure(Kind.COUNTER, "Checkpoints in the middle of a round, by what became of them", ("outcome",)),
    "events": Measure(Kind.COUNTER, "Counted, and not in this table", ("event",)),
    "peers": Measure(Kind.GAUGE, "Sessions on the broker"),
    "rooms": Measure(Kind.GAUGE, "Rooms on the broker"),
    "queue_messages": Measure(
        Kind.GAUGE, "What waits: for members (broker), for the store (trainer), for the network (evaluator)", ("of",)
    ),
    "queue_bytes": Measure(Kind.GAUGE, "Bytes that wait in the broker for all its members"),
    "backlog_messages": Measure(Kind.GAUGE, "Messages that wait in the broker for a slow member", ("peer",)),
    "backlog_bytes": Measure(Kind.GAUGE, "Bytes that wait in the broker for a slow member", ("peer",)),
    "member_shed": Measure(Kind.GAUGE, "Messages shed for a member since it came", ("peer",)),
    "pool_samples": Measure(Kind.GAUGE, "Unlabeled samples in the pool"),
    "unscored_batches": Measure(Kind.GAUGE, "Candidates that wait for their scores, in messages"),
    "open_questions": Measure(Kind.GAUGE, "Questions without an answer"),
    "held_questions": Measure(Kind.GAUGE, "Open questions that an annotator holds"),
    "waiting_questions": Measure(Kind.GAUGE, "Open questions that nobody holds"),
    "labels": Measure(Kind.GAUGE, "Samples with a label"),
    "round": Measure(Kind.GAUGE, "Training round, the last one or the one under way"),
    "step": Measure(Kind.GAUGE, "Last applied training step"),
    "model_version": Measure(Kind.GAUGE, "Step of the model that scores candidates"),
    "accuracy": Measure(Kind.GAUGE, "On the held-out rows, 0 to 1, after the last round"),
    "loss": Measure(Kind.GAUGE, "On the held-out rows, after the last round"),
    "agreement": Measure(
        Kind.GAUGE, "Krippendorff's alpha of those who labelled the same samples, after the last round"
    ),
    "webhooks_waiting": Measure(Kind.GAUGE, "Webhook messages that are not delivered yet"),
    "outbox_messages": Measure(Kind.GAUGE, "What this peer said and has no answer for"),
    "pages": Measure(Kind.GAUGE, "Open pages of people who label"),
    "checkpoint_step": Measure(Kind.GAUGE, "Step of the newest checkpoint"),
    "checkpoint_age_seconds": Measure(Kind.GAUGE, "Since the newest checkpoint was written"),
    "step_seconds": Measure(Kind.HISTOGRAM, "From one applied training step to the next"),
    "answer_seconds": Measure(
        Kind.HISTOGRAM, "From the coming of a person's answer over HTTP to the trainer's receipt"
    ),
    "commit_seconds": Measure(Kind.HISTOGRAM, "Until the store had an answer, questions or a plan on disk"),
}
"""Name, without the prefix and without _total -> what it says."""

COUNTED: dict[str, tuple[str, ...]] = {
    "relayed": ("relayed",),
    "shed": ("shed",),
    "lost": ("lost",),
    "undelivered": ("undelivered",),
    "evicted": ("evicted",),
    "cut_off": ("cut_off",),
    "unknown": ("refused", "unknown"),
    "ignored": ("dropped", "ignored"),
    "flooded": ("dropped", "flood"),
    "not_connected": ("dropped", "not_connected"),
    "outbox_full": ("dropped", "outbox_full"),
    "bad_frames": ("dropped", "bad_frames"),
    "dropped": ("dropped", "unread"),
    "dropped_unscored": ("dropped", "unscored"),
    "too_many": ("dropped", "too_many"),
    "source_dropped": ("dropped", "by_source"),
    "gaps": ("telemetry_gaps",),
    "sessions_lost": ("sessions_lost",),
    "re-sent": ("resends", "requests"),
    "re_sent": ("resends", "steps"),
    "resent_answers": ("resends", "answers"),
    "resent": ("resends", "candidates"),
    "stale_messages": ("duplicates", "training"),
    "stray_scores": ("duplicates", "scores"),
    "repeated_receipts": ("duplicates", "receipts"),
    "repeated_work": ("duplicates", "work"),
    "wrong_role": ("refused", "wrong_role"),
    "unhandled": ("refused", "unhandled"),
    "bad_input": ("refused", "bad_input"),
    "refused_steps": ("refused", "step"),
    "dead_letters": ("refused", "dead_letter"),
    "checkpoints": ("checkpoints", "written"),
    "failed_checkpoints": ("checkpoints", "failed"),
    "proposed": ("candidates", "proposed"),
    "unscored": ("candidates", "unscored"),
    "new": ("candidates", "new"),
    "known": ("candidates", "known"),
    "refused": ("candidates", "refused"),
    "answers": ("answers",),
}
"""Counter of a service -> measure and label. "refused.CODE", "shed.WHAT", "answers.STATUS" and
"webhooks.OUTCOME" have their label in the name."""

STEMS = frozenset({"refused", "shed", "answers", "webhooks"})

OF_PEERS = ("bad_frames", "gaps", "not_connected", "outbox_full", "re-sent", "sessions_lost")
"""Counted by every process that is a peer."""


class Histogram:
    """How many observations were up to each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, int]]:
        """(bound as text, observations up to it), the last one "+Inf"."""
        found, so_far = [], 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found


class Reading(NamedTuple):
    """One value of a measure."""

    measure: str
    labels: tuple[str, ...]
    value: float | Histogram


def gauge(measure: str, value: float | None, *labels: str) -> Iterator[Reading]:
    """Nothing for None: what is not known yet is not 0."""
    if value is not None:
        yield Reading(measure, labels, float(value))


def counted(counters: Mapping[str, int], *may: str) -> Iterator[Reading]:
    """What a service counted, by the table. `may`: counters that are shown at 0 before it has: what is missing cannot be told
    from what is not counted, and the first of a kind would not show as a change."""
    for name, number in sorted({**dict.fromkeys(may, 0), **counters}.items()):
        measure, *labels = _placed(name)
        yield Reading(measure, tuple(labels), float(number))


def _placed(name: str) -> tuple[str, ...]:
    stem, _, label = name.partition(".")
    if label and stem in STEMS:
        return stem, label
    found = COUNTED.get(name)
    return ("events", name) if found is None or len(MEASURES[found[0]].labels) != len(found) - 1 else found


def added_up(readings: Iterable[Reading]) -> dict[str, dict[tuple[str, ...], float | Histogram]]:
    """By measure, in the order of the table. Two counters may have one place: they are added."""
    found: dict[str, dict[tuple[str, ...], float | Histogram]] = {name: {} for name in MEASURES}
    for measure, labels, value in readings:
        place = found[measure]
        before = place.get(labels, 0.0)
        place[labels] = value if isinstance(value, Histogram) or isinstance(before, Histogram) else before + value
    return {name: values for name, values in found.items() if values}
