"""A chain of evaluators in one configuration: which stages it describes, what each of them is, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner import cli
from active_learner.commands.evaluator import place_of, settings_of
from active_learner.config import loading, run_folder
from active_learner.config.schema import Config
from active_learner.config.stages import as_stage, roles_here
from active_learner.errors import ConfigError
from active_learner.services import plan


def chain(*sets: str) -> Config:
    return loading.load("digits-chain", sets, {})


def test_the_shipped_chain_describes_both_of_its_stages() -> None:
    assert roles_here(chain()) == ("front", "back")
    assert roles_here(loading.load("digits", (), {})) == ("evaluator",)
    assert roles_here(chain("trainer.stages=[front, middle, back]")) == ("front", "back")


def test_a_stage_has_its_own_keys_and_the_others_of_evaluator() -> None:
    config = chain("evaluator.stages.back.learning_rate=0.5", "evaluator.arguments={dropout: 0.2}")
    front, back = (as_stage(config, role).evaluator for role in ("front", "back"))
    assert (front.role, front.learning_rate, front.arguments) == ("front", 1e-3, {"dropout": 0.2})
    assert (back.role, back.learning_rate, back.optimizer) == ("back", 0.5, "adam")
    assert (front.network.split(":")[1], back.network.split(":")[1]) == ("digits_front", "digits_back")


def test_the_stages_stand_one_behind_the_other() -> None:
    for number, role in enumerate(("front", "back")):
        config = as_stage(chain(), role)
        place = place_of(config)
        assert (place.first, place.last) == (number == 0, number == 1)
        settings = settings_of(config, place)
        assert (settings.stage, settings.input_gradient) == (number, number == 1)
    assert (
        place_of(as_stage(chain(), "front")).output_room == place_of(as_stage(chain(), "back")).input_room == "middle"
    )


def test_up_starts_every_stage_with_its_role() -> None:
    programs = {one.name: one.command for one in plan.programs(chain(), Path("r.yaml"), (), ())}
    assert list(programs)[:4] == ["broker", "trainer", "front", "back"]
    for role in ("front", "back"):
        assert programs[role][-4:] == ("evaluator", "r.yaml", "--set", f'evaluator.role="{role}"')
    assert plan.elsewhere(chain()) == ()
    assert plan.elsewhere(chain("trainer.stages=[front, middle, back]")) == ("middle",)


def test_an_evaluator_that_is_not_told_which_stage_it_is_says_how_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluator", "digits-chain"]) == 3
    assert "is not in trainer.stages: front, back; --set evaluator.role=NAME takes one" in capsys.readouterr().err


def test_check_leads_a_batch_through_all_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "digits-chain"]) == 0
    told = capsys.readouterr().out
    assert "8,320 parameters, output width 128" in told
    assert "back gets batches of (20, 128) from the stage before it" in told
    assert "8,906 parameters, output width 10" in told
    assert cli.run(["check", "digits-chain", "--set", "evaluator.stages.back.arguments={hidden: 100}"]) == 3
    assert "layer '0' (Linear(in_features=100" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("evaluator.stages.back.input_room=other", "into which front says, 'middle', not 'other'"),
        ("evaluator.stages.tail.device=cpu", "evaluator.stages.tail: is not in trainer.stages: front, back"),
        (
            "evaluator.stages.back.inputroom=x",
            "evaluator.stages.back.inputroom: unknown key; did you mean 'input_room'?",
        ),
        ("evaluator.stages.back.learning_rate=0", "evaluator.stages.back.learning_rate: must be more than 0"),
        ("evaluator.stages.back=3", "evaluator.stages.back: must be a mapping of keys, not 3"),
        ("evaluator.stages={a b: {}}", "evaluator.stages.a b: 'a b' does not fit; allowed: letters"),
    ],
)
def test_what_cannot_be_a_chain_is_told_with_its_key(rule: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chain(rule)
    assert told in str(caught.value)


def test_a_run_keeps_the_networks_of_its_stages_and_not_their_devices(tmp_path: Path) -> None:
    def prepared(*sets: str) -> tuple[str, ...]:
        return run_folder.prepare(chain(f"run_dir={tmp_path / 'run'}", *sets)).notes

    prepared()
    assert any("evaluator.stages.back.device" in note for note in prepared("evaluator.stages.back.device=cpu"))
    for kept in ("learning_rate=0.5", "arguments={dropout: 0.1}"):
        with pytest.raises(ConfigError, match=r"evaluator\.stages\.front\..*--new starts another run"):
            prepared(f"evaluator.stages.front.{kept}")
