"""The result in words: title, introduction, the large numbers. Knows the run's record; not how a page looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from active_learner.results.metrics import RoundMetrics, labels_to
from active_learner.results.record import RunRecord
from active_learner.results.words import duration, moment, percent, plural, quantile, wilson

DEFAULT_GOAL = 0.9


@dataclass(frozen=True, slots=True)
class LargeNumber:
    value: str
    small: str
    words: str


@dataclass(frozen=True, slots=True)
class Reached:
    """Where an arm stands in the comparison."""

    accuracy: float
    labels: int
    at_goal: bool


def reached(rounds: list[RoundMetrics], goal: float) -> Reached | None:
    """The first round at the goal, or the last measured one when none is; None: nothing was measured."""
    measured = _measured(rounds)
    if not measured:
        return None
    first = next((one for one in measured if (one.accuracy or 0.0) >= goal), None)
    told = first or measured[-1]
    return Reached(told.accuracy or 0.0, told.labels, first is not None)


def title(record: RunRecord, goal: float) -> str:
    """The result in one or two sentences."""
    if not record.rounds:
        return f"No round has ended yet. {plural(len(record.labels), 'label')} so far."
    control = reached(list(record.control), goal)
    own = reached(list(record.rounds), goal if control else 2.0)
    if own is None:
        last = record.rounds[-1]
        return f"{plural(last.labels, 'label')} learned in {plural(len(record.rounds), 'round')}. No held-out rows to measure by."
    said = f"{percent(own.accuracy)} right with {plural(own.labels, 'label')}."
    return f"{said} {_random_sentence(control)}" if control else said


def kicker(record: RunRecord) -> str:
    """Name, time, seed, state."""
    times = [one.at for one in record.rounds if one.at is not None]
    parts = [record.name, *([moment(times[-1])] if times else []), f"seed {record.setting('seed', default='?')}"]
    return " · ".join([*parts, plural(len(record.rounds), "round")])


def lede(record: RunRecord, goal: float) -> str:
    """Who answered, for how long, and what asking saved."""
    asked = [label for label in record.labels if label.question]
    people = len({label.annotator for label in asked})
    said = [f"{plural(people, 'labeler')} answered {plural(len(asked), 'question')}."] if asked else []
    saved = labels_saved(record, goal)
    if saved is not None and saved[0] > 0:
        share = saved[0] / saved[1]
        said.append(
            f"Asking what the model was least sure of saved {plural(saved[0], 'label')}, {percent(share, 0)} of the work."
        )
    elif saved is not None:
        said.append("In this run asking at random was no worse.")
    held_back = sum(1 for one in record.rounds if one.held_back)
    if held_back:
        said.append(f"{plural(held_back, 'round')} came to a worse model and went back to the one before.")
    return " ".join([*said, *agreed(record)])


def agreed(record: RunRecord) -> list[str]:
    """How far people agree about the same samples, as of the last round that knew."""
    told = next((one.agreement for one in reversed(record.rounds) if one.agreement), {})
    if not isinstance(told.get("samples"), int):
        return []
    who = f"{plural(told['samples'], 'sample')} had more than one annotator"
    alphas = told.get("alpha"), told.get("alpha_interval")
    if not all(isinstance(one, float) for one in alphas):
        return [f"{who}, who never said anything different."]
    exact, scale = alphas
    return [
        f"{who}: Krippendorff's alpha {exact:.2f}, or {scale:.2f} if the classes are a scale (1: all agree, 0: chance)."
    ]


def labels_saved(record: RunRecord, goal: float) -> tuple[int, int] | None:
    """Labels that random asking needed more to reach the goal, and how many it needed; None: an arm is not there."""
    own, control = labels_to(list(record.rounds), goal), labels_to(list(record.control), goal)
    return None if own is None or control is None else (control - own, control)


def large_numbers(record: RunRecord, goal: float) -> list[LargeNumber]:
    """Three or four, the result first."""
    if not record.rounds:
        return []
    last = record.rounds[-1]
    numbers = [*_accuracy(record), LargeNumber(f"{last.labels:,}".replace(",", " "), "", "labels learned from")]
    saved = labels_saved(record, goal)
    if saved is not None:
        numbers.append(
            LargeNumber(
                str(saved[0]), f"of {saved[1]}", f"labels saved against random on the way to {percent(goal, 0)}"
            )
        )
    else:
        numbers.append(LargeNumber(str(len(record.rounds)), "", "rounds of training"))
    return [*numbers, LargeNumber(duration(sum(one.seconds for one in record.rounds)), "", "of training")]


def times(record: RunRecord) -> list[tuple[str, str, str]]:
    """What, half within, 99 of 100 within."""
    asked_at = {question.id: question.asked_at for question in record.questions}
    spans = {
        "A training round": [one.seconds for one in record.rounds],
        "A step, with its share of validation and promotion": [
            one.seconds / one.steps for one in record.rounds if one.steps
        ],
        "From the question to the answer": [
            label.at - asked_at[label.question] for label in record.labels if label.question in asked_at
        ],
    }
    return [
        (words, duration(quantile(values, 0.5)), duration(quantile(values, 0.99)))
        for words, values in spans.items()
        if values
    ]


def _random_sentence(control: Reached) -> str:
    if control.at_goal:
        return f"Random asking needed {control.labels}."
    return f"Random asking got to {percent(control.accuracy)} with {control.labels}."


def _accuracy(record: RunRecord) -> list[LargeNumber]:
    measured = _measured(record.rounds)
    if not measured:
        return []
    last = measured[-1]
    accuracy, rows = last.accuracy or 0.0, held_out_rows(record, last)
    if rows is None:
        return [LargeNumber(percent(accuracy), "", "right on held-out samples, at the end")]
    low, high = wilson(accuracy, rows)
    half = f"± {(high - low) / 2 * 100:.1f}"
    return [LargeNumber(percent(accuracy), half, f"right on {rows} held-out samples, at the end")]


def _measured(rounds: Sequence[RoundMetrics]) -> list[RoundMetrics]:
    """Rounds whose model went on and of which an accuracy is known."""
    return [one for one in rounds if one.accuracy is not None and not one.held_back]


def held_out_rows(record: RunRecord, one: RoundMetrics) -> int | None:
    """Rows behind an accuracy: as the line says, or as many as were saved with the last predictions."""
    if one.held_out is not None:
        return one.held_out
    return len(record.validation.labels) if record.validation is not None else None
