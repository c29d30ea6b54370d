"""`check`: a configuration whose network fits, and the words for those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner import cli

CONFIG = """
name: tried
sample: {shape: [64], dtype: float32, classes: 10}
evaluator: {network: "active_learner.examples.torch_networks:digits"}
"""


def checked(folder: Path, *sets: str) -> int:
    path = folder / "tried.yaml"
    path.write_text(CONFIG)
    return cli.run(["check", str(path), *(word for one in sets for word in ("--set", one))])


def test_a_network_that_fits_is_told_layer_by_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path) == 0
    told = capsys.readouterr().out
    assert "Linear(in_features=64, out_features=128, bias=True)" in told
    assert "17,226 parameters, output width 10" in told
    assert "a step, a save and a load went well" in told


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (["evaluator.arguments={classes: 7}"], "returns 7 numbers a sample; loss cross_entropy wants 10"),
        (["evaluator.arguments={pixels: 65}"], "layer '2' (Linear(in_features=65"),
        (["evaluator.arguments={depth: 2}"], "unexpected keyword argument 'depth'"),
        (["evaluator.fitness=foo"], "evaluator.fitness 'foo': allowed are expected, confidence"),
        (["evaluator.schedule=foo"], "evaluator.schedule 'foo': allowed are"),
        (["evaluator.network=nowhere:make"], "no module 'nowhere'"),
        (["evaluator.optimizer=adamm"], "allowed are adam, adamw, sgd"),
        (["trainer.loss=torch:Nothing"], "torch.nn has no loss 'Nothing'"),
        (["evaluator.output=probabilities", "evaluator.role=other"], "is not in trainer.stages: evaluator"),
        (["evaluator.output_room=traininput"], "must differ"),
        (["trainer.stages=[evaluator, upper]"], "not its place in trainer.stages"),
        (["trainer.strategy=margn"], "did you mean margin?"),
        (["trainer.loss=hinge"], "no loss 'hinge'"),
        (["store.url=postgresql://here/db"], "postgresql databases are not supported"),
        (["store.url=labels.db"], "names no store"),
        (["broker.address=tcp://0.0.0.0:5570"], "can be reached from other machines"),
        (
            ["broker.max_rooms=4"],
            "broker.max_rooms: must be at least 5, the rooms of this experiment (control, evolution",
        ),
        (["labeler={kind: simulated, answers: nowhere:rule}"], "no module 'nowhere'"),
        (["labeler={kind: simulated, answers: melodic}"], "is not dataset, melody or module:function"),
        (["source={kind: jsonl, path: missing.jsonl}"], "missing.jsonl"),
        (["source={kind: dataset, path: missing.npz}"], "missing.npz"),
        (["source={kind: custom, factory: nowhere:make}"], "no module 'nowhere'"),
        (["source={kind: custom, factory: builtins:int, arguments: {x: 1}}"], "builtins:int"),
        (["validation.path=missing.npz"], "missing.npz"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_does_not_fit_ends_with_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sets: list[str], told: str
) -> None:
    assert checked(tmp_path, *sets) == 3
    assert told in capsys.readouterr().err


NORMED = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))
"""


def test_a_network_with_running_statistics_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "normed_network.py").write_text(NORMED)
    assert checked(tmp_path, "evaluator.network=normed_network:make") == 0
    assert "a step, a save and a load went well" in capsys.readouterr().out


def test_a_later_stage_of_a_chain_is_only_made_saved_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("trainer.stages=[lower, upper]", "evaluator.role=upper", "evaluator.input_room=middle")
    assert checked(tmp_path, *sets) == 0
    assert "upper gets its input from the stage before it" in capsys.readouterr().out


def test_everything_that_would_be_refused_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ("trainer.strategy=no", "store.url=no", "broker.address=tcp://10.0.0.1:1", "validation.path=no.npz")
    assert checked(tmp_path, *sets) == 3
    told = capsys.readouterr().err
    assert all(key in told for key in ("trainer.strategy", "store.url", "broker.address"))


def test_a_folder_with_a_config_yaml_in_it_is_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert cli.run(["check", str(tmp_path)]) == 0
    (tmp_path / "config.yaml").rename(tmp_path / "other.yaml")
    assert cli.run(["check", str(tmp_path)]) == 3
    assert "is a folder without config.yaml" in capsys.readouterr().err
