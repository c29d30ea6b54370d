"""What the end of a process means to the whole."""

from __future__ import annotations

from active_learner.services.restarts import UNDER_FIRE_S, Again, End, Over, Policy, Restarts

TRAINER = Policy(ends_all=True, fatal=(2, 3, 5))


def after(policy: Policy, *codes: int, ready: bool = True, apart_s: float = 1.0) -> list[End | Again | Over]:
    restarts = Restarts("it", policy)
    if ready:
        restarts.ready()
    return [restarts.ended(code, number * apart_s) for number, code in enumerate(codes)]


def test_the_trainers_exit_0_is_the_end_of_the_work() -> None:
    assert after(TRAINER, 0) == [End(0, "")]


def test_a_source_that_has_finished_is_left_alone() -> None:
    assert after(Policy(may_finish=True), 0) == [Over()]


def test_exit_0_of_a_process_that_must_be_there_is_a_death() -> None:
    assert after(Policy(), 0) == [Again(0.1)]


def test_a_process_that_never_was_ready_ends_all_with_its_own_code() -> None:
    assert after(Policy(), 4, ready=False) == [End(4, "it did not start (exit code 4)")]


def test_one_that_is_killed_while_it_starts_is_started_again_a_few_times() -> None:
    deaths = after(TRAINER, *[-9] * 5, ready=False, apart_s=100.0)
    assert deaths == [*[Again(0.1)] * 4, End(1, "it did not start (signal 9)")]
    assert after(TRAINER, -9, 1, ready=False) == [Again(0.1), End(1, "it did not start (exit code 1)")]


def test_the_broker_is_started_again_as_often_as_it_comes_up() -> None:
    restarts = Restarts("it", Policy(for_ever=True))
    waits = []
    for number in range(8):
        restarts.ready()
        waits.append(restarts.ended(-6, float(number)))
    assert waits == [Again(0.1), Again(0.5), Again(1.0), Again(2.0), *[Again(4.0)] * 4]
    assert after(Policy(for_ever=True), *[1] * 5)[-1] == End(
        1, "it died 5 times within 60 s, the last time with exit code 1"
    )


def test_a_bad_configuration_is_not_tried_again() -> None:
    assert after(Policy(), 3) == [End(3, "it cannot go on (exit code 3)")]
    assert after(TRAINER, 5) == [End(5, "it cannot go on (exit code 5)")]
    assert after(Policy(), 5) == [Again(0.1)]


def test_it_waits_longer_after_each_death_and_gives_up_after_five_within_a_minute() -> None:
    assert after(Policy(), 1, -9, 1, 1, -11) == [
        Again(0.1),
        Again(0.5),
        Again(1.0),
        Again(2.0),
        End(1, "it died 5 times within 60 s, the last time with signal 11"),
    ]


def test_deaths_long_ago_are_forgotten() -> None:
    assert after(Policy(), *[1] * 8, apart_s=61.0) == [Again(0.1)] * 8


def test_one_that_the_broker_does_not_let_in_waits_longer_and_never_gives_up() -> None:
    waits = after(Policy(), *[4] * 7)
    assert waits == [Again(2.0), Again(4.0), Again(8.0), Again(16.0), Again(30.0), Again(30.0), Again(30.0)]


def test_to_be_let_in_forgets_the_refusals() -> None:
    restarts = Restarts("it", Policy())
    restarts.ready()
    assert [restarts.ended(4, 0.0), restarts.ended(4, 1.0)] == [Again(2.0), Again(4.0)]
    restarts.ready()
    assert restarts.ended(4, 2.0) == Again(2.0)


def test_one_whose_knowledge_is_lost_with_it_ends_all() -> None:
    assert after(Policy(may_restart=False), -9) == [End(1, "it cannot go on (signal 9)")]
    assert after(Policy(may_restart=False), 4) == [End(4, "it cannot go on (exit code 4)")]


def test_what_is_killed_on_purpose_is_started_again_at_once_as_often_as_it_dies() -> None:
    assert after(Policy(under_fire=True), *[-9] * 20) == [Again(UNDER_FIRE_S)] * 20
    assert after(Policy(under_fire=True), 3) == [End(3, "it cannot go on (exit code 3)")]
