"""The asking machine as a ledger: candidates, scores and answers in; questions, receipts and rounds out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from active_learner.core import asking_events as a
from active_learner.core import intake
from active_learner.core.asking import AskingMachine
from active_learner.core.intake import KNOWN_LIMIT
from active_learner.core.pool import Pool
from active_learner.core.records import AskedQuestion, LabelEvent, SampleSpec, Selection, canonical, content_key
from active_learner.strategies.uncertainty import LeastConfidence

RULES = a.AskingRules(pool_size=4, query_size=2)
SOURCE = 77
SPEC = SampleSpec((1,), "float32", 2)


def machine(rules: a.AskingRules = RULES, capacity: int = 10, **options: object) -> AskingMachine:
    one = AskingMachine(rules, Pool(capacity, 2), name="run-1", at=0.0, **options)  # type: ignore[arg-type]
    one.handle(a.EvaluatorHere(True, 0.0))
    one.handle(a.LabelerHere("ann", True, 0.0))
    return one


def features(*numbers: int) -> np.ndarray:
    return np.array([[number] for number in numbers], np.float32)


def key(number: int) -> str:
    return f"k{number:02d}"


def candidates(id: str, *numbers: int, at: float = 0.0, refused: int = 0) -> a.CandidatesHeard:
    return a.CandidatesHeard(id, SOURCE, tuple(key(n) for n in numbers), features(*numbers), refused, "", at)


def scores(re: str, *certain: float, version: int = 0, at: float = 0.0) -> a.ScoresHeard:
    rows = np.array([[p, 1 - p] for p in certain], np.float32)
    return a.ScoresHeard(re, version, rows, at)


def fill(one: AskingMachine, *numbers: int, at: float = 0.0) -> None:
    """Sample n has max probability 0.5 + n/100: the lower n, the more uncertain."""
    one.handle(candidates(f"c{numbers}", *numbers, at=at))
    one.handle(scores(f"c{numbers}", *(0.5 + n / 100 for n in numbers), at=at))


def ask(one: AskingMachine, at: float = 0.0) -> tuple[AskedQuestion, ...]:
    """From a due Tick to open questions."""
    (select,) = one.handle(a.Tick(at))
    assert isinstance(select, a.Select)
    selection = LeastConfidence().select(select.view, select.count, np.random.default_rng(0))
    (store,) = one.handle(a.SelectionMade(select.view, selection, "least_confidence", at, 1000.0))
    assert isinstance(store, a.StoreQuestions)
    sent, saved = one.handle(a.QuestionsStored(tuple(q.id for q in store.questions), at))
    assert sent == a.OpenQuestions(store.questions)
    assert isinstance(saved, a.SavePool)
    return store.questions


def answered(
    question: AskedQuestion,
    action: str = "answer",
    status: str = "stored",
    who: str = "ann",
    at: float = 1.0,
    labeled: bool | None = None,
) -> a.AnswerStored:
    value = 1 if action in ("answer", "revise") else None
    event = LabelEvent(f"{question.id}{action}", question.id, question.key, who, 0, action, value, 5.0)
    is_labeled = action in ("answer", "revise") if labeled is None else labeled
    return a.AnswerStored(event, status, is_labeled, question.features, at)


def resolve(one: AskingMachine, question: AskedQuestion, at: float = 1.0) -> None:
    """Its only answer, and what the leasing machine makes of it."""
    one.handle(a.QuestionResolved(question.id, at))
    one.handle(answered(question, at=at))


def give_up(one: AskingMachine, question: AskedQuestion, action: str = "skip", at: float = 1.0) -> None:
    assert one.handle(a.QuestionPassed(question.id, at)) == []
    assert one.handle(answered(question, action, at=at)) == []


def asking(rules: a.AskingRules = RULES, **options: object) -> tuple[AskingMachine, tuple[AskedQuestion, ...]]:
    one = machine(rules, **options)
    fill(one, 1, 2, 3, 4)
    return one, ask(one)


def test_scored_candidates_enter_the_pool_and_are_receipted() -> None:
    one = machine()
    assert one.handle(candidates("c", 1, 2, refused=1)) == []
    assert one.handle(scores("c", 0.9, 0.6)) == [a.SendReceipt(SOURCE, "c", 2, 0, 1, 0, "")]
    assert len(one.pool) == 2


def test_a_batch_with_unfit_rows_is_scored_whole_and_each_fit_row_gets_its_own_score() -> None:
    one = machine()
    one.handle(replace(candidates("c", 1, 2, refused=2), places=(0, 3)))
    assert one.handle(scores("c", 0.9, 0.6)) == []
    assert one.intake.counters["stray_scores"] == 1
    (receipt,) = one.handle(scores("c", 0.9, 0.6, 0.7, 0.8))
    assert receipt == a.SendReceipt(SOURCE, "c", 2, 0, 2, 0, "")
    assert [float(one.pool[key(n)].uncertainty) for n in (1, 2)] == pytest.approx([0.1, 0.2])


def test_candidates_that_cannot_be_scored_are_refused_to_their_source_with_the_words_of_the_evaluator() -> None:
    one = machine()
    one.handle(replace(candidates("c", 1, 2, refused=1), places=(0, 2)))
    receipt, note = one.handle(a.ScoresRefused("c", "evaluator: not finite", 1.0))
    assert receipt == a.SendReceipt(SOURCE, "c", 0, 0, 3, 0, "evaluator: not finite")
    assert note == a.Note("warning", "not scored: evaluator: not finite")
    assert (one.intake.waiting, len(one.pool), one.intake.counters["refused"]) == (0, 0, 3)
    assert one.handle(candidates("c", 1, 2, refused=1)) == [receipt]
    assert one.handle(a.ScoresRefused("never heard of", "x", 2.0)) == []


def test_a_refresh_that_is_refused_is_over_and_the_older_scores_stay() -> None:
    one = machine()
    fill(one, 1, 2)
    (refresh,) = one.handle(a.ModelStands(5, 1.0))
    assert isinstance(refresh, a.Refresh)
    assert one.handle(a.ScoresRefused(refresh.id, "x", 2.0)) == [a.Note("warning", "not scored: x")]
    assert not one.intake.refreshing
    assert one.pool.scored() == 2


def test_the_same_batch_again_gets_the_same_receipt_and_no_second_entry() -> None:
    one = machine()
    first = candidates("c", 1, 2)
    one.handle(first)
    assert one.handle(first) == []
    (receipt,) = one.handle(scores("c", 0.9, 0.6))
    assert one.handle(replace(first, session=5)) == [replace(receipt, session=5)]
    assert len(one.pool) == 2


def test_known_candidates_are_receipted_at_once() -> None:
    one = machine(labeled=[key(1)])
    fill(one, 2)
    assert one.handle(candidates("d", 1, 2)) == [a.SendReceipt(SOURCE, "d", 0, 2, 0, 0, "")]


def test_row_35_a_hundred_thousand_candidates_of_ten_kinds_are_ten_samples_with_their_newest_scores() -> None:
    one = machine()
    kinds = np.random.default_rng(1).integers(0, 10, 100_000).astype(np.float32)
    new = known = 0
    for number in range(200):
        rows = canonical(kinds[number * 500 : (number + 1) * 500, None], SPEC)
        keys = tuple(content_key(row) for row in rows)
        said = one.handle(a.CandidatesHeard(f"c{number}", SOURCE, keys, rows, 0, "", 0.0))
        certain = np.full((500, 2), [0.5 + number / 1000, 0.5 - number / 1000], np.float32)
        said += one.handle(a.ScoresHeard(f"c{number}", number, certain, 0.0))
        (receipt,) = said
        assert isinstance(receipt, a.SendReceipt)
        new, known = new + receipt.new, known + receipt.known
    assert (new, known, len(one.pool)) == (10, 99_990, 10)
    assert set(one.pool.view().model_versions.tolist()) == {199}
    assert one.pool.view().probabilities[:, 0] == pytest.approx(0.699)
    assert one.intake.counters["stray_scores"] == 0


def test_scores_of_an_older_model_do_not_replace_newer_ones_and_labeled_samples_have_none() -> None:
    one = machine(labeled=[key(1)])
    fill(one, 2)
    (refresh,) = one.handle(a.ModelStands(5, 1.0))
    one.handle(a.ScoresHeard(refresh.id, 5, np.array([[0.9, 0.1]], np.float32), 1.0))  # type: ignore[union-attr]
    one.handle(candidates("d", 1, 2))
    assert one.handle(scores("d", 0.6, 0.6, version=4)) == []
    assert float(one.pool[key(2)].uncertainty) == pytest.approx(0.1)
    assert one.handle(scores("d", 0.6, 0.6, version=6)) == []
    assert one.intake.counters["stray_scores"] == 1


def test_known_batches_that_wait_for_news_are_bounded() -> None:
    one = machine()
    fill(one, 1)
    for number in range(KNOWN_LIMIT + 1):
        one.handle(candidates(f"again{number}", 1))
    one.handle(scores("again0", 0.9))
    one.handle(scores(f"again{KNOWN_LIMIT}", 0.8))
    assert one.intake.counters["stray_scores"] == 1
    assert float(one.pool[key(1)].uncertainty) == pytest.approx(0.2)


def test_row_36_what_is_labeled_already_is_known_and_never_asked_again() -> None:
    """Before the start and in this run; also by the same content from another source."""
    one = machine(RULES, labeled=[key(9)])
    fill(one, 1, 2, 3, 4)
    questions = ask(one)
    for question in questions:
        resolve(one, question)
    again = replace(candidates("again", 1, 2, 9), session=SOURCE + 1)
    assert one.handle(again) == [a.SendReceipt(SOURCE + 1, "again", 0, 3, 0, 0, "")]
    mixed = candidates("mixed", 1, 5, 9)
    assert one.handle(mixed) == []
    (receipt,) = one.handle(scores("mixed", 0.5, 0.5, 0.5))
    assert receipt == a.SendReceipt(SOURCE, "mixed", 1, 2, 0, 0, "")
    assert {key(1), key(2), key(9)}.isdisjoint(one.pool.view().keys)


def test_twins_in_one_batch_are_one_sample() -> None:
    one = machine()
    one.handle(candidates("c", 1, 1))
    assert one.handle(scores("c", 0.9, 0.9)) == [a.SendReceipt(SOURCE, "c", 1, 1, 0, 0, "")]


def test_scores_of_nothing_that_was_proposed_are_counted() -> None:
    one = machine()
    assert one.handle(scores("nobody", 0.9)) == []
    one.handle(candidates("c", 1, 2))
    assert one.handle(scores("c", 0.9)) == []
    assert one.intake.counters["stray_scores"] == 2


def test_a_pool_without_place_is_full_although_nobody_scored_some_of_it() -> None:
    """What was never scored is not evicted, so that with a source that goes on it would wait for ever."""
    one = machine(replace(RULES, pool_size=2), capacity=2)
    one.pool.add(key(9), features(9)[0])
    fill(one, 1)
    (select,) = one.handle(a.Tick(1.0))
    assert isinstance(select, a.Select)
    assert select.view.keys == (key(1), key(9))


def test_over_its_capacity_the_pool_evicts_the_least_uncertain() -> None:
    one = machine(capacity=2)
    fill(one, 1, 30)
    one.handle(candidates("c", 2))
    assert one.handle(scores("c", 0.52)) == [a.SendReceipt(SOURCE, "c", 1, 0, 0, 1, "")]
    assert key(30) not in one.pool


def test_a_full_pool_asks_the_most_uncertain_and_only_them() -> None:
    _, questions = asking()
    assert [question.key for question in questions] == [key(1), key(2)]
    assert [question.rank for question in questions] == [1, 2]
    assert questions[0].score > questions[1].score
    assert questions[0].round == 1
    assert questions[0].pool == 4
    assert not questions[0].stale


def test_below_the_pool_size_nothing_is_asked() -> None:
    one = machine()
    fill(one, 1, 2, 3)
    assert one.handle(a.Tick(0.0)) == []


def test_asked_samples_are_in_the_pool_no_more() -> None:
    one, questions = asking()
    assert all(question.key not in one.pool for question in questions)
    assert one.handle(candidates("again", 1)) == [a.SendReceipt(SOURCE, "again", 0, 1, 0, 0, "")]


def test_the_answers_of_the_batch_start_a_round() -> None:
    one, (first, second) = asking()
    resolve(one, first)
    assert one.handle(a.Tick(0.4)) == []
    resolve(one, second)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]
    assert one.phase == "holding"
    assert one.handle(a.Tick(99.0)) == []


def test_a_repeated_answer_has_no_effect() -> None:
    one, (first, _) = asking()
    for status in ("duplicate", "conflict", "unknown_question"):
        assert one.handle(answered(first, status=status)) == []
    assert one.labeled == set()


def test_an_undone_answer_is_opened_again() -> None:
    one, (first, second) = asking()
    resolve(one, first)
    assert one.handle(answered(first, "undo")) == [a.OpenQuestions((first,))]
    resolve(one, second)
    assert one.handle(a.Tick(0.4)) == []
    resolve(one, first)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]


def test_a_question_that_lacks_an_answer_is_waited_for_and_an_undo_of_one_opens_nothing_new() -> None:
    one, (first, second) = asking()
    resolve(one, first)
    one.handle(answered(second))
    assert one.handle(a.Tick(0.4)) == []
    assert one.handle(answered(second, "undo")) == []
    one.handle(answered(second, who="bob"))
    one.handle(a.QuestionResolved(second.id, 0.5))
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]


def test_one_answer_of_two_is_a_label_to_train_on_when_nobody_can_give_the_second() -> None:
    one, (first, second) = asking()
    one.handle(answered(first))
    one.handle(a.QuestionPassed(first.id, 1.0))
    give_up(one, second)
    assert one.handle(a.Tick(1.0)) == [a.CloseQuestions((first.id, second.id), "skipped"), a.WantRound()]
    assert first.key not in one.pool


def test_a_passed_question_that_is_answered_after_all_and_undone_is_waited_for() -> None:
    one, (first, second) = asking()
    resolve(one, second)
    one.handle(a.QuestionPassed(first.id, 0.5))
    resolve(one, first)
    assert one.handle(answered(first, "undo")) == [a.OpenQuestions((first,))]
    assert one.handle(a.Tick(1.0)) == []
    resolve(one, first)
    assert one.handle(a.Tick(1.0)) == [a.WantRound()]


def test_what_an_earlier_trainer_heard_of_the_batch_is_trained_though_the_rest_is_passed() -> None:
    _, (first, second) = asking()
    later = machine(labeled=[first.key], open_questions=[second], untrained=True)
    later.handle(a.QuestionPassed(second.id, 0.5))
    assert later.handle(a.Tick(1.0)) == [a.CloseQuestions((second.id,), "skipped"), a.WantRound()]
    refresh, _ = later.handle(a.RoundOver(1, 20, 2.0))
    assert isinstance(refresh, a.Refresh)
    later.handle(scores(refresh.id, 0.6, version=20))
    fill(later, 3, 4, 5)
    later.handle(a.Tick(60.0))
    for question in ask(later, 60.0):
        give_up(later, question, at=60.0)
    closed, note = later.handle(a.Tick(60.0))
    assert (type(closed), type(note)) == (a.CloseQuestions, a.Note)


def test_what_became_of_questions_of_before_changes_nothing() -> None:
    one, (first, second) = asking()
    for event in (a.QuestionResolved("old", 0.1), a.QuestionPassed("old", 0.1), a.QuestionReopened("old", 0.1)):
        assert one.handle(event) == []
    assert one.batch.unanswered() == (first, second)
    assert not one.batch.is_over


def test_a_label_undone_after_its_batch_goes_back_to_the_pool() -> None:
    one, questions = asking()
    for question in questions:
        resolve(one, question)
    one.handle(a.Tick(1.0))
    one.handle(answered(questions[0], "undo"))
    assert questions[0].key in one.pool
    assert questions[0].key not in one.labeled


def asked_twice() -> tuple[AskingMachine, AskedQuestion, AskedQuestion]:
    """Two questions about one sample: the first timed out, the second is open."""
    one, (first, *_) = asking(replace(RULES, label_timeout_s=9.0, skip_cooldown_s=5.0))
    one.handle(a.Tick(9.0))
    questions = ask(one, at=20.0)
    return one, first, next(question for question in questions if question.key == first.key)


def test_a_late_label_that_is_undone_while_its_sample_is_asked_again_stays_out_of_the_pool() -> None:
    one, first, _ = asked_twice()
    one.handle(answered(first, status="late", at=21.0))
    one.handle(answered(first, "undo", at=22.0))
    assert first.key not in one.pool
    assert first.key not in one.labeled


def test_a_question_that_ends_unanswered_does_not_bring_a_labeled_sample_back() -> None:
    one, first, second = asked_twice()
    one.handle(answered(first, status="late", at=21.0))
    closed, *_ = one.handle(a.Tick(29.0))
    assert isinstance(closed, a.CloseQuestions)
    assert second.id in closed.ids
    assert first.key in one.labeled
    assert first.key not in one.pool


def test_after_a_round_the_pool_is_scored_again_before_anything_is_asked() -> None:
    one, questions = asking()
    for question in questions:
        resolve(one, question)
    one.handle(a.Tick(1.0))
    refresh, saved = one.handle(a.RoundOver(1, 20, 2.0))
    assert isinstance(refresh, a.Refresh)
    assert isinstance(saved, a.SavePool)
    assert len(refresh.features) == 2
    assert one.handle(a.Tick(2.0)) == []
    one.handle(scores(refresh.id, 0.6, 0.7, version=20))
    one.handle(a.Tick(2.0))
    assert one.phase == "collecting"
    assert one.pool.outdated(20)[0] == []


def test_when_the_new_scores_do_not_come_older_ones_must_do_and_are_marked() -> None:
    one, questions = asking()
    for question in questions:
        resolve(one, question)
    one.handle(a.Tick(1.0))
    one.handle(a.RoundOver(1, 20, 2.0))
    (note,) = one.handle(a.Tick(2.0 + RULES.refresh_timeout_s))
    assert isinstance(note, a.Note)
    fill(one, 5, 6, at=8.0)
    assert all(question.stale for question in ask(one, at=8.0))


def test_a_pool_can_be_cleared_after_a_round_as_in_the_tutorial() -> None:
    one, questions = asking(replace(RULES, clear_pool=True))
    for question in questions:
        resolve(one, question)
    one.handle(a.Tick(1.0))
    assert one.handle(a.RoundOver(1, 20, 2.0)) == [a.SavePool()]
    assert len(one.pool) == 0


def test_a_source_that_ends_below_the_pool_size_is_asked_with_what_there_is() -> None:
    one = machine()
    fill(one, 1)
    assert one.handle(a.Tick(0.0)) == []
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    assert [question.key for question in ask(one)] == [key(1)]


def test_an_ended_source_that_came_again_is_waited_for() -> None:
    one = machine()
    fill(one, 1)
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    one.handle(a.SourceGone(SOURCE, False, 0.0))
    assert one.handle(a.Tick(0.0)) == []
    one.handle(a.SourceHere(SOURCE, 0.0))
    assert one.handle(a.Tick(0.0)) == []


def test_that_a_source_has_ended_is_known_still_when_it_is_told_again_to_be_here() -> None:
    """As after the last join of a trainer that was started again, behind what the source has said meanwhile."""
    one = machine()
    fill(one, 1)
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    one.handle(a.SourceHere(SOURCE, 0.0))
    assert [question.key for question in ask(one)] == [key(1)]


def test_a_source_that_falls_silent_is_asked_with_what_there_is() -> None:
    one = machine()
    fill(one, 1, at=1.0)
    assert one.handle(a.Tick(1.0 + RULES.source_timeout_s - 0.1)) == []
    assert ask(one, at=1.0 + RULES.source_timeout_s)


def test_a_population_that_converged_to_known_genomes_does_not_stall_the_asking() -> None:
    one = machine()
    fill(one, 1, 2, at=1.0)
    for second in range(2, 20):
        one.handle(candidates(f"same{second}", 1, 2, at=float(second)))
    assert len(ask(one, at=1.0 + RULES.source_timeout_s)) == 2


def test_a_population_of_nothing_but_labeled_genomes_is_told_to_look_elsewhere() -> None:
    one = machine(labeled=[key(1), key(2)])
    one.handle(candidates("c", 1, 2))
    diversify, note = one.handle(a.Tick(RULES.source_timeout_s))
    assert isinstance(diversify, a.Diversify)
    assert isinstance(note, a.Note)
    assert one.handle(a.Tick(RULES.source_timeout_s + 0.1)) == []
    assert one.handle(a.Tick(2 * RULES.source_timeout_s)) != []


def test_nobody_answers_and_others_are_asked_never_an_empty_round() -> None:
    one, questions = asking(replace(RULES, label_timeout_s=9.0, skip_cooldown_s=30.0))
    closed, note = one.handle(a.Tick(9.0))
    assert closed == a.CloseQuestions(tuple(question.id for question in questions), "timed_out")
    assert isinstance(note, a.Note)
    fill(one, 5, 6, at=9.0)
    others = ask(one, at=9.0)
    assert {question.key for question in others} == {key(3), key(4)}
    assert all(question.key in one.pool for question in questions)


def test_some_answer_in_time_and_the_round_trains_on_what_came() -> None:
    one, (first, second) = asking(replace(RULES, label_timeout_s=9.0))
    resolve(one, first)
    assert one.handle(a.Tick(9.0)) == [a.CloseQuestions((second.id,), "timed_out"), a.WantRound()]
    assert second.key in one.pool


def test_a_late_answer_is_a_label() -> None:
    one, questions = asking(replace(RULES, label_timeout_s=9.0))
    one.handle(a.Tick(9.0))
    one.handle(answered(questions[0], status="late"))
    assert questions[0].key in one.labeled
    assert questions[0].key not in one.pool


@pytest.mark.parametrize("action", ["skip", "cannot_tell"])
def test_when_everything_is_skipped_it_cools_down_and_is_asked_again(action: str) -> None:
    one = machine()
    fill(one, 1, 2)
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    questions = ask(one)
    for question in questions:
        give_up(one, question, action)
    closed, _ = one.handle(a.Tick(1.0))
    assert closed == a.CloseQuestions(tuple(question.id for question in questions), "skipped")
    (note,) = one.handle(a.Tick(1.0))
    assert isinstance(note, a.Note)
    assert one.phase == "cooling"
    assert one.handle(a.Tick(2.0)) == []
    one.handle(a.Tick(1.0 + RULES.skip_cooldown_s))
    assert len(ask(one, at=1.0 + RULES.skip_cooldown_s)) == 2


def test_new_candidates_end_a_cool_down() -> None:
    one = machine()
    fill(one, 1)
    one.handle(a.SourceGone(SOURCE, True, 0.0))
    (question,) = ask(one)
    give_up(one, question)
    one.handle(a.Tick(1.0))
    one.handle(a.Tick(1.0))
    fill(one, 2, at=2.0)
    one.handle(a.Tick(2.0))
    assert one.phase == "collecting"


def test_a_question_that_somebody_may_have_yet_is_waited_for() -> None:
    one, (first, second) = asking()
    resolve(one, second)
    give_up(one, first)
    one.handle(a.QuestionReopened(first.id, 0.3))
    assert one.handle(a.Tick(0.4)) == []
    one.handle(a.QuestionPassed(first.id, 0.5))
    assert one.handle(a.Tick(1.0)) == [a.CloseQuestions((first.id,), "skipped"), a.WantRound()]


def test_who_is_here_is_known() -> None:
    one = machine()
    assert one.handle(a.LabelerHere("bob", True, 0.0)) == []
    assert one.here.labelers == {"ann", "bob"}
    assert one.handle(a.LabelerHere("bob", False, 0.0)) == []
    assert one.here.labelers == {"ann"}


def test_a_source_that_needs_long_to_start_is_not_called_silent() -> None:
    one = machine(labeled=[key(1)])
    one.handle(a.SourceHere(SOURCE, 50.0))
    one.handle(candidates("c", 1, at=50.0))
    assert one.handle(a.Tick(50.0)) == []
    assert one.handle(a.Tick(50.0 + RULES.source_timeout_s)) != []


def test_without_the_evaluator_candidates_are_taken_unscored_and_asked_as_stale() -> None:
    one = machine()
    one.handle(a.EvaluatorHere(False, 1.0))
    one.handle(a.EvaluatorHere(False, 2.0))
    one.handle(candidates("c", 1, 2, 3, 4, at=1.0))
    assert one.handle(a.Tick(2.0)) == []
    (receipt,) = one.handle(a.Tick(1.0 + RULES.refresh_timeout_s))
    assert receipt == a.SendReceipt(SOURCE, "c", 4, 0, 0, 0, "")
    questions = ask(one, at=1.0 + RULES.refresh_timeout_s)
    assert all(question.stale for question in questions)
    assert all(question.probabilities == () for question in questions)


def test_initial_labels_are_drawn_at_random_all_at_once() -> None:
    one = machine(replace(RULES, initial_labels=3))
    fill(one, 1, 2, 3, 4)
    (select,) = one.handle(a.Tick(0.0))
    assert isinstance(select, a.Select)
    assert (select.strategy, select.count) == ("random", 3)


def test_a_budget_of_labels_is_not_exceeded() -> None:
    one = machine(replace(RULES, label_budget=3), labeled=["x", "y"])
    fill(one, 1, 2, 3, 4)
    (select,) = one.handle(a.Tick(0.0))
    assert isinstance(select, a.Select)
    assert select.count == 1
    spent = machine(replace(RULES, label_budget=2), labeled=["x", "y"])
    fill(spent, 1, 2, 3, 4)
    assert spent.handle(a.Tick(99.0)) == []


def test_a_selection_whose_samples_went_meanwhile_is_made_again() -> None:
    one = machine()
    fill(one, 1, 2, 3, 4)
    (select,) = one.handle(a.Tick(0.0))
    assert isinstance(select, a.Select)
    nothing = Selection(np.array([], np.int64), np.array([], np.float64))
    assert one.handle(a.SelectionMade(select.view, nothing, "x", 0.0, 0.0)) == []
    assert one.phase == "collecting"


def test_a_new_model_has_the_pool_scored_again_in_any_phase() -> None:
    one = machine()
    fill(one, 1, 2)
    (refresh,) = one.handle(a.ModelStands(40, 1.0))
    assert isinstance(refresh, a.Refresh)
    one.handle(scores(refresh.id, 0.6, 0.7, version=40))
    assert one.pool.outdated(40)[0] == []
    one.handle(a.RoundOver(3, 60, 1.0))
    assert one.model_version == 60


def test_questions_of_an_earlier_trainer_stay_open_with_their_ids() -> None:
    _, questions = asking()
    later = AskingMachine(RULES, Pool(10, 2), name="run-2", at=0.0, open_questions=questions)
    assert later.phase == "asking"
    assert later.handle(a.Tick(0.0)) == []
    for question in questions:
        resolve(later, question)
    assert later.handle(a.Tick(1.0)) == [a.WantRound()]


def test_the_unasked_batch_that_waits_longest_is_dropped_when_too_many_wait() -> None:
    one = machine()
    for number in range(257):
        one.handle(candidates(f"c{number}", number))
    assert one.intake.waiting == 256
    assert one.intake.counters["dropped_unscored"] == 1


def test_batches_that_wait_are_bounded_in_bytes_too_but_one_always_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    one = machine()
    monkeypatch.setattr(intake, "PARKED_BYTES", 1)
    for number in range(3):
        one.handle(candidates(f"c{number}", number))
        assert one.intake.waiting == 1
    assert one.intake.counters["dropped_unscored"] == 2


def test_that_the_labels_of_a_round_are_fixed_changes_nothing_for_a_batch() -> None:
    one = machine()
    assert one.handle(a.RoundPlanned(1.0)) == []
    assert one.phase == "collecting"
