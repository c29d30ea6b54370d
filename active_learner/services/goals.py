"""When a run ends by itself. Knows the limits that a person gave and what the run has reached; starts nothing."""

from __future__ import annotations

from dataclasses import dataclass

from active_learner.core.records import RoundResult


@dataclass(frozen=True, slots=True)
class Goals:
    """None: no such limit. All count over the whole run, not since this start: a restarted trainer does not do more."""

    rounds: int | None = None
    labels: int | None = None
    accuracy: float | None = None

    def reached(self, results: list[RoundResult]) -> str | None:
        """Which goal is reached by these finished rounds, in words; None: none yet."""
        if not results:
            return None
        last = results[-1]
        measured = None if last.held_back else last.accuracy
        if self.accuracy is not None and measured is not None and measured >= self.accuracy:
            return f"accuracy {measured:.4f} reached {self.accuracy:g}"
        if self.labels is not None and last.labels >= self.labels:
            return f"{last.labels} labels reached"
        if self.rounds is not None and len(results) >= self.rounds:
            return f"{len(results)} rounds done"
        return None


def result_line(results: list[RoundResult], why: str) -> str:
    """One line for people and scripts: what the run came to. Accuracy and digest are of the weights that are there at its end."""
    if not results:
        return f"result: rounds=0 ({why})"
    last = results[-1]
    parts = [f"rounds={len(results)}", f"labels={last.labels}"]
    best = next((result for result in reversed(results) if not result.held_back), last)
    if best.accuracy is not None:
        parts.append(f"accuracy={best.accuracy:.4f}")
    parts += [f"model_version={last.model_version}", f"digest={last.digest[:12]}"]
    return f"result: {' '.join(parts)} ({why})"
