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
        (["evaluator.network=nowhere:make"], "no module 'nowhere'"),
        (["evaluator.optimizer=adamm"], "allowed are adam, adamw, sgd"),
        (["trainer.loss=torch:Nothing"], "torch.nn has no loss 'Nothing'"),
        (["evaluator.output=probabilities", "evaluator.role=other"], "is not in trainer.stages: evaluator"),
        (["evaluator.output_room=traininput"], "must differ"),
        (["trainer.stages=[evaluator, upper]"], "not its place in trainer.stages"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_does_not_fit_ends_with_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sets: list[str], told: str
) -> None:
    assert checked(tmp_path, *sets) == 3
    assert told in capsys.readouterr().err


def test_a_later_stage_of_a_chain_is_only_made_saved_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("trainer.stages=[lower, upper]", "evaluator.role=upper", "evaluator.input_room=middle")
    assert checked(tmp_path, *sets) == 0
    assert "upper gets its input from the stage before it" in capsys.readouterr().out
