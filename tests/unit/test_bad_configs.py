"""Row 42 of bad input: configurations with one mistake each. Every command says the file, the line, the key, what is allowed and
the nearest name, exits with 3, and has started and written nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from active_learner import cli
from active_learner.config import loading
from active_learner.errors import ConfigError

TABLE = [
    ("nmae: exp\n", ":1: nmae: unknown key; did you mean 'name'? allowed: broker, "),
    (
        "trainer: {epoch: 3}\n",
        ":2: trainer.epoch: unknown key; did you mean 'epochs'? allowed: adjudicate, batch_size, ",
    ),
    ("trainer: {epochs: 0}\n", ":2: trainer.epochs: must be at least 1, not 0"),
    ("trainer: {epochs: 2.5}\n", ":2: trainer.epochs: must be a whole number, not 2.5"),
    ("trainer: {batch_size: 0}\n", ":2: trainer.batch_size: must be at least 1, not 0"),
    ("trainer: {batch_size: many}\n", ":2: trainer.batch_size: must be a whole number, not the text 'many'"),
    ("trainer: {query_size: -5}\n", ":2: trainer.query_size: must be at least 1, not -5"),
    ("trainer: {loss: }\n", ":2: trainer.loss: must be text, not nothing"),
    ("trainer: {label_timeout_s: 0}\n", ":2: trainer.label_timeout_s: must be more than 0.0, not 0"),
    ("trainer: {resend_s: 1s}\n", ":2: trainer.resend_s: must be a number, not the text '1s'"),
    ("trainer: {fused: maybe}\n", ":2: trainer.fused: must be true or false, not the text 'maybe'"),
    ("trainer: {pool_after_round: purge}\n", ":2: trainer.pool_after_round: unknown: 'purge'; allowed: keep, clear"),
    ("sample: {classes: 0}\n", ":2: sample.classes: must be at least 1, not 0"),
    ("sample: {shape: 64}\n", ":2: sample.shape: must be a list, such as [64], not 64"),
    ("sample: {shape: [8, -8]}\n", ":2: sample.shape.1: must be at least 1, not -8"),
    (
        "sample: {dtype: float}\n",
        ":2: sample.dtype: unknown: 'float'; did you mean 'float64'? allowed: uint8, int8, int16,",
    ),
    ("evaluator: {learning_rate: 0}\n", ":2: evaluator.learning_rate: must be more than 0.0, not 0"),
    ("evaluator: {learning_rate: .nan}\n", ":2: evaluator.learning_rate: must be finite, not nan"),
    (
        "evaluator: {network: networks}\n",
        ":2: evaluator.network: 'networks' does not fit; allowed: module:factory, such as network:make",
    ),
    ("evaluator: {threads: 0}\n", ":2: evaluator.threads: must be at least 1, not 0"),
    (
        "evaluator: {output: logit}\n",
        ":2: evaluator.output: unknown: 'logit'; did you mean 'logits'? allowed: logits, probabilities",
    ),
    (
        "source: {kind: datasets, path: x}\n",
        ":2: source.kind: unknown: 'datasets'; did you mean 'dataset'? allowed: dataset,",
    ),
    (
        "source: {kind: dataset}\n",
        ":2: source.path: must be given: npz with X_train y_train X_test y_test, npy, or csv",
    ),
    ("source: {kind: evolution, mutation_rate: 1.5}\n", ":2: source.mutation_rate: must be at most 1.0, not 1.5"),
    ("source: {kind: evolution, population: 1}\n", ":2: source.population: must be at least 2, not 1"),
    ("labeler: {kind: simulated, noise: -0.1}\n", ":2: labeler.noise: must be at least 0.0, not -0.1"),
    ("labeler: {kind: human}\n", ":2: labeler.kind: unknown: 'human'; allowed: simulated, terminal, web, none"),
    (
        "broker: {address: '127.0.0.1:5570'}\n",
        ":2: broker.address: '127.0.0.1:5570' does not fit; allowed: tcp://HOST:PORT",
    ),
    (
        "broker: {max_message_bytes: 64MB}\n",
        ":2: broker.max_message_bytes: must be a whole number, not the text '64MB'",
    ),
    ("broker: {max_message_bytes: 1000}\n", ":2: broker.max_message_bytes: must be at least 1048576, not 1000"),
    ("rooms: {user: 'a b'}\n", ":2: rooms.user: 'a b' does not fit; allowed: letters"),
    ("validation: {every: 0}\n", ":2: validation.every: must be at least 1, not 0"),
    ("seed: 1e3\n", ":2: seed: must be a whole number, not 1000.0"),
    ("seed: 9223372036854775808\n", ":2: seed: must be less than 9223372036854775808, not 9223372036854775808"),
    ("name: ../exp\n", ":1: name: '../exp' does not fit; allowed: letters"),
    (
        "name: exp\nname: other\n",
        ':2: not valid YAML: found duplicate key "name" with value "other" (original value: "exp")',
    ),
    ("trainer:\n  - epochs: 3\n", ":2: trainer: must be a mapping of keys, not a list"),
    ("\ttrainer: {}\n", ":2: not valid YAML: found character '\\t' that cannot start any token"),
    ("extends: digitz\n", ":2: extends: digitz: no such file or shipped experiment; did you mean 'digits'? shipped: "),
]
"""What stands below `name: exp` (or, when it names itself, in its place), and how the problem is told."""


def write(folder: Path, text: str) -> Path:
    file = folder / "exp.yaml"
    file.write_text(text if text.startswith(("name:", "nmae:")) else f"name: exp\n{text}", encoding="utf-8")
    return file


def test_row_42_has_a_table_of_at_least_thirty_mistakes() -> None:
    assert len({text for text, _ in TABLE}) == len(TABLE) >= 30


@pytest.mark.parametrize(("text", "problem"), TABLE, ids=[text.strip() for text, _ in TABLE])
def test_row_42_a_mistake_is_told_with_file_line_key_and_what_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, text)
    assert cli.run(["serve", str(file)]) == 3
    told = capsys.readouterr().err
    assert f"{file}{problem}" in told
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["exp.yaml"]


def test_row_42_all_mistakes_of_a_file_are_told_at_once_by_their_lines(tmp_path: Path) -> None:
    """One for each section that the table has, in one file."""
    sections: dict[str, str] = {}
    for text, _ in TABLE:
        name, _, rest = text.partition(": ")
        if rest.startswith("{") and name.isalpha():  # what is no YAML at all is told alone
            sections.setdefault(name, text)
    file = write(tmp_path, "".join(sections.values()))
    with pytest.raises(ConfigError) as caught:
        loading.load(str(file), (), {})
    told = [line.removeprefix(f"{file}:").split(":")[0] for line in caught.value.problems]
    assert told == [str(2 + number) for number in range(len(sections))]
    assert len(sections) >= 7


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "store.url=postgres://x",
            "store.url: postgres databases are not supported by this version; allowed: sqlite:///FILE",
        ),
        (
            "store.url=labels.db",
            "store.url: 'labels.db' names no store; allowed: sqlite:///FILE, csv:FILE, memory:NAME",
        ),
        ("store.url='csv:'", "store.url: 'csv:' names no file"),
        ("source={kind: dataset, path: nowhere.npz}", "nowhere.npz"),
        ("trainer.loss=cross_entropi", "cross_entropi"),
        ("trainer.strategy=marginn", "marginn"),
    ],
)
def test_row_42_what_only_the_command_can_know_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["serve", "digits", "--set", setting]) == 3
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert not list(tmp_path.rglob("labels*"))
