"""Drills: scenes that lead to what chance alone seldom comes to. Each run has one in its turn, so that so many seeds in a row have
them all. Knows processes, disks, rows of machines and the rules of an experiment; not the services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from active_learner.core.answering import Answering
from active_learner.simulator import plots
from active_learner.simulator.experiment import LOW_LIMITS, OUTBOX, Draft
from active_learner.simulator.network import Weather
from active_learner.simulator.plots import Act, slow_down
from active_learner.simulator.processes import Process

if TYPE_CHECKING:
    from active_learner.simulator.faults import Fate

MOST_AMBUSHES = 8
"""In one run, of a drill."""

LONG_WORK_S = (0.05, 0.3)
ECHO = Weather(duplicate=0.9, echo=1.0, delay_s=4.0)


@dataclass(frozen=True, slots=True)
class Drill:
    """`act` at (machine, trigger) `row` again and again; `begin` None: nothing else. `setting`: the experiment that it needs."""

    row: tuple[str, str]
    act: Act
    setting: Callable[[Draft], None] = lambda made: None
    begin: Callable[[Fate, Random], None] | None = None
    chance: float = 0.5
    """Of the act, each time."""
    rest_s: tuple[float, float] = (0.0, 3.0)
    """After which the row is awaited again."""
    busy_s: float = 0.0
    """At least so long all goes on as by day."""

    def set_up(self, made: Draft) -> None:
        if self.row[0] == "AskingMachine":
            _by_batch(made)
        self.setting(made)

    def start(self, fate: Fate, random: Random) -> None:
        def come(process: Process) -> None:
            if random.random() < self.chance:
                self.act(fate, process, random)
                fate.world.faults["ambush"] += 1
            if fate.world.faults["ambush"] < MOST_AMBUSHES:
                fate.later(random.uniform(*self.rest_s), lambda: fate.await_row(self.row, come))

        fate.await_row(self.row, come)
        if self.begin is not None:
            self.begin(fate, random)


# --- settings -----------------------------------------------------------------------------------------------------


def rules(made: Draft, **changed: Any) -> None:
    """Of the trainer."""
    made.config = made.config.model_copy(update={"trainer": made.config.trainer.model_copy(update=changed)})


def _one_stage(made: Draft) -> None:
    made.stages = 1
    rules(made, stages=("evaluator",), fused=True)


def _by_batch(made: Draft) -> None:
    rules(made, round_when="batch")


def _many_rounds(made: Draft) -> None:
    _by_batch(made)
    made.temper.think_s = (0.3, 2.0)
    rules(made, pool_size=4, pool_capacity=8, query_size=2, initial_labels=0)


def _long_chain(made: Draft) -> None:
    _many_rounds(made)
    _chain(made)


def _by_queue(made: Draft) -> None:
    rules(made, round_when="labels", skip_cooldown_s=1.0)


def _chain(made: Draft) -> None:
    made.stages = 2
    rules(made, stages=("stage0", "stage1"), epochs=3)


def _validated(made: Draft) -> None:
    _many_rounds(made)
    made.validated = made.storm = True


def _short_sources(made: Draft) -> None:
    """They end before the pool is full."""
    for habit in made.habits:
        habit.total, habit.interval_s = 5, 0.2
    rules(made, pool_size=12, pool_capacity=12, query_size=2)


def _small_outbox(made: Draft) -> None:
    made.limits.update({**LOW_LIMITS, OUTBOX: partial(Answering, max_unsent=1)})


def _few_labels(made: Draft) -> None:
    """And whoever gave one can take it back."""
    made.limits = {place: value for place, value in made.limits.items() if place not in LOW_LIMITS and place != OUTBOX}
    made.is_patient = True
    rules(made, query_size=1, initial_labels=0, label_timeout_s=None)


def _impatient(made: Draft) -> None:
    """A question often times out while its answer is written, and its sample is all that there is to be asked again."""
    made.is_patient = False
    made.temper.think_s = (1.5, 2.9)
    rules(made, pool_size=1, pool_capacity=1, query_size=1, initial_labels=0, label_timeout_s=3.0, skip_cooldown_s=0.01)


def _stormy(made: Draft) -> None:
    made.storm = True


def _with_backups(made: Draft) -> None:
    made.backups = True


def _gossip(made: Draft) -> None:
    """Sources wait for scores, and a peer of no known role says some."""
    made.gossip = True
    for habit in made.habits:
        habit.wants_fitness = True


# --- acts ---------------------------------------------------------------------------------------------------------


def _work_long(fate: Fate, process: Process, random: Random, seconds: tuple[float, float] = LONG_WORK_S) -> None:
    """Its threads are busy for a while: whatever they do takes that long."""
    loop = process.loop
    if loop is not None:
        before, loop.seconds_of = loop.seconds_of, lambda: random.uniform(*seconds)
        fate.later(8.0, lambda: setattr(loop, "seconds_of", before))


def die_unheard(fate: Fate, process: Process, random: Random) -> None:
    """It dies with an answer on its disk; the next one is told to stop while that is under way and others are asked."""
    if process.loop is not None:
        process.loop.dies_after = random.randrange(2, 12)

    def seen(next_one: Process) -> None:
        if next_one is not process:
            fate.await_row(("Answering", "trainer_seen"), seen)
            return
        slow_down(fate, process, random.uniform(0.4, 1.0))
        fate.strike_later(0.0, process.stop)

    fate.await_row(("Answering", "trainer_seen"), seen)


def _clog_outbox(fate: Fate, process: Process, random: Random) -> None:
    """Its disk is full and slow, and so is its road: an answer is said again, and being kept, when its receipt comes."""
    process.disk.is_full = True
    fate.later(random.uniform(1.0, 6.0), lambda: setattr(process.disk, "is_full", False))
    _work_long(fate, process, random)
    slow_down(fate, process, random.uniform(0.15, 0.5))


def _choose_long(fate: Fate, process: Process, random: Random) -> None:
    """What is to be chosen may be labeled by then."""
    _work_long(fate, process, random, (0.5, 1.5))


def _sicken(work: str) -> Act:
    """In the middle of a step."""

    def sicken(fate: Fate, process: Process, random: Random) -> None:
        backend = process.service._backend
        backend.sick = frozenset({work})
        fate.later(random.uniform(0.5, 6.0), lambda: setattr(backend, "sick", frozenset()))

    return sicken


def _lose_a_step(fate: Fate, process: Process, random: Random) -> None:
    """A stage dies before it has applied what the other one has; that one is told, perhaps twice, to go back, and cannot."""
    fate.blow(6.0, Weather(duplicate=0.9))
    plots.kill(fate, process, random)
    fate.await_row(("EvaluationMachine", "restore"), lambda other: plots.spoil(fate, other, random))


def double_all(fate: Fate, process: Process, random: Random) -> None:
    """Everything is heard twice for long, while a stage dies before it has applied what the other one has, and comes back."""
    fate.blow(30.0, Weather(duplicate=0.95))
    plots.kill(fate, process, random)


def _refuse_late(fate: Fate, process: Process, random: Random) -> None:
    """What it refuses is heard when the trainer, which was cut off, asks again where all stand."""
    _sicken("forward")(fate, process, random)
    slow_down(fate, process, random.uniform(1.3, 1.6))
    fate.strike_later(0.0, lambda: plots.cut(fate, fate.world.processes["trainer"], random))


def _miscount(fate: Fate, process: Process, random: Random) -> None:
    """It returns a row too many until it is started again."""
    process.service._backend.sick = frozenset({"rows"})
    fate.later(random.uniform(0.5, 3.0), process.kill)


def stutter(fate: Fate, process: Process, random: Random) -> None:
    """Everything is heard twice, and a step can be applied but nothing can be predicted after it."""
    fate.blow(2.0, Weather(duplicate=0.9))
    fate.await_row(("EvaluationMachine", "step"), lambda stage: _sicken("forward")(fate, stage, random))


def _go_unheard(fate: Fate, process: Process, random: Random) -> None:
    """It is told to stop before it is in any room."""
    plots.hush(fate, process, random)
    fate.strike_later(0.0, process.stop)


def _leave_chair(fate: Fate, process: Process, random: Random) -> None:
    fate.strike_later(0.0, lambda: plots.want(process, 0))


def _lose_broker(fate: Fate, process: Process, random: Random) -> None:
    fate.strike_later(random.uniform(0.0, 0.003), fate.world.processes["broker"].kill)


def _hold_result(fate: Fate, process: Process, random: Random) -> None:
    """A result cannot be written; a stage that comes back meanwhile is not heard until after it is."""
    process.disk.is_full = True
    fate.later(random.uniform(3.0, 6.0), lambda: setattr(process.disk, "is_full", False))
    stage = fate.stage(random)
    fate.strike_later(random.uniform(0.01, 0.2), stage.kill)
    fate.await_row(("TrainingMachine", "stage joined"), lambda _: fate.stop_for(stage, 12.0))


def _forget_closing(fate: Fate, process: Process, random: Random) -> None:
    """A question is given up, which cannot be written; another one about its sample can, and then the trainer dies."""
    process.disk.is_full = True
    fate.later(random.uniform(2.1, 3.0), lambda: setattr(process.disk, "is_full", False))
    fate.await_row(("QueueMachine", "questions stored"), lambda trainer: plots.kill(fate, trainer, random))


def echo(fate: Fate, process: Process, random: Random) -> None:
    """What is said now is heard once more, seconds later; by the next trainer's stages, perhaps."""
    if random.random() < 0.6:
        echo_to_the_next(fate, process, random)
    else:
        fate.blow(random.uniform(0.2, 1.0), ECHO)


def echo_to_the_next(fate: Fate, process: Process, random: Random) -> None:
    """What is said to the stages of the next trainer begins with what this one said last."""
    fate.blow(random.uniform(0.2, 1.0), ECHO)
    fate.strike_later(random.uniform(0.05, 0.6), fate.world.processes["trainer"].kill)


def _take_over(fate: Fate, process: Process, random: Random) -> None:
    plots.take_over(fate, random)


def _regret(fate: Fate, process: Process, random: Random) -> None:
    """Nobody trains for a while, because a stage does not say where it stands; who gave labels takes them all back."""
    stage = fate.stage(random)
    fate.strike_later(0.0, lambda: plots.cut(fate, stage, random))
    fate.await_row(("TrainingMachine", "stage joined"), lambda _: fate.stop_for(stage, 30.0))
    fate.await_row(("AskingMachine", "batch answered"), lambda _: setattr(fate.temper, "regret", True))
    fate.later(45.0, lambda: setattr(fate.temper, "regret", False))


def _think_otherwise(fate: Fate, process: Process, random: Random) -> None:
    """Labels are changed while a round waits for its stage, and the next trainer knows that another one is due."""
    stage, temper, seconds = fate.stage(random), fate.temper, random.uniform(6.0, 12.0)
    stage.away_until = fate.world.time.now + seconds
    fate.strike_later(0.0, stage.kill)
    temper.revise, temper.skip, temper.undo = 0.9, 0.0, 0.0
    fate.strike_later(seconds, process.kill)
    fate.strike_later(seconds, lambda: setattr(temper, "revise", 0.1))


def _nothing(fate: Fate, process: Process, random: Random) -> None:
    """The row is of no interest."""


# --- what goes on beside ------------------------------------------------------------------------------------------


def _put_back_often(fate: Fate, random: Random) -> None:
    for number in range(3):
        fate.strike_later(9.0 + 9.0 * number + random.uniform(0.0, 4.0), lambda: fate.do("old store"))


def _dismiss_often(fate: Fate, random: Random) -> None:
    """Labelers are told to stop."""
    for number in range(5):
        fate.strike_later(6.0 + 4.0 * number, lambda: fate.labeler(random).stop())


def _cut_often(fate: Fate, random: Random) -> None:
    """Whoever is welcomed again has rooms to join."""
    for number in range(8):
        fate.strike_later(4.0 + 2.0 * number, lambda: fate.do("cut"))


def _skip_often(fate: Fate, random: Random) -> None:
    fate.temper.skip = 0.7


def be_clumsy(fate: Fate, random: Random) -> None:
    """People press keys that are no labels."""
    fate.temper.wrong_key = 0.3


def waver(fate: Fate, random: Random) -> None:
    """People take back half of what they say."""
    fate.temper.undo, fate.temper.skip = 0.6, 0.0


def _chat_often(fate: Fate, random: Random) -> None:
    for number in range(3):
        fate.strike_later(4.0 + 20.0 * number, lambda: fate.do("chatterbox"))


DRILLS = (
    Drill(("Answering", "reply_open"), plots.go_home),
    Drill(("Answering", "reply_open"), plots.leave_desk, _small_outbox),
    Drill(("Answering", "reply_open"), die_unheard),
    Drill(("Answering", "reply_open"), _clog_outbox),
    Drill(("Answering", "left"), _leave_chair, begin=_dismiss_often),
    Drill(("AskingMachine", "pool full"), _choose_long, _impatient, chance=1.0),
    Drill(("AskingMachine", "questions stored"), _regret, _few_labels, chance=1.0, busy_s=40.0),
    Drill(("AskingMachine", "round over"), plots.be_alone, begin=waver),
    Drill(("EvaluationMachine", "forward"), _sicken("forward"), _stormy),
    Drill(("EvaluationMachine", "forward"), _refuse_late),
    Drill(("EvaluationMachine", "forward"), _miscount, _chain),
    Drill(("EvaluationMachine", "forward"), stutter, _one_stage),
    Drill(("EvaluationMachine", "gradient"), _sicken("apply"), _stormy),
    Drill(("EvaluationMachine", "gradient"), _lose_a_step, _chain),
    Drill(("EvaluationMachine", "step"), _sicken("apply"), _one_stage),
    Drill(("EvaluationMachine", "validate"), _sicken("evaluate"), _validated, chance=1.0, busy_s=60.0),
    Drill(("Proposing", "exhausted"), _nothing, _short_sources),
    Drill(("Proposing", "proposal"), _nothing, _gossip, _chat_often),
    Drill(("QueueMachine", "round over"), plots.be_alone, _by_queue),
    Drill(("QueueMachine", "passed"), _forget_closing, _by_queue, _skip_often),
    Drill(("ScoringMachine", "candidates"), _sicken("infer"), _by_batch),
    Drill(("Session", "Welcome"), plots.hush),
    Drill(("Session", "Welcome"), _go_unheard, begin=_cut_often, chance=1.0),
    Drill(("Session", "Welcome"), plots.cut, begin=_cut_often),
    Drill(("Session", "Welcome"), _lose_broker),
    Drill(("TrainingMachine", "last promoted"), plots.fill_disk),
    Drill(("TrainingMachine", "last promoted"), _hold_result),
    Drill(("TrainingMachine", "plan committed"), plots.be_alone),
    Drill(
        ("TrainingMachine", "plan committed"),
        _think_otherwise,
        _many_rounds,
        chance=1.0,
        rest_s=(25.0, 30.0),
        busy_s=60.0,
    ),
    Drill(("TrainingMachine", "prediction"), plots.outrun, begin=be_clumsy),
    Drill(("EvaluationMachine", "gradient"), double_all, _long_chain, chance=0.3, busy_s=60.0),
    Drill(("TrainingMachine", "prediction"), echo_to_the_next, chance=0.8),
    Drill(("TrainingMachine", "prediction"), _take_over),
    Drill(("TrainingMachine", "stage joined"), plots.think_again),
    Drill(("TrainingMachine", "stage joined"), echo),
    Drill(("TrainingMachine", "stage joined"), _nothing, _with_backups, _put_back_often),
)


def drill_of(seed: int) -> Drill | None:
    """None: one in ten runs has none."""
    number = seed % 10
    return None if number == 9 else DRILLS[(seed - seed // 10) % len(DRILLS)]
