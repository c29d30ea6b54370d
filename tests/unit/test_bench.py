"""What benchmarks say: goals met and missed, never silent about what could not be measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from active_learner.bench import chromium, demo, facts, load, slow, step, step_task, waiting, waiting_page
from active_learner.bench.arms import Arm, run_command
from active_learner.bench.outcome import NO_SWERGIO, Goal, Outcome, times
from active_learner.bench.quick_labeler import Waits
from active_learner.errors import ActiveLearnerError
from active_learner.results.comparison import table
from active_learner.results.metrics import RoundMetrics


def measured(plain: float, wire: float, swergio: float | None, digest: str = "aa") -> Outcome:
    same = step_task.Steps(wire, wire, digest)
    found: dict[str, list[object]] = {
        step.PLAIN: [step_task.Steps(plain, plain, "other")],
        step.CUT: [step_task.Steps(plain, plain, "aa")],
        step.FUSED: [same],
        step.TWO: [same],
        step.SERVICE: [wire],
    }
    if swergio is not None:
        found[step.SWERGIO] = [step_task.Steps(swergio, swergio, "")]
    return step.told(found)


def test_goals_of_the_step_are_met_by_what_was_reached() -> None:
    outcome = measured(0.0003, 0.0010, 0.19)
    assert [goal.met for goal in outcome.goals] == [True, True, True, True]
    assert "Nagle" in outcome.table()
    assert "190x" in outcome.table()


def test_goals_of_the_step_are_missed_by_what_was_not() -> None:
    outcome = measured(0.0003, 0.0100, 0.19, digest="bb")
    assert [goal.met for goal in outcome.goals] == [False, False, False, False]
    assert "2 digests" in outcome.table()


def test_without_swergio_its_goal_is_missed_and_the_table_says_what_to_do() -> None:
    outcome = measured(0.0003, 0.0010, None)
    assert [goal.met for goal in outcome.goals] == [True, True, True, False]
    assert NO_SWERGIO in outcome.table()
    assert "MISSED  at least 50 times" in outcome.table()


def test_seeds_are_compared_by_medians_and_wins() -> None:
    outcome = demo.compared([demo.Pair(1, 50, 100), demo.Pair(2, 60, 90), demo.Pair(3, 120, None)], labels=200)
    assert outcome.rows[-1] == ("median", "60", "100", "0.60")
    assert outcome.rows[2] == ("3", "120", "-", "0.60")
    assert outcome.figures["wins"] == 3
    assert [goal.met for goal in outcome.goals] == [True, True]


def test_an_arm_that_does_not_get_there_is_no_win() -> None:
    outcome = demo.compared([demo.Pair(1, None, 100), demo.Pair(2, None, None)], labels=200)
    assert [goal.met for goal in outcome.goals] == [False, False]


def test_the_table_of_an_outcome_is_aligned_and_its_json_is_whole() -> None:
    outcome = Outcome("speed", ("way", "us"), rows=[("a long way", "5"), ("b", "1,000")])
    outcome.goals.append(Goal("fast", "5 us", True))
    lines = outcome.table().splitlines()
    assert lines[3:5] == ["a long way      5", "b           1,000"]
    assert outcome.as_json()["goals"] == [{"goal": "fast", "measured": "5 us", "met": True}]
    assert [times(share) for share in (0.0031, 0.733, 5.12, 171.2)] == ["0.003x", "0.73x", "5.12x", "171x"]


def test_both_loops_without_a_wire_learn_the_same_and_repeat_to_the_bit() -> None:
    assert step_task.plain_loop(4).digest == step_task.plain_loop(4).digest
    assert step_task.cut_loop(4).digest != step_task.cut_loop(5).digest


def test_machine_facts_name_cores_python_and_versions() -> None:
    assert {"cores", "python", "torch", "pyzmq", "swergio"} <= set(facts.facts())
    assert f"python {sys.implementation.name}".lower() in facts.told().lower()


def test_an_arm_is_the_shipped_experiment_on_a_broker_of_its_own() -> None:
    words = Arm(Path("runs/demo-random"), 3, 150, ("trainer.strategy=random",)).command()
    assert words[4:6] == ["up", "digits"]
    assert {"seed=3", "trainer.strategy=random", "name=demo-random"} <= set(words)
    assert words[-3:] == ["--labels", "150", "--new"]


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    with pytest.raises(ActiveLearnerError, match=r"(?s)exit code 3.*the reason"):
        run_command(command, tmp_path / "log", timeout_s=20)


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; print('waits', flush=True); signal.pause()"]
    with pytest.raises(ActiveLearnerError, match="not done after"):
        run_command(command, tmp_path / "log", timeout_s=0.2)


def test_two_arms_are_one_table_with_the_labels_to_the_goal() -> None:
    own = [RoundMetrics(1, 20, 0.5), RoundMetrics(2, 40, 0.92)]
    control = [RoundMetrics(1, 20, 0.5), RoundMetrics(2, 40, 0.7)]
    lines = [line.split() for line in table(own, control, 0.9)]
    assert lines[2] == ["40", "92.0", "%", "70.0", "%"]
    assert lines[3] == ["to", "90", "%", "40", "labels", "not", "reached"]


def crowded(lost: int = 0, p99_s: float = 0.001, shed: int = 30, peak_bytes: int = 60 << 20) -> load.Crowd:
    readers = {"one": {"manner": "all", "came": 100 - lost}, "two": {"manner": "slow", "came": 70}}
    return load.Crowd(100, 20_000.0, readers, [p99_s] * 200, peak_bytes, {"shed.log_line": shed})


def test_goals_of_slow_are_met_when_all_is_there_or_counted() -> None:
    found = {name: crowded() for name in (slow.IDLE, *slow.PHASES, slow.PUSH)}
    assert [goal.met for goal in slow.goals(found)] == [True] * 6


def test_goals_of_slow_tell_what_is_lacking_uncounted_large_or_late() -> None:
    found = {name: crowded() for name in (slow.IDLE, *slow.PHASES)}
    found["one slow"] = crowded(lost=3, p99_s=0.1)
    found[slow.PUSH] = crowded(shed=29, peak_bytes=300 << 20)
    told = [goal.told() for goal in slow.goals(found)]
    assert told[1:] == [
        "MISSED  the others lose nothing: 3 lacking",
        "MISSED  what is shed is counted exactly: 4 uncounted",
        "MISSED  broker under 256 MiB: 300 MiB",
        "MISSED  a slow member at most doubles the others' p99: 100x",
        "MISSED  and it is at most twice the idle one: 100x",
    ]


def test_a_run_in_which_a_session_was_lost_is_made_again_and_not_for_ever() -> None:
    attempts: list[int] = []

    def run() -> load.Crowd:
        attempts.append(1)
        if len(attempts) % 3:
            raise load.SessionLost
        return crowded()

    assert slow.steady(run).sent == 100
    with pytest.raises(load.SessionLost):
        slow.steady(run, attempts=2)
    assert len(attempts) == 5


def waits(p99_s: float = 0.02, missing: int = 0, training: float = 0.95) -> Waits:
    return Waits([0.005] * 97 + [p99_s] * 3, missing, 0.0, 0.0, 10.0, 5, training)


def test_goals_of_waiting_are_of_the_worst_run() -> None:
    assert [goal.met for goal in waiting.goals([waits(), waits()])] == [True] * 3
    told = [goal.told() for goal in waiting.goals([waits(), waits(0.06, 2, 0.5)])]
    assert told == [
        "MISSED  the next question is always there: missing 2 times in 200",
        "MISSED  receipt p99 under 50 ms: 60.0 ms",
        "MISSED  training without pause: 50% of the time",
    ]


def sitting(
    next_ms: float = 20.0, saved_ms: float = 40.0, missing: int = 0, training: float = 0.9
) -> waiting_page.Sitting:
    return waiting_page.Sitting((10.0,) * 97 + (next_ms,) * 3, (saved_ms,) * 100, missing, 25.0, 10, training)


def test_goals_of_the_page_are_of_the_worst_sitting() -> None:
    assert [goal.met for goal in waiting_page.goals([sitting(), sitting()])] == [True] * 5
    told = [goal.told() for goal in waiting_page.goals([sitting(), sitting(120.0, 55.0, 1, 0.5)])]
    assert told == [
        "met     key press to next question, p50 under 30 ms: 10.0 ms",
        "MISSED  key press to next question, p99 under 100 ms: 120.0 ms",
        "MISSED  the next question is always there: missing 1 times in 200",
        "MISSED  key press to durable receipt, p99 under 50 ms: 55.0 ms",
        "MISSED  training without pause: 50% of the time",
    ]


def test_a_page_that_cannot_be_measured_has_not_met_its_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "find", lambda: None)
    (goal,) = waiting_page.bench().goals
    assert not goal.met
    assert "NOT MEASURED" in goal.measured
