"""The asking machine that never stops, step by step: the queue, how it is chosen anew, and when rounds are wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learner.core import asking_events as a
from active_learner.core.pool import Pool
from active_learner.core.queueing import EACH, MOST_AHEAD, SAVE_POOL_S, QueueMachine
from active_learner.core.records import AskedQuestion, LabelEvent, Selection
from active_learner.strategies.uncertainty import LeastConfidence

RULES = a.AskingRules(pool_size=4, query_size=99, queue_size=2, round_labels=3)
BY_TIME = replace(RULES, round_labels=None, round_s=60.0)
SOURCE = 77


def machine(rules: a.AskingRules = RULES, capacity: int = 20, **options: object) -> QueueMachine:
    options = {"name": "run-1", "at": 0.0, **options}
    one = QueueMachine(rules, Pool(capacity, 2), **options)  # type: ignore[arg-type]
    one.handle(a.EvaluatorHere(True, 0.0))
    return one


def key(number: int) -> str:
    return f"k{number:02d}"


def candidates(id: str, *numbers: int, at: float = 0.0) -> a.CandidatesHeard:
    rows = np.array([[number] for number in numbers], np.float32)
    return a.CandidatesHeard(id, SOURCE, tuple(key(n) for n in numbers), rows, 0, "", at)


def scores(re: str, *certain: float, version: int = 0, at: float = 0.0) -> a.ScoresHeard:
    return a.ScoresHeard(re, version, np.array([[p, 1 - p] for p in certain], np.float32), at)


def fill(one: QueueMachine, *numbers: int, at: float = 0.0) -> None:
    """Sample n has max probability 0.5 + n/100: the lower n, the more uncertain."""
    one.handle(candidates(f"c{numbers}", *numbers, at=at))
    one.handle(scores(f"c{numbers}", *(0.5 + n / 100 for n in numbers), at=at))


def selected(one: QueueMachine, select: a.Command, at: float) -> list[a.Command]:
    """What the strategy's choice leads to."""
    assert isinstance(select, a.Select)
    selection = LeastConfidence().select(select.view, select.count, np.random.default_rng(0))
    return one.handle(a.SelectionMade(select.view, selection, "least_confidence", at, 1000.0))


def stored(one: QueueMachine, commands: list[a.Command], at: float) -> list[a.Command]:
    (store,) = commands
    assert isinstance(store, a.StoreQuestions)
    return one.handle(a.QuestionsStored(tuple(question.id for question in store.questions), at))


def ask(one: QueueMachine, at: float = 0.0) -> tuple[AskedQuestion, ...]:
    """From a due Tick to the questions that it opens."""
    (select,) = one.handle(a.Tick(at))
    opened, *_ = stored(one, selected(one, select, at), at)
    assert isinstance(opened, a.OpenQuestions)
    return opened.questions


def said(question: AskedQuestion, action: str = "answer", status: str = "stored", at: float = 1.0) -> a.AnswerStored:
    value = 1 if action in ("answer", "revise") else None
    event = LabelEvent(f"{question.id}{action}", question.id, question.key, "ann", 0, action, value, 5.0)
    return a.AnswerStored(event, status, value is not None, question.features, at)


def answer(one: QueueMachine, question: AskedQuestion, at: float = 1.0) -> None:
    assert one.handle(said(question, at=at)) == []
    assert one.handle(a.QuestionResolved(question.id, at)) == []


def asking(rules: a.AskingRules = RULES, **options: object) -> tuple[QueueMachine, tuple[AskedQuestion, ...]]:
    one = machine(rules, **options)
    fill(one, 1, 2, 3, 4, 5, 6)
    return one, ask(one)


def trained(one: QueueMachine, round: int, at: float, *, rescored: dict[int, float], version: int) -> None:
    """A round is over, and its model says how certain it is of these samples, of all others 0.9."""
    one.handle(a.RoundPlanned(at))
    for refresh in one.handle(a.RoundOver(round, version, at)):
        assert isinstance(refresh, a.Refresh)
        rows = [rescored.get(int(row[0]), 0.9) for row in refresh.features]
        one.handle(scores(refresh.id, *rows, version=version, at=at))


# --- the queue ----------------------------------------------------------------------------------------------------


def test_it_waits_for_a_full_pool_once_and_then_keeps_the_queue_full() -> None:
    one = machine()
    fill(one, 1, 2, 3)
    assert one.handle(a.Tick(0.0)) == []
    fill(one, 4)
    first, second = ask(one)
    assert [first.key, second.key] == [key(1), key(2)]
    assert one.handle(a.Tick(0.0)) == []
    answer(one, first)
    (third,) = ask(one)
    assert third.key == key(3)
    assert one.unanswered() == (second, third)


@pytest.mark.parametrize("why", ["ended", "silent", "nobody scores"])
def test_without_more_candidates_or_an_evaluator_it_asks_from_what_there_is(why: str) -> None:
    one = machine()
    fill(one, 1, 2, 3)
    at = {"ended": 0.0, "silent": RULES.source_timeout_s, "nobody scores": RULES.refresh_timeout_s}[why]
    if why == "ended":
        one.handle(a.SourceGone(SOURCE, True, 0.0))
    if why == "nobody scores":
        one.handle(a.EvaluatorHere(False, 0.0))
        one.handle(candidates("unscored", 4))
        one.handle(a.Tick(at))
    assert [question.stale for question in ask(one, at)] == [why == "nobody scores"] * 2


def test_the_initial_labels_are_drawn_at_random_whatever_the_queue_holds() -> None:
    one = machine(replace(RULES, initial_labels=3))
    fill(one, 1, 2, 3, 4, 5, 6)
    (select,) = one.handle(a.Tick(0.0))
    assert isinstance(select, a.Select)
    assert (select.strategy, select.count) == ("random", 2)
    opened, *_ = stored(one, selected(one, select, 0.0), 0.0)
    assert isinstance(opened, a.OpenQuestions)
    answer(one, opened.questions[0])
    (select,) = one.handle(a.Tick(1.0))
    assert isinstance(select, a.Select)
    assert (select.strategy, select.count) == ("random", 1)
    stored(one, selected(one, select, 1.0), 1.0)
    answer(one, opened.questions[1])
    (select,) = one.handle(a.Tick(1.0))
    assert isinstance(select, a.Select)
    assert (select.strategy, select.count) == ("", 1)


def test_no_more_is_open_than_the_budget_of_labels_has_left() -> None:
    one, (first, second) = asking(replace(RULES, label_budget=3, round_labels=99))
    answer(one, first)
    assert len(ask(one)) == 1
    answer(one, second)
    assert one.handle(a.Tick(1.0)) == []
    assert len(one.unanswered()) == 1


def test_scores_that_nobody_waits_for_are_counted_and_refused_candidates_told() -> None:
    one = machine()
    assert one.handle(scores("nobody", 0.9)) == []
    assert one.intake.counters["stray_scores"] == 1
    one.handle(candidates("c", 1))
    receipt, note = one.handle(a.ScoresRefused("c", "not finite", 1.0))
    assert receipt == a.SendReceipt(SOURCE, "c", 0, 0, 1, 0, "not finite")
    assert isinstance(note, a.Note)


def test_who_is_here_is_known() -> None:
    one = machine()
    assert one.handle(a.LabelerHere("ann", True, 0.0)) == []
    assert one.here.labelers == {"ann"}
    assert one.handle(a.LabelerHere("ann", False, 0.0)) == []
    assert not one.here.labelers


def test_an_empty_choice_is_made_again() -> None:
    one = machine()
    fill(one, 1, 2, 3, 4)
    (select,) = one.handle(a.Tick(0.0))
    assert isinstance(select, a.Select)
    nothing = Selection(np.array([], np.int64), np.array([], np.float64))
    assert one.handle(a.SelectionMade(select.view, nothing, "x", 0.0, 0.0)) == []
    assert len(ask(one)) == 2


def test_what_everybody_passed_is_closed_and_asked_again_later() -> None:
    one, (first, second) = asking()
    assert one.handle(said(first, "skip")) == []
    assert one.handle(a.QuestionPassed(first.id, 1.0)) == [a.CloseQuestions((first.id,), "skipped")]
    assert one.handle(a.QuestionPassed(first.id, 1.0)) == []
    assert one.handle(a.QuestionReopened(first.id, 1.0)) == []
    assert first.key in one.pool
    (third,) = ask(one, 1.0)
    assert third.key == key(3)
    answer(one, second, 40.0)
    assert [question.key for question in ask(one, 40.0)] == [key(1)]


def test_when_everything_was_skipped_it_is_told_once_and_waited_for() -> None:
    one = machine(replace(RULES, pool_size=1))
    fill(one, 1)
    (only,) = ask(one)
    one.handle(a.QuestionPassed(only.id, 1.0))
    (note,) = one.handle(a.Tick(1.0))
    assert isinstance(note, a.Note)
    assert one.handle(a.Tick(2.0)) == []
    assert [question.key for question in ask(one, 31.0)] == [key(1)]


def test_a_pool_that_cools_before_the_first_question_is_told_too() -> None:
    one = machine()
    fill(one, 1)
    one.handle(said(AskedQuestion("old", key(9), np.array([9.0], np.float32), 0, "", 0.0, 1, 0, False, 1, 0.0), "undo"))
    one.pool.remove([key(1)])
    (note,) = one.handle(a.Tick(2.0))
    assert isinstance(note, a.Note)


@pytest.mark.parametrize("asked_before", [False, True])
def test_sources_that_propose_only_what_is_known_are_told_so(asked_before: bool) -> None:
    one = machine(replace(RULES, pool_size=1))
    one.handle(a.SourceHere(SOURCE, 0.0))
    if asked_before:
        fill(one, 1)
        answer(one, *ask(one))
        assert one.handle(a.Tick(1.0)) == []
    at = 2 * RULES.source_timeout_s
    found = [command for _ in range(2) for command in one.handle(a.Tick(at))]
    assert a.Diversify() in found
    assert found.count(a.Diversify()) == 1


def test_an_undone_label_leaves_the_labels_and_others_are_asked_for_it_after_a_while() -> None:
    one, (first, second) = asking()
    answer(one, first)
    ask(one)
    one.handle(said(first, "undo", at=2.0))
    assert first.key not in one.labeled
    assert first.key in one.pool
    answer(one, second, 3.0)
    assert [question.key for question in ask(one, 3.0)] == [key(4)]
    one.handle(said(first, at=4.0))
    assert first.key in one.labeled
    assert first.key not in one.pool


def test_an_undo_of_one_of_several_answers_leaves_the_label() -> None:
    one, (first, _) = asking()
    one.handle(said(first))
    one.handle(replace(said(first, "undo"), labeled=True))
    assert first.key in one.labeled


def test_repeated_and_refused_answers_have_no_effect() -> None:
    one, (first, _) = asking()
    for status in ("duplicate", "conflict", "surplus"):
        assert one.handle(said(first, status=status)) == []
    assert one.rounds.changes == 0


# --- chosen anew --------------------------------------------------------------------------------------------------


def test_a_new_model_chooses_anew_and_what_somebody_holds_stays() -> None:
    one, (held, free) = asking()
    trained(one, 1, 5.0, rescored={5: 0.5, 6: 0.6}, version=20)
    (select,) = one.handle(a.Tick(5.0))
    assert isinstance(select, a.Select)
    assert set(select.view.keys) == {key(n) for n in range(1, 7)}
    assert set(select.view.model_versions.tolist()) == {20}
    assert stored(one, selected(one, select, 5.0), 5.0) == [a.TakeBack((held.id, free.id))]
    opened, closed = one.handle(a.TakenBack((free.id,), 5.0))
    assert isinstance(opened, a.OpenQuestions)
    assert isinstance(closed, a.CloseQuestions)
    (new,) = opened.questions
    assert (new.key, new.model_version, new.rank, new.round) == (key(5), 20, 1, 2)
    assert (len(closed.ids), closed.why) == (1, "re-ranked")
    assert one.unanswered() == (held, new)
    assert free.key in one.pool
    assert float(one.pool[free.key].uncertainty) == pytest.approx(0.1)


def test_what_is_chosen_again_is_asked_under_a_new_id_with_its_new_reason() -> None:
    one, (first, second) = asking()
    trained(one, 1, 5.0, rescored={2: 0.5, 1: 0.55}, version=20)
    (select,) = one.handle(a.Tick(5.0))
    stored(one, selected(one, select, 5.0), 5.0)
    (opened,) = one.handle(a.TakenBack((first.id, second.id), 5.0))
    assert isinstance(opened, a.OpenQuestions)
    assert [question.key for question in opened.questions] == [key(2), key(1)]
    assert {question.id for question in opened.questions}.isdisjoint({first.id, second.id})
    assert {question.model_version for question in opened.questions} == {20}


def test_at_no_moment_of_choosing_anew_is_the_queue_empty() -> None:
    one, questions = asking()
    trained(one, 1, 5.0, rescored={5: 0.5, 6: 0.6}, version=20)
    (select,) = one.handle(a.Tick(5.0))
    assert one.unanswered() == questions
    stored(one, selected(one, select, 5.0), 5.0)
    assert one.unanswered() == questions
    one.handle(a.TakenBack(tuple(question.id for question in questions), 5.0))
    assert [question.key for question in one.unanswered()] == [key(5), key(6)]


def test_answers_while_it_is_chosen_anew_keep_their_samples_out() -> None:
    one, (first, second) = asking()
    trained(one, 1, 5.0, rescored={1: 0.5, 2: 0.55}, version=20)
    (select,) = one.handle(a.Tick(5.0))
    asked = selected(one, select, 5.0)
    answer(one, first, 5.0)
    one.handle(a.QuestionPassed(second.id, 5.0))
    opened = stored(one, asked, 5.0)
    assert [type(command) for command in opened] == [a.CloseQuestions]
    assert one.unanswered() == ()
    assert first.key not in one.pool


def test_the_scores_of_a_new_model_are_not_waited_for_for_ever() -> None:
    one, _ = asking()
    one.handle(a.RoundPlanned(5.0))
    one.handle(a.RoundOver(1, 20, 5.0))
    assert one.handle(a.Tick(5.0)) == []
    one.handle(a.RoundOver(2, 40, 9.0))
    note, select, *refreshes = one.handle(a.Tick(5.0 + RULES.refresh_timeout_s))
    assert [type(command) for command in refreshes] == [a.Refresh, a.Refresh]
    assert isinstance(note, a.Note)
    assert isinstance(select, a.Select)


def test_models_that_come_faster_than_their_scores_are_scored_one_after_the_other() -> None:
    one, _ = asking()
    first = one.handle(a.RoundOver(1, 20, 5.0))
    assert one.handle(a.RoundOver(2, 40, 5.1)) == []
    for refresh in first:
        assert isinstance(refresh, a.Refresh)
        one.handle(scores(refresh.id, *[0.9] * len(refresh.features), version=20, at=5.2))
    select, *second = one.handle(a.Tick(5.2))
    assert isinstance(select, a.Select)
    assert [type(command) for command in second] == [a.Refresh, a.Refresh]


def test_the_queue_is_not_chosen_anew_all_the_time() -> None:
    one, questions = asking()
    trained(one, 1, 5.0, rescored={}, version=20)
    (select,) = one.handle(a.Tick(5.0))
    stored(one, selected(one, select, 5.0), 5.0)
    one.handle(a.TakenBack(tuple(question.id for question in questions), 5.0))
    trained(one, 2, 5.1, rescored={}, version=40)
    assert one.handle(a.Tick(5.9)) == []
    assert [type(command) for command in one.handle(a.Tick(6.0))] == [a.Select]


def test_the_same_model_again_changes_nothing() -> None:
    one, _ = asking()
    assert one.handle(a.ModelStands(0, 1.0)) == []
    assert one.handle(a.Tick(1.0)) == []
    assert len(one.handle(a.ModelStands(7, 1.0))) == 2


def test_questions_for_the_initial_labels_are_not_chosen_anew() -> None:
    one, questions = asking(replace(RULES, initial_labels=9))
    trained(one, 1, 5.0, rescored={}, version=20)
    assert one.handle(a.Tick(5.0)) == []
    assert one.unanswered() == questions


def test_a_pool_that_is_cleared_is_waited_for_again() -> None:
    one, (first, second) = asking(replace(RULES, clear_pool=True))
    trained(one, 1, 5.0, rescored={}, version=20)
    assert (len(one.pool), one.phase) == (0, "collecting")
    answer(one, first, 6.0)
    fill(one, 7, 8, 9, at=6.0)
    assert one.handle(a.Tick(6.0)) == []
    fill(one, 10, at=6.0)
    assert [question.key for question in ask(one, 6.0)] == [key(7)]
    assert second in one.unanswered()


def test_the_pool_is_saved_when_questions_are_opened_but_not_all_the_time() -> None:
    one = machine(replace(RULES, queue_size=1, round_labels=99))
    fill(one, 1, 2, 3, 4, 5, 6)
    saved = []
    for at in (0.0, 1.0, SAVE_POOL_S):
        (select,) = one.handle(a.Tick(at))
        opened, *rest = stored(one, selected(one, select, at), at)
        saved.append(rest == [a.SavePool()])
        answer(one, opened.questions[0], at)  # type: ignore[union-attr]
    assert saved == [True, False, True]


def test_what_is_undone_before_anything_is_asked_is_told_to_cool_once_and_holds_no_round_up() -> None:
    """After a restart, or when the pool is cleared after each round."""
    one = machine(replace(RULES, round_labels=1), labeled=[key(1)])
    gone = AskedQuestion("q", key(1), np.array([1], np.float32), 1, "margin", 0.5, 1, 0, False, 9, 1.0)
    one.handle(said(gone, "undo"))
    assert [type(command) for command in one.handle(a.Tick(1.0))] == [a.Note]
    assert one.handle(a.Tick(1.1)) == [a.WantRound()]
    assert one.handle(a.Tick(1.2)) == []


# --- rounds -------------------------------------------------------------------------------------------------------


def test_every_so_many_changes_of_labels_want_a_round() -> None:
    one, (first, second) = asking()
    answer(one, first)
    one.handle(said(first, "revise", at=2.0))
    ask(one)
    assert one.handle(a.Tick(2.0)) == []
    answer(one, second, 3.0)
    ask(one, 3.0)
    assert one.handle(a.Tick(3.0)) == [a.WantRound()]
    assert one.handle(a.Tick(3.0)) == []


def test_a_round_that_is_due_while_one_is_under_way_is_wanted_when_that_is_over() -> None:
    one, _ = asking(replace(RULES, round_labels=1))
    answer(one, one.unanswered()[0])
    ask(one)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]
    one.handle(a.RoundPlanned(1.0))
    answer(one, one.unanswered()[0])
    (asked_meanwhile,) = ask(one)
    assert asked_meanwhile.round == 2
    assert one.handle(a.Tick(2.0)) == []
    one.handle(a.RoundOver(1, 0, 3.0))
    assert one.handle(a.Tick(3.0)) == [a.WantRound()]


def test_what_came_before_the_plan_is_of_its_round_and_not_of_the_next() -> None:
    one, (first, second) = asking(replace(RULES, round_labels=1))
    answer(one, first)
    ask(one)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]
    answer(one, second)
    ask(one)
    one.handle(a.RoundPlanned(1.0))
    one.handle(a.RoundOver(1, 0, 3.0))
    assert one.handle(a.Tick(3.0)) == []


def test_by_time_a_round_is_wanted_when_anything_changed() -> None:
    one, (first, _) = asking(BY_TIME)
    assert one.handle(a.Tick(100.0)) == []
    answer(one, first, 100.0)
    ask(one, 100.0)
    assert one.handle(a.Tick(100.0)) == [a.WantRound()]
    one.handle(a.RoundPlanned(101.0))
    one.handle(a.RoundOver(1, 0, 102.0))
    one.handle(said(first, "undo", at=103.0))
    assert one.handle(a.Tick(160.0)) == []
    assert one.handle(a.Tick(161.0)) == [a.WantRound()]


def test_a_round_without_labels_is_not_wanted_again_until_there_is_one() -> None:
    one, (first, _) = asking(replace(RULES, round_labels=1))
    answer(one, first)
    ask(one)
    one.handle(said(first, "undo"))
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]
    one.handle(a.RoundOver(None, 0, 2.0))
    assert one.handle(a.Tick(2.0)) == []


@pytest.mark.parametrize("rules", [RULES, BY_TIME])
def test_the_last_labels_are_trained_when_nothing_is_left_to_ask(rules: a.AskingRules) -> None:
    one = machine(rules)
    one.handle(a.SourceHere(SOURCE, 0.0))
    fill(one, 1)
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    (only,) = ask(one)
    assert one.handle(a.Tick(0.5)) == []
    answer(one, only)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]


def test_the_last_labels_are_trained_though_nobody_can_tell_what_the_last_sample_is() -> None:
    """It is asked again every while, in vain."""
    one = machine(replace(RULES, queue_size=9))
    one.handle(a.SourceHere(SOURCE, 0.0))
    fill(one, 1, 2)
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    first, second = ask(one)
    answer(one, first)
    one.handle(a.QuestionPassed(second.id, 1.0))
    assert [type(command) for command in one.handle(a.Tick(1.0))] == [a.Note]
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]


def test_the_last_labels_of_the_budget_are_trained() -> None:
    one, (first, second) = asking(replace(RULES, label_budget=2))
    answer(one, first)
    assert one.handle(a.Tick(1.0)) == []
    answer(one, second)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]


# --- after a restart ----------------------------------------------------------------------------------------------


def test_open_questions_of_an_earlier_trainer_are_kept_and_the_queue_is_filled_up() -> None:
    _, (first, second) = asking()
    later = machine(replace(RULES, queue_size=3), name="run-2", open_questions=[first, second])
    fill(later, 1, 2, 3)
    (third,) = ask(later)
    assert later.unanswered() == (first, second, third)
    assert third.key == key(3)


def test_two_questions_about_one_sample_that_an_earlier_trainer_left_become_one() -> None:
    _, (first, second) = asking()
    later = machine(open_questions=[first, second, replace(first, id="again")])
    assert later.handle(a.Tick(0.0)) == [a.CloseQuestions(("again",), "re-ranked")]
    assert later.unanswered() == (first, second)
    assert later.handle(a.Tick(0.0)) == []


@pytest.mark.parametrize(
    ("rules", "options", "wanted"),
    [
        (RULES, {"changes": 2}, False),
        (RULES, {"changes": 3}, True),
        (RULES, {"changes": 3, "under_way": True}, False),
        (RULES, {"changes": 1, "due": True}, True),
        (RULES, {"changes": 0, "due": True}, False),
        (BY_TIME, {"changes": 1}, False),
        (BY_TIME, {"changes": 1, "due": True}, True),
    ],
)
def test_a_round_that_was_due_is_made_by_the_next_trainer(
    rules: a.AskingRules, options: dict[str, object], wanted: bool
) -> None:
    later = machine(rules, labeled=["x", "y", "z"], **options)
    assert later.handle(a.Tick(0.0)) == ([a.WantRound()] if wanted else [])


def test_there_are_questions_for_everybody_who_is_asked() -> None:
    one = machine()
    fill(one, *range(20))
    assert len(ask(one)) == RULES.queue_size
    one.handle(a.AnnotatorsHere(2, 1.0))
    assert len(ask(one, 1.0)) == 2 * EACH - RULES.queue_size
    one.handle(a.AnnotatorsHere(0, 2.0))
    assert one.handle(a.Tick(2.0)) == []


def test_who_is_ahead_of_the_others_waits_for_nobody() -> None:
    """Of two who label each sample one has answered all that is open."""
    one = machine(replace(RULES, queue_size=2))
    fill(one, *range(30))
    for question in ask(one):
        assert one.handle(said(question)) == []
    assert one.handle(a.Tick(1.0)) == []
    one.handle(a.AnnotatorsHere(0, 1.0, had=2))
    assert len(ask(one, 1.0)) == 2
    assert len(one.unanswered()) == 4


def test_how_far_one_may_be_ahead_is_bounded() -> None:
    one = machine(capacity=2 * MOST_AHEAD)
    fill(one, *range(2 * MOST_AHEAD))
    one.handle(a.AnnotatorsHere(0, 1.0, had=3 * MOST_AHEAD))
    assert len(ask(one, 1.0)) == RULES.queue_size + MOST_AHEAD


def test_a_sample_that_lacks_a_second_answer_is_in_the_budget_once() -> None:
    one, (first, second) = asking(replace(RULES, label_budget=4, round_labels=99))
    one.handle(said(first))
    one.handle(said(second))
    one.handle(a.AnnotatorsHere(0, 1.0, had=2))
    third, fourth = ask(one, 1.0)
    one.handle(said(third))
    one.handle(said(fourth))
    one.handle(a.AnnotatorsHere(0, 1.0, had=4))
    assert one.handle(a.Tick(1.0)) == []


def test_what_lacks_a_second_answer_is_not_chosen_anew() -> None:
    one, (first, second) = asking(replace(RULES, round_labels=2))
    one.handle(said(first))
    one.handle(said(second))
    one.handle(a.AnnotatorsHere(0, 1.0, had=2))
    ask(one, 1.0)
    trained(one, 1, 2.0, rescored={1: 0.5, 2: 0.5}, version=1)
    select = next(c for c in one.handle(a.Tick(3.0)) if isinstance(c, a.Select))
    assert not {first.key, second.key} & set(select.view.keys)
