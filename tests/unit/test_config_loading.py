"""Files, extends, environment and --set become one checked configuration; every problem is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner.config import loading
from active_learner.config.schema import Config
from active_learner.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problems(config: str | Path, *sets: str, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loading.load(str(config), sets, environment or {})
    return caught.value.problems


def test_every_problem_of_a_file_is_told_at_once_with_line_key_and_what_is_allowed(tmp_path: Path) -> None:
    file = write(
        tmp_path / "exp.yaml",
        "name: exp\ntrainer:\n  bacth_size: 3\n  epochs: '3'\n  pool_after_round: kep\n"
        "source:\n  kind: dataset\nlabeler: {kind: simulted}\nevaluator: 4\nsample: {shape: [0]}\nepochs: 3\n",
    )
    found = problems(file)
    assert found[0].startswith(
        f"{file}:3: trainer.bacth_size: unknown key; did you mean 'batch_size'? allowed: adjudicate, batch_size, "
    )
    assert found[1] == f"{file}:4: trainer.epochs: must be a whole number, not the text '3'"
    assert found[2] == f"{file}:5: trainer.pool_after_round: unknown: 'kep'; did you mean 'keep'? allowed: keep, clear"
    assert found[3].startswith(f"{file}:6: source.path: must be given: npz with")
    assert found[4] == (
        f"{file}:8: labeler.kind: unknown: 'simulted'; did you mean 'simulated'? allowed: simulated, terminal, web, none"
    )
    assert found[5] == f"{file}:9: evaluator: must be a mapping of keys, not 4"
    assert found[6] == f"{file}:10: sample.shape.0: must be at least 1, not 0"
    assert found[7].startswith(f"{file}:11: epochs: unknown key; it belongs to trainer.epochs; allowed: broker, ")
    assert len(found) == 8


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nname: b\n", ":2: not valid YAML: found duplicate key"),
        ("name: [a\n", ":2: not valid YAML: "),
        ("- a\n", ": must be a mapping of keys such as 'name: digits'"),
        ("", ": name: must be given: names the experiment"),
        ("name: 3\n", ":1: name: must be text, not 3; put it in quotes"),
        ("name: a/b\n", ":1: name: 'a/b' does not fit; allowed: letters, digits"),
        ("name: a\nseed: true\n", ":2: seed: must be a whole number, not true"),
        ("name: a\nseed: -1\n", ":2: seed: must be at least 0, not -1"),
        ("name: a\nseed:\n", ":2: seed: must be a whole number, not nothing"),
        ("name: a\nevaluator: {learning_rate: .inf}\n", ":2: evaluator.learning_rate: must be finite, not inf"),
        ("name: a\nsource: {path: x}\n", ":2: source.kind: must be given; allowed: dataset, evolution, jsonl,"),
        ("name: a\nsource: {kind: dataset, pth: x}\n", ":2: source.pth: unknown key; did you mean 'path'?"),
        ("name: a\ntrainer: {stages: []}\n", ":2: trainer.stages: must have at least 1 entry, not 0"),
        ("name: a\nbroker: {address: here}\n", ":2: broker.address: 'here' does not fit; allowed: tcp://HOST:PORT"),
        ("name: a\nbroker: {address: 'tcp://a:70000'}\n", ":2: broker.address: the port must be 1 to 65535"),
        ("name: a\ntrainer: {pool_capacity: 3}\n", ":2: trainer.pool_capacity: must be at least trainer.pool_size"),
        ("name: a\nrooms: {user: traininput}\n", ":2: rooms.user: 'traininput' is rooms.traininput already"),
        ("name: a\nextends: nowhere\n", ":2: extends: nowhere: no such file or shipped experiment"),
        ("name: a\nextends: 3\n", ":2: extends: must be one file or shipped name, not 3"),
        ("name: a\nfolder: 3\n", ":2: folder: must be text, not 3"),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    file = write(tmp_path / "exp.yaml", text)
    assert any(line.startswith(f"{file}{problem}") for line in problems(file)), problems(file)


def test_yaml_is_1_2_so_that_a_learning_rate_is_a_number_and_no_is_text(tmp_path: Path) -> None:
    file = write(tmp_path / "exp.yaml", "name: no\nevaluator: {learning_rate: 1e-3}\n")
    config = loading.load(str(file), (), {})
    assert (config.name, config.evaluator.learning_rate) == ("no", 0.001)


def test_a_missing_file_names_the_near_ones_and_those_that_are_shipped(tmp_path: Path) -> None:
    write(tmp_path / "exp.yaml", "name: a\n")
    [line] = problems(tmp_path / "exq.yaml")
    assert line.startswith(
        f"{tmp_path}/exq.yaml: no such file or shipped experiment; did you mean '{tmp_path}/exp.yaml'?"
    )
    assert "digits" in line.partition("shipped: ")[2]
    assert "did you mean 'digits'?" in problems("digts")[0]
    assert "is a folder without config.yaml" in problems(tmp_path)[0]


def test_a_file_wins_over_the_shipped_experiment_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert loading.load("digits", (), {}).name == "digits"
    write(tmp_path / "digits", "name: my-own\n")
    assert loading.load("digits", (), {}).name == "my-own"


def test_later_wins_from_extended_file_over_file_and_environment_to_set(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "name: base\ntrainer: {epochs: 1, batch_size: 1, query_size: 1, pool_size: 1}\n")
    file = write(tmp_path / "exp.yaml", "extends: base.yaml\ntrainer: {batch_size: 2, query_size: 2, pool_size: 2}\n")
    environment = {"ACTIVE_LEARNER__TRAINER__QUERY_SIZE": "3", "ACTIVE_LEARNER__TRAINER__POOL_SIZE": "3"}
    trainer = loading.load(str(file), ["trainer.pool_size=4"], environment).trainer
    assert (trainer.epochs, trainer.batch_size, trainer.query_size, trainer.pool_size) == (1, 2, 3, 4)


def test_another_kind_replaces_the_whole_section(tmp_path: Path) -> None:
    write(
        tmp_path / "base.yaml", "name: a\nsource: {kind: evolution, bits: 8}\nlabeler: {kind: simulated, noise: 0.5}\n"
    )
    file = write(tmp_path / "exp.yaml", "extends: base.yaml\nsource: {kind: dataset, path: x}\n")
    config = loading.load(str(file), ["labeler.kind=terminal"], {})
    assert (config.source.kind, config.labeler.kind) == ("dataset", "terminal")
    kept = loading.load(str(tmp_path / "base.yaml"), ["source.kind=evolution", "source.population=6"], {}).source
    assert (kept.kind, kept.bits, kept.population) == ("evolution", 8, 6)  # type: ignore[union-attr]


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    write(tmp_path / "b.yaml", "extends: a.yaml\n")
    assert "extends itself" in problems(tmp_path / "a.yaml")[0]


def test_a_problem_in_an_extended_file_is_told_there(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "name: a\ntrainer:\n  epochs: many\n")
    file = write(tmp_path / "exp.yaml", "extends: base.yaml\ntrainer: {batch_size: 2}\n")
    assert problems(file) == (f"{base}:3: trainer.epochs: must be a whole number, not the text 'many'",)


def test_a_bad_option_or_variable_is_named_instead_of_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "exp.yaml", "name: a\n")
    found = problems(file, "trainer.epocs=3", "seed=x", environment={"ACTIVE_LEARNER__SEDE": "3"})
    assert found[0].startswith("--set seed=x: seed: must be a whole number")
    assert found[1].startswith("--set trainer.epocs=3: trainer.epocs: unknown key; did you mean 'epochs'?")
    assert found[2].startswith("ACTIVE_LEARNER__SEDE: sede: unknown key; did you mean 'seed'?")
    assert problems(file, "seed", "=3", "a..b=1", "seed=[") == (
        "--set seed: must be KEY=VALUE, such as trainer.epochs=3",
        "--set =3: must be KEY=VALUE, such as trainer.epochs=3",
        "--set a..b=1: must be KEY=VALUE, such as trainer.epochs=3",
        "--set seed=[: not valid YAML: expected the node content, but found '<stream end>'",
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("sample.shape=[8, 8]", (8, 8)), ("sample.shape=null", None), ("evaluator.arguments={hidden: 3}", {"hidden": 3})],
)
def test_set_takes_yaml(tmp_path: Path, option: str, value: object) -> None:
    config = loading.load(str(write(tmp_path / "exp.yaml", "name: a\n")), [option], {})
    section, _, key = option.partition("=")[0].partition(".")
    assert getattr(getattr(config, section), key) == value


def test_set_reaches_into_free_mappings(tmp_path: Path) -> None:
    file = write(tmp_path / "exp.yaml", "name: a\nevaluator: {arguments: {hidden: 3, depth: 2}}\n")
    config = loading.load(str(file), ["evaluator.arguments.hidden=4"], {})
    assert config.evaluator.arguments == {"hidden": 4, "depth": 2}


def test_the_folder_of_the_file_and_the_run_folder_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner" / "exp.yaml", "name: a\n")
    config = loading.load("inner/exp.yaml", (), {})
    assert loading.base_dir(config) == tmp_path / "inner"
    assert loading.run_dir(config) == tmp_path / "runs" / "a"
    assert loading.run_dir(loading.load("inner/exp.yaml", ["run_dir=other"], {})) == tmp_path / "other"


@pytest.mark.parametrize("name", sorted(loading.shipped()))
def test_a_shipped_experiment_is_valid_and_its_resolved_file_says_the_same_from_anywhere(
    name: str, tmp_path: Path
) -> None:
    config = loading.load(name, (), {})
    loading.write_resolved(config, tmp_path / "config.resolved.yaml")
    again = loading.load(str(tmp_path / "config.resolved.yaml"), (), {})
    assert loading.resolved(again) == loading.resolved(config)
    assert loading.base_dir(again) == loading.base_dir(config)


def test_the_package_ships_experiments_that_differ_by_a_few_lines() -> None:
    assert {"digits", "digits-random", "digits-small-batch"} <= set(loading.shipped())


def test_a_configuration_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config(name="a").name = "b"  # type: ignore[misc]
