"""The source's machine, row by row. Time is given; batches are two rows of two bits."""

from __future__ import annotations

import numpy as np

from active_learner.core import proposing
from active_learner.core.proposing import Proposing
from active_learner.core.proposing_events import (
    EVALUATOR,
    TRAINER,
    Arrived,
    Command,
    ControlArrived,
    Count,
    Left,
    NothingProposed,
    Proposed,
    ReceiptArrived,
    Report,
    Say,
    SayEnded,
    ScoresArrived,
    Tick,
    Warn,
)

ROWS = np.array([[0, 1], [1, 0]], np.uint8)
FITNESS = np.array([0.5, 1.5], np.float32)


class Story:
    """A machine with shorthands; checks its books after every event."""

    def __init__(self, *, wants_fitness: bool = False, **options: object) -> None:
        self.machine = Proposing(wants_fitness=wants_fitness, **options)  # type: ignore[arg-type]

    def feed(self, event: object) -> list[Command]:
        commands = self.machine.handle(event)  # type: ignore[arg-type]
        assert self.machine.proposed == self.machine.taken + self.machine.dropped + self.machine.under_way
        return commands

    def arrived(self, at: float = 0.0, role: str = TRAINER, session: int = 1) -> list[str]:
        return names(self.feed(Arrived(at, role, session)))

    def proposed(self, id_: str = "a", at: float = 0.0) -> list[str]:
        return names(self.feed(Proposed(at, id_, ROWS)))

    def taken(self, id_: str = "a", at: float = 0.0, new: int = 2, refused: int = 0) -> list[str]:
        return names(self.feed(ReceiptArrived(at, id_, new, 2 - new - refused, refused, "why")))

    def scored(self, id_: str = "a", at: float = 0.0) -> list[str]:
        return names(self.feed(ScoresArrived(at, id_, FITNESS)))

    def tick(self, at: float) -> list[str]:
        return names(self.feed(Tick(at)))


def names(commands: list[Command]) -> list[str]:
    """Commands in short: "Say a", "Count new 2" ..."""
    return [_name(command) for command in commands if not (isinstance(command, Count) and command.amount == 0)]


def _name(command: Command) -> str:
    match command:
        case Say(id=id_):
            return f"Say {id_}"
        case Count(name=name, amount=amount):
            return f"{name} {amount}"
        case Report(fitness=fitness, new=new):
            return f"Report {'scored' if fitness is not None else 'unscored'} {new}"
        case SayEnded(proposed=total, dropped=dropped):
            return f"SayEnded {total} {dropped}"
        case _:
            return type(command).__name__


def test_nothing_is_proposed_before_a_trainer_is_there() -> None:
    story = Story()
    assert story.tick(0.0) == []
    assert story.arrived(1.0) == ["Propose"]
    assert story.tick(1.1) == []  # one PROPOSE at a time


def test_a_proposal_is_said_and_the_next_is_asked_for_until_the_window_is_full() -> None:
    story = Story()
    story.arrived()
    for id_ in "abc":
        assert story.proposed(id_) == ["proposed 2", f"Say {id_}", "Propose"]
    assert story.proposed("d") == ["proposed 2", "Say d"]
    assert story.taken("b") == ["new 2", "Report unscored 2", "Propose"]


def test_a_source_that_breeds_has_one_batch_under_way_and_waits_for_receipt_and_scores() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    assert story.arrived(role=EVALUATOR, session=2) == []
    assert story.proposed() == ["proposed 2", "Say a"]
    assert story.taken() == ["new 2"]
    assert story.scored() == ["Report scored 2", "Propose"]


def test_scores_may_come_before_the_receipt() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    assert story.scored() == []
    assert story.taken(new=1) == ["new 1", "known 1", "Report scored 1", "Propose"]


def test_the_source_rests_between_generations() -> None:
    story = Story(interval_s=1.0)
    story.arrived()
    story.proposed()
    story.feed(NothingProposed(0.0, False))
    assert story.taken(at=1.0) == ["new 2", "Report unscored 2"]
    assert story.tick(1.9) == []
    assert story.tick(2.0) == ["Propose"]


def test_what_got_no_receipt_is_sent_again_with_doubling_pauses_for_ever() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    story.feed(NothingProposed(0.0, True))
    said = [at for at in np.arange(0.1, 60, 0.1) if "Say a" in story.tick(round(float(at), 1))]
    assert np.allclose(said, [0.5, 1.5, 3.5, 7.5, 15.5, 23.5, 31.5, 39.5, 47.5, 55.5])
    assert story.machine.dropped == 0


def test_the_pauses_are_jittered_so_that_sources_do_not_send_in_step() -> None:
    factors = iter([0.8, 1.2, 1.0])
    story = Story(jitter=lambda: next(factors))
    story.arrived()
    story.proposed()
    said = [at for at in np.arange(0.1, 3.0, 0.1) if "Say a" in story.tick(round(float(at), 1))]
    assert np.allclose(said, [0.4, 1.6])


def test_nothing_is_sent_while_no_trainer_is_there_and_all_under_way_when_one_comes() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    story.feed(NothingProposed(0.0, False))
    assert names(story.feed(Left(0.1, TRAINER, 1))) == []
    assert story.tick(100.0) == []
    assert story.arrived(101.0, session=2) == ["Say a", "resent 1", "Propose"]


def test_a_generation_without_a_receipt_is_dropped_and_counted_after_its_patience() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    assert story.tick(29.0)[0] == "Say a"
    assert story.tick(30.0) == ["dropped 2", "Warn", "Report unscored 0", "Propose"]
    assert story.machine.dropped == 2


def test_patience_starts_anew_with_a_new_trainer() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    story.feed(Left(20.0, TRAINER, 1))
    story.arrived(40.0, session=2)
    assert "dropped 2" not in story.tick(69.0)
    assert "dropped 2" in story.tick(70.0)


def test_a_taken_generation_that_nobody_can_score_is_over_soon() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    story.taken(at=1.0)
    assert "unscored 2" not in story.tick(2.9)
    assert story.tick(3.0) == ["unscored 2", "Report unscored 2", "Propose"]


def test_an_evaluator_that_comes_is_asked_at_once_and_given_time() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    story.taken(at=1.0)
    assert story.arrived(2.0, EVALUATOR, 5) == ["Say a", "resent 1"]
    assert "unscored 2" not in story.tick(31.9)
    assert "unscored 2" in story.tick(32.0)


def test_a_source_that_does_not_breed_does_not_care_for_evaluators() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    assert story.arrived(0.1, EVALUATOR, 5) == []
    assert story.scored() == []


def test_the_end_is_said_when_all_have_receipts_and_then_every_five_seconds() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    assert names(story.feed(NothingProposed(0.0, True))) == []
    assert story.taken(at=0.2) == ["new 2", "Report unscored 2", "SayEnded 2 0"]
    assert story.tick(5.1) == []
    assert story.tick(5.2) == ["SayEnded 2 0"]
    assert names(story.feed(ControlArrived(6.0, "start"))) == ["SayEnded 2 0"]


def test_the_end_of_an_empty_source_is_said_to_each_trainer() -> None:
    story = Story()
    story.arrived()
    assert names(story.feed(NothingProposed(0.0, True))) == ["SayEnded 0 0"]
    story.feed(Left(1.0, TRAINER, 1))
    assert story.tick(50.0) == []
    assert story.arrived(51.0, session=2) == ["SayEnded 0 0"]


def test_a_new_trainer_makes_the_source_begin_again() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    story.feed(NothingProposed(0.0, True))
    story.taken()
    story.feed(Left(1.0, TRAINER, 1))
    assert story.arrived(2.0, session=2) == ["Restart", "Propose"]
    assert story.machine.phase == "proposing"
    assert story.arrived(2.0, session=2) == []  # the same one, told twice


def test_an_end_that_was_found_before_the_restart_does_not_count() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    story.taken()
    story.feed(Left(1.0, TRAINER, 1))
    assert story.arrived(2.0, session=2) == ["Restart"]  # a PROPOSE is still unanswered
    assert names(story.feed(NothingProposed(2.1, True))) == []
    assert story.machine.phase == "proposing"
    assert story.tick(3.0) == ["Propose"]
    assert names(story.feed(NothingProposed(3.1, True))) == ["SayEnded 2 0"]


def test_a_source_that_has_nothing_right_now_is_asked_again_a_little_later() -> None:
    story = Story()
    story.arrived()
    assert names(story.feed(NothingProposed(1.0, False))) == []
    assert story.tick(1.2) == []
    assert story.tick(1.25) == ["Propose"]


def test_start_and_stop_come_from_the_control_room() -> None:
    story = Story(autostart=False)
    assert story.arrived() == []
    assert names(story.feed(ControlArrived(1.0, "stop"))) == []
    assert names(story.feed(ControlArrived(2.0, "start"))) == ["Propose"]
    assert names(story.feed(ControlArrived(2.0, "start"))) == []
    assert names(story.feed(ControlArrived(3.0, "stop"))) == []
    assert story.proposed(at=3.1) == ["proposed 2", "Say a"]  # asked for before the stop: not lost
    assert story.taken(at=4.0) == ["new 2", "Report unscored 2"]
    assert story.tick(99.0) == []


def test_a_source_that_has_ended_is_not_stopped() -> None:
    story = Story()
    story.arrived()
    story.feed(NothingProposed(0.0, True))
    assert names(story.feed(ControlArrived(1.0, "stop"))) == []
    assert story.machine.phase == "ended"


def test_receipts_without_anything_new_make_the_source_look_elsewhere() -> None:
    story = Story()
    story.arrived()
    for turn in range(1, proposing.BARREN_BATCHES + 1):
        story.proposed(str(turn))
        assert ("Diversify" in story.taken(str(turn), new=0)) == (turn == proposing.BARREN_BATCHES)


def test_something_new_in_between_starts_the_count_anew() -> None:
    story = Story()
    story.arrived()
    for turn, new in enumerate((0, 0, 1, 0, 0)):
        story.proposed(str(turn))
        assert "Diversify" not in story.taken(str(turn), new=new)


def test_diversify_from_the_control_room_goes_to_the_source() -> None:
    assert names(Story().feed(ControlArrived(0.0, "diversify"))) == ["Diversify"]


def test_other_controls_are_counted() -> None:
    assert names(Story().feed(ControlArrived(0.0, "sing"))) == ["other_control 1"]


def test_repeated_late_and_foreign_messages_change_nothing() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    story.taken()
    assert story.taken() == ["repeated_receipts 1"]
    assert story.scored("of the refresh") == []
    assert story.scored() == ["Report scored 2", "Propose"]
    assert story.scored() == []
    assert story.taken() == ["repeated_receipts 1"]


def test_a_receipt_or_scores_that_do_not_fit_are_not_believed() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed()
    assert names(story.feed(ReceiptArrived(0.0, "a", 5, 0, 0, ""))) == ["odd_receipts 1"]
    assert names(story.feed(ScoresArrived(0.0, "a", FITNESS[:1]))) == ["odd_scores 1"]
    assert story.machine.under_way == 2


def test_refused_candidates_are_told_and_count_as_taken() -> None:
    story = Story()
    story.arrived()
    story.proposed()
    commands = story.feed(ReceiptArrived(0.0, "a", 1, 0, 1, "wrong shape"))
    assert Warn("the trainer refused 1 of 2 candidates: wrong shape") in commands


def test_peers_that_are_not_needed_are_ignored() -> None:
    story = Story()
    assert story.arrived(role="labeler") == []
    assert names(story.feed(Left(0.0, TRAINER, 9))) == []


def full(story: Story, id_: str, at: float, new: int = 2, evicted: int = 2) -> list[str]:
    return names(story.feed(ReceiptArrived(at, id_, new, 2 - new, 0, "", evicted)))


def test_a_full_pool_slows_the_source_to_a_batch_a_second() -> None:
    story = Story()
    story.arrived()
    story.proposed("a")
    assert "Propose" not in full(story, "a", 1.0)
    story.feed(Proposed(1.0, "b", ROWS))  # had been asked for before
    assert full(story, "b", 1.1) == ["new 2", "Report unscored 2"]
    assert story.tick(2.0) == []
    assert story.tick(2.1) == ["Propose"]
    assert "Propose" not in story.proposed("c", 2.1)


def test_room_in_the_pool_ends_the_slowness() -> None:
    story = Story()
    story.arrived()
    story.proposed("a")
    full(story, "a", 0.0)
    story.feed(Proposed(0.0, "b", ROWS))
    assert full(story, "b", 0.5, evicted=0) == ["new 2", "Report unscored 2"]
    assert story.tick(1.0) == ["Propose"]
    assert "Propose" in story.proposed("c", 1.0)


def test_known_candidates_are_no_sign_of_a_full_pool() -> None:
    story = Story()
    story.arrived()
    story.proposed("a")
    full(story, "a", 0.0, new=0, evicted=0)
    assert "Propose" in story.proposed("b", 0.0)


def test_a_breeding_source_is_not_slowed() -> None:
    story = Story(wants_fitness=True)
    story.arrived()
    story.proposed("a")
    story.scored("a")
    assert full(story, "a", 0.0)[-1] == "Propose"


def test_with_a_rest_one_batch_is_under_way() -> None:
    story = Story(interval_s=0.1)
    story.arrived()
    assert "Propose" not in story.proposed("a")
