"""Faults of more than one stroke: what must go wrong together, or at a moment that chance alone seldom finds. Knows processes,
disks and rows of machines from outside; not the services."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from active_learner.core.answering_events import Wanted
from active_learner.core.holding import AHEAD
from active_learner.simulator import engine
from active_learner.simulator.network import Weather
from active_learner.simulator.processes import Process
from active_learner.simulator.store import LEASE_S

if TYPE_CHECKING:
    from active_learner.simulator.faults import Fate

Act = Callable[["Fate", Process, Random], None]

AMBUSHES = (
    ("Answering", "reply_open"),
    ("AskingMachine", "pool full"),
    ("AskingMachine", "questions stored"),
    ("AskingMachine", "round over"),
    ("AskingMachine", "selection"),
    ("EvaluationMachine", "forward"),
    ("EvaluationMachine", "gradient"),
    ("EvaluationMachine", "position request"),
    ("EvaluationMachine", "promote"),
    ("EvaluationMachine", "restore"),
    ("EvaluationMachine", "step"),
    ("EvaluationMachine", "validate"),
    ("Proposing", "proposal"),
    ("Session", "Welcome"),
    ("TrainingMachine", "last position"),
    ("TrainingMachine", "last promoted"),
    ("TrainingMachine", "plan committed"),
    ("TrainingMachine", "prediction"),
    ("TrainingMachine", "round wanted"),
    ("TrainingMachine", "stage joined"),
    ("TrainingMachine", "validated"),
)
"""Rows that begin something which another event may interrupt: machine and trigger."""


def ambush(fate: Fate, random: Random) -> bool:
    """When a machine comes to a drawn row, something is done to its process, or to what it counts on."""
    row = random.choice(AMBUSHES)
    act = random.choice(ANYWHERE)
    fate.await_row(row, lambda process: act(fate, process, random))
    return True


def kill(fate: Fate, process: Process, random: Random) -> None:
    if process.loop is not None:
        process.loop.dies_after = 0


def stop(fate: Fate, process: Process, random: Random) -> None:
    fate.stop_for(process, random.uniform(0.05, 4.0))


def cut(fate: Fate, process: Process, random: Random) -> None:
    link = fate.world.network.link_of(process.name)
    if link is not None and link.connection is not None:
        fate.world.network.close(link.connection)


def lose_a_stage(fate: Fate, process: Process, random: Random) -> None:
    """It is stopped, and what an evaluator that dies and comes back meanwhile brings about is heard in one go."""
    fate.stop_for(process, 4.0)
    fate.strike_later(random.uniform(0.01, 0.2), fate.stage(random).kill)


def fill_disk(fate: Fate, process: Process, random: Random) -> None:
    """Nothing is written for a while, and an evaluator goes and comes meanwhile."""
    process.disk.is_full = True
    fate.later(random.uniform(3.0, 8.0), lambda: setattr(process.disk, "is_full", False))
    stage = fate.stage(random)
    stage.away_until = fate.world.time.now + random.uniform(0.0, 9.0)
    fate.strike_later(random.uniform(0.01, 0.2), stage.kill)


def be_alone(fate: Fate, process: Process, random: Random) -> None:
    """The evaluator is away for a long time; when it is back, the process that waited for it may die."""
    stage, seconds = fate.stage(random), random.uniform(6.0, 30.0)
    stage.away_until = fate.world.time.now + seconds
    fate.strike_later(0.0, stage.kill)
    if random.random() < 0.3:
        fate.strike_later(seconds, process.kill)


def spoil(fate: Fate, process: Process, random: Random) -> None:
    """No checkpoint is good any more."""
    engine.damage_all(process.disk, process.name)


def hush(fate: Fate, process: Process, random: Random) -> None:
    """Nothing gets through any more, and nobody is told."""
    connection = fate.world.network.hold(process.name)
    if connection is not None:
        fate.later(3.0, lambda: fate.world.network.close(connection))


def go_home(fate: Fate, process: Process, random: Random) -> None:
    """It is told to stop, while what it and others say is lost."""
    fate.strike_later(random.choice((0.0, 0.0, 0.02)), process.stop)
    fate.blow(1.0, Weather(drop=0.5))


def leave_desk(fate: Fate, process: Process, random: Random) -> None:
    """The trainer is away for a long time, and people think again about what they said."""
    trainer, temper, seconds = fate.world.processes["trainer"], fate.temper, random.uniform(15.0, 40.0)
    trainer.away_until = fate.world.time.now + seconds
    fate.strike_later(0.0, trainer.kill)
    temper.revise, temper.skip = 0.9, 0.0
    fate.strike_later(seconds, lambda: setattr(temper, "revise", 0.1))


def think_again(fate: Fate, process: Process, random: Random) -> None:
    """The evaluator is away for a long time, and people take back what they said."""
    stage, temper, seconds = fate.stage(random), fate.temper, random.uniform(15.0, 40.0)
    stage.away_until = fate.world.time.now + seconds
    fate.strike_later(0.0, stage.kill)
    temper.undo, temper.skip = 0.9, 0.0
    fate.strike_later(seconds + 5.0, lambda: setattr(temper, "undo", 0.1))


def outrun(fate: Fate, process: Process, random: Random) -> None:
    """What a stage says takes long; the trainer dies, and the next one is there before it."""
    slow_down(fate, fate.stage(random), random.uniform(1.0, 1.6))
    fate.strike_later(random.uniform(0.0, 0.05), fate.world.processes["trainer"].kill)


ANYWHERE = (kill, stop, cut, lose_a_stage, fill_disk, be_alone)
"""What is done to any process."""


def take_over(fate: Fate, random: Random) -> bool:
    """The trainer hangs for longer than its lease, another one takes its store and does its work, and it wakes up again."""
    trainer, rival = fate.world.processes["trainer"], fate.world.rival("trainer")
    if not trainer.is_up or rival.is_up:
        return False
    fate.stop_for(trainer, LEASE_S + random.uniform(1.5, 9.0))
    fate.strike_later(LEASE_S + random.uniform(0.1, 1.0), rival.start)
    fate.later(LEASE_S + random.uniform(1.5, 12.0), rival.kill)
    return True


def replaced_evaluator(fate: Fate, random: Random) -> bool:
    """A stage dies, and another process of its role is there first: with an empty folder of its own, with what it learned
    there before, or with the checkpoints of another run."""
    stage = fate.stage(random)
    rival = fate.world.rival(stage.name)
    if rival.is_up:
        return False
    if random.random() < 0.5:
        number = fate.world.experiment.roles.index(stage.name)
        engine.of_another_run(rival.disk, stage.name, fate.world.experiment.backend(number))
    stage.kill()
    rival.start()
    fate.later(random.uniform(3.0, 20.0), lambda: _leaves(rival))
    return True


def _leaves(rival: Process) -> None:
    """Whose checkpoints they were, is known then: they go with it."""
    rival.kill()
    engine.forget_other_runs(rival.disk)


def old_store(fate: Fate, random: Random) -> bool:
    """The store is put back from a backup. Its trainer refuses that until it is told to go on from it; then it dies before it
    has met anybody, and the next one, which was not told, meets those that know more."""
    if not fate.world.put_store_back(random):
        return False
    _leave_no_rivals(fate)
    row = ("TrainingMachine", "stage joined")

    def met(process: Process) -> None:
        kill(fate, process, random)
        fate.await_row(row, lambda next_one: lose_a_stage(fate, next_one, random))

    if random.random() < 0.7:
        fate.await_row(row, met)
    return True


def _leave_no_rivals(fate: Fate) -> None:
    """Nor let any come: a stage that another one stands for when the rollback is accepted would bring back what was lost."""
    fate.kinds = [kind for kind in fate.kinds if kind not in ("replaced evaluator", "second evaluator")]
    for role in fate.world.experiment.roles:
        rival = fate.world.rival(role)
        rival.kill()
        rival.disk.files.clear()


def empty_chair(fate: Fate, random: Random) -> bool:
    """Nobody sits at a labeler for a while, as when an annotator closes the page: its questions go to others."""
    process = fate.labeler(random)
    if not want(process, 0):
        return False
    fate.later(random.uniform(1.0, 30.0), lambda: want(process, AHEAD))
    return True


def want(process: Process, ahead: int) -> bool:
    """So many questions at that labeler from now on; False: it is not there."""
    loop = process.loop
    if loop is None or loop.dead or loop.paused:
        return False
    loop.run_now(lambda: process.service._desk.handle(Wanted(ahead, loop.time())))
    return True


def slow_road(fate: Fate, random: Random) -> bool:
    """All that a process says takes long, in its order; a labeler may be told to stop meanwhile."""
    names = [name for name in fate.world.processes if name != "broker"]
    process = fate.world.processes[random.choice(names)]
    if not slow_down(fate, process, random.uniform(0.3, 1.6)):
        return False
    if process.name.startswith("labeler"):
        fate.strike_later(random.uniform(0.0, 8.0), process.stop)
    return True


def slow_down(fate: Fate, process: Process, seconds: float) -> bool:
    """Its connection, for some seconds; False: it has none."""
    link = fate.world.network.link_of(process.name)
    if link is None or link.connection is None:
        return False
    connection = link.connection
    connection.slow_s = seconds
    fate.later(8.0, lambda: setattr(connection, "slow_s", 0.0))
    return True
