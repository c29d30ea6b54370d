"""The verdict of a run under fire: it can be bad."""

from __future__ import annotations

import pytest

from active_learner.commands import verdict
from active_learner.core.records import Plan, RoundResult
from active_learner.faults.attacks import KILL, STOP, Attack
from active_learner.faults.history import History, Kept, told
from active_learner.services.chaos import Account, Blow
from active_learner.services.observer import Back


def plan(round_number: int, first_step: int) -> Plan:
    """Two steps."""
    return Plan(round_number, first_step, ("a", "b"), (0, 1), 7, 1, 1, "cross_entropy", first_step - 1)


def result(of: Plan, step: int | None = None) -> RoundResult:
    return RoundResult(of.round, of.last_step if step is None else step, "digest", 2, None, None, None, 1.0, 1.0)


def account(*blows: Blow) -> Account:
    return Account(list(blows))


BACK = Blow(Attack("broker", KILL), back=Back(0.5, "spoke"))


def test_a_lost_answer_is_a_miss_and_is_named() -> None:
    history = History()
    history.read(told("stored", "a1", "q1") + told("stored", "a2", "q2"))
    good = [Kept("a1", "q1", "ann", 0, 1), Kept("a2", "q2", "ann", 0, 1)]
    assert verdict.answers(history, good).met
    bad = verdict.answers(history, good[:1])
    assert not bad.met
    assert "a2" in bad.measured


def test_steps_must_follow_one_another_and_be_reached() -> None:
    first, second = plan(1, 1), plan(2, 3)
    assert verdict.steps([(first, result(first)), (second, result(second)), (plan(3, 5), None)]).met
    assert not verdict.steps([(first, result(first)), (plan(2, 4), None)]).met
    assert not verdict.steps([(first, result(first, 1))]).met
    assert not verdict.steps([]).met


@pytest.mark.parametrize(
    ("found", "wanted", "misses"),
    [
        (account(BACK), 1, 0),
        (account(BACK), 2, 1),
        (account(Blow(Attack("broker", KILL))), 1, 1),
        (account(Blow(Attack("broker", KILL), interrupted=True), BACK), 2, 0),
        (Account([BACK], ["trainer ended with 5: no store"]), 1, 1),
    ],
    ids=["all well", "one attack missing", "one not back", "died again before it could be", "one ended by itself"],
)
def test_what_was_not_done_or_not_survived_is_a_miss(found: Account, wanted: int, misses: int) -> None:
    assert sum(not goal.met for goal in verdict.attacks(found, wanted)) == misses


def test_only_deaths_that_were_answered_by_a_word_are_measured() -> None:
    found = account(
        BACK,
        Blow(Attack("broker", "broker.after_send"), back=Back(1.5, "spoke")),
        Blow(Attack("labeler", KILL), back=Back(1.0, "joined")),
        Blow(Attack("source", STOP), back=Back(1.0, "spoke")),
    )
    assert found.seconds() == {"broker": [0.5, 1.5]}
    assert found.inside() == {"broker": 1}
    assert found.deaths == 3
    assert verdict.recovery(found) == "broker 1.00 s (at most 1.50)"
    assert verdict.recovery(account()) == "nobody had to"
