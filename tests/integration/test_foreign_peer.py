"""Peers written from the specification alone train with the real broker and trainer; only commands are used."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.foreign_process import PEER, Process, Processes
from tests.ports import free_port

pytestmark = pytest.mark.integration

KEEP = ("--checkpoints", "checkpoints.json")
CONFIG = """
name: foreign
seed: 1
broker: {{address: "{address}"}}
sample: {{shape: [4], dtype: float32, classes: 2}}
trainer: {{pool_size: 40, query_size: 10, epochs: 5, batch_size: 5, loss: cross_entropy, strategy: least_confidence}}
evaluator: {{}}
source: {{kind: none}}
labeler: {{kind: none}}
validation: {{path: heldout.npz}}
"""


class Experiment(Processes):
    """The configuration, the held-out rows and the commands of one experiment."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.address = f"tcp://127.0.0.1:{free_port()}"
        (folder / "config.yaml").write_text(CONFIG.format(address=self.address))
        points = np.random.default_rng(0).uniform(-1, 1, (200, 4)).astype(np.float32)
        np.savez(folder / "heldout.npz", X_test=points, y_test=(points.sum(1) > 0).astype(np.int64))

    def broker(self) -> Process:
        process = self.start("-m", "active_learner", "broker", "config.yaml")
        process.line("ready:")
        return process

    def peer(self, role: str, *options: str) -> Process:
        return self.start(PEER, role, "--address", self.address, "--experiment", "foreign", *options)

    def evaluator(self, *options: str) -> Process:
        process = self.peer("evaluator", *options)
        process.line("ready:")
        return process

    def serve(self) -> Process:
        process = self.start("-m", "active_learner", "serve", "config.yaml", "--rounds", "3")
        process.line("ready:")
        return process

    def rounds(self) -> list[dict[str, Any]]:
        lines = (self.folder / "runs" / "foreign" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def experiment(tmp_path: Path) -> Iterator[Experiment]:
    started = Experiment(tmp_path)
    try:
        yield started
    finally:
        started.close()


def check(experiment: Experiment, serve: Process, promoted: list[str]) -> None:
    """Three rounds, with the digests that the evaluator said, and a network that has learned."""
    assert serve.end() == 0, serve.said_wrong()
    assert any(line.startswith("result:") for line in serve.lines)
    rounds = experiment.rounds()
    assert [one["labels"] for one in rounds] == [10, 20, 30]
    assert [one["round"] for one in rounds] == [1, 2, 3]
    expected = {f"promoted: {one['round']} {one['model_version']} {one['digest']}" for one in rounds}
    assert expected <= set(promoted)
    assert all(one["seconds"] > 0 and one["loss"] > 0 for one in rounds)
    assert rounds[-1]["accuracy"] > 0.75


def ended(process: Process) -> list[str]:
    process.process.terminate()
    assert process.end() == 0, process.said_wrong()
    return process.lines


def test_three_rounds_with_foreign_peers(experiment: Experiment) -> None:
    experiment.broker()
    evaluator = experiment.evaluator(*KEEP)
    labeler, source = experiment.peer("labeler"), experiment.peer("source")
    for process in (labeler, source):
        process.line("ready:")
    serve = experiment.serve()
    serve.end()
    check(experiment, serve, ended(evaluator))
    assert ended(labeler).count("receipt: stored") == 30
    assert sum(line.startswith("taken: new 10 ") for line in ended(source)) == 6


def test_peers_that_start_after_the_trainer_and_a_source_that_ends_early(experiment: Experiment) -> None:
    experiment.broker()
    serve = experiment.serve()
    experiment.peer("source", "--count", "30")
    experiment.peer("labeler")
    evaluator = experiment.evaluator(*KEEP)
    serve.end()
    check(experiment, serve, ended(evaluator))


def test_an_evaluator_that_is_killed_goes_on_from_its_checkpoint(experiment: Experiment) -> None:
    experiment.broker()
    first = experiment.evaluator(*KEEP)
    experiment.peer("labeler")
    experiment.peer("source")
    serve = experiment.serve()
    first.line("promoted: 1 ")
    first.kill()
    second = experiment.evaluator(*KEEP)
    serve.end()
    check(experiment, serve, first.lines + ended(second))


def test_an_evaluator_that_lost_everything_computes_the_same_weights_again(experiment: Experiment) -> None:
    experiment.broker()
    first = experiment.evaluator()
    experiment.peer("labeler")
    experiment.peer("source")
    serve = experiment.serve()
    before = first.line("promoted: 1 ")
    first.kill()
    second = experiment.evaluator()
    serve.end()
    promoted = ended(second)
    check(experiment, serve, [before, *promoted])
    assert before in promoted


def test_a_broker_that_is_killed_and_started_again(experiment: Experiment) -> None:
    broker = experiment.broker()
    evaluator = experiment.evaluator(*KEEP)
    experiment.peer("labeler")
    experiment.peer("source")
    serve = experiment.serve()
    evaluator.line("promoted: 1 ")
    broker.kill()
    experiment.broker()
    serve.end()
    check(experiment, serve, ended(evaluator))
