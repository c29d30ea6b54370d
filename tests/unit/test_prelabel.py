"""Rating before the first run, and which oracle a configuration means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner import cli
from active_learner.commands import label
from active_learner.config.schema import Config
from active_learner.core.records import SampleSpec, content_key
from active_learner.errors import ConfigError, StoreError, WrongStore
from active_learner.oracles.base import Oracle, Reply
from active_learner.oracles.simulated import SimulatedOracle
from active_learner.oracles.terminal import TerminalOracle
from active_learner.security.folder import KeyFolder
from active_learner.services import prelabel
from active_learner.services.prelabel import Prelabeling, unlabeled
from active_learner.stores import open_store
from active_learner.stores.base import Store
from active_learner.stores.csv_file import CsvStore
from active_learner.transport.zmq_curve import new_pair
from protocol.messages import Action, AnswerReceipt, Question

SPEC = SampleSpec((2,), "uint8", 4)


class Scripted(Oracle):
    """Follows a list: a number is a label, "s" and "u" as at the terminal, an Exception is raised; at its end it leaves."""

    annotator = "ann"

    def __init__(self, script: Iterable[int | str | Exception]) -> None:
        self._script = list(script)
        self.asked: list[tuple[list[int], int]] = []
        self.told: list[str] = []
        self._last: list[str] = []

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        self.asked.append((question.features.tolist(), waiting))
        if not self._script:
            return None
        match self._script.pop(0):
            case int(value):
                self._last.append(question.id)
                return Reply(question.id, Action.ANSWER, value)
            case "u":
                return Reply(self._last.pop(), Action.UNDO, None)
            case Exception() as error:
                raise error
        self._last.append(question.id)
        return Reply(question.id, Action.SKIP, None)

    async def receipt(self, receipt: AnswerReceipt) -> None:
        self.told.append(receipt.status)

    def notice(self, text: str) -> None:
        self.told.append(text)


def rate(tmp_path: Path, oracle: Oracle, count: int, samples: int = 50) -> dict[str, int]:
    """The labels that are in the store afterwards, by content."""

    async def run() -> None:
        store = opened(tmp_path)
        rows = (np.array([0, i]) for i in range(samples))
        service = Prelabeling(store, oracle, SPEC, unlabeled(rows, {one.key for one in store.labels()}, SPEC), count)
        await service.start()
        try:
            assert await service.done == 0
        finally:
            await service.stop()

    asyncio.run(run())
    store = opened(tmp_path)
    found = {str(one.features.tolist()): one.value for one in store.labels()}
    store.close()
    return found


def opened(tmp_path: Path) -> Store:
    store = open_store("csv:labels.csv", tmp_path)
    store.open("e", SPEC)
    return store


class TestPrelabeling:
    def test_ends_when_enough_have_a_label_skips_not_counted(self, tmp_path: Path) -> None:
        oracle = Scripted([1, "s", 2, 3])
        assert rate(tmp_path, oracle, 2) == {"[0, 0]": 1, "[0, 2]": 2}
        assert oracle.asked == [([0, 0], 1), ([0, 1], 0), ([0, 2], 0)]
        assert oracle.told == ["stored", "stored", "stored"]

    def test_undo_asks_again_and_then_what_was_on_the_screen(self, tmp_path: Path) -> None:
        oracle = Scripted([1, 1, "u", "u", 2, 3, 0])
        assert rate(tmp_path, oracle, 3) == {"[0, 0]": 2, "[0, 1]": 3, "[0, 2]": 0}
        assert [features[1] for features, _ in oracle.asked] == [0, 1, 2, 1, 0, 1, 2]

    def test_who_leaves_has_lost_nothing_and_goes_on_with_new_samples(self, tmp_path: Path) -> None:
        assert rate(tmp_path, Scripted([1]), 5) == {"[0, 0]": 1}
        assert rate(tmp_path, Scripted([2]), 1) == {"[0, 0]": 1, "[0, 1]": 2}

    def test_a_failure_keeps_what_was_labeled(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="no idea"):
            rate(tmp_path, Scripted([1, RuntimeError("no idea")]), 5)
        assert rate(tmp_path, Scripted([]), 5) == {"[0, 0]": 1}

    def test_a_full_disk_is_told_once_and_the_label_is_saved_when_there_is_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prelabel, "RETRY_S", 0.001)
        full = iter([True, True, False, False])
        add_labels = CsvStore.add_labels

        def add(store: CsvStore, *label: object) -> int:
            if next(full):
                raise StoreError("no space left on device")
            return add_labels(store, *label)  # type: ignore[arg-type]

        monkeypatch.setattr(CsvStore, "add_labels", add)
        oracle = Scripted([1, 2])
        assert rate(tmp_path, oracle, 2) == {"[0, 0]": 1, "[0, 1]": 2}
        words = "not saved yet: no space left on device; tried again every 0.001 s until there is room"
        assert oracle.told == [words, "stored", "stored"]

    def test_a_store_that_another_process_took_ends_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def add(store: CsvStore, *label: object) -> int:
            raise WrongStore("damaged")

        monkeypatch.setattr(CsvStore, "add_labels", add)
        with pytest.raises(WrongStore, match="damaged"):
            rate(tmp_path, Scripted([1]), 1)

    def test_says_when_there_are_no_more_samples(self, tmp_path: Path) -> None:
        oracle = Scripted([1, 2, 3])
        assert len(rate(tmp_path, oracle, 3, samples=2)) == 2
        assert oracle.told[-1] == "there are no more samples without a label: 2 were labeled"

    def test_a_label_outside_the_classes_never_reaches_the_store(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="allowed are 0 to 3"):
            rate(tmp_path, Scripted([4]), 1)
        assert rate(tmp_path, Scripted([]), 1) == {}


def test_unlabeled_samples_are_new_and_come_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prelabel, "MOST_KNOWN", 20)
    known = {content_key(np.array([0, 0], dtype=np.uint8))}
    samples = (np.array([0, i % 3]) for i in range(10**9))
    assert [one.tolist() for one in unlabeled(samples, known, SPEC)] == [[0, 1], [0, 2]]


MELODY = SampleSpec((128,), "uint8", 6, "melody")


def config(**sections: Any) -> Config:
    return Config.model_validate({"name": "e", **sections})


class TestWhichOracle:
    def test_the_configurations_own(self) -> None:
        given = config(labeler={"kind": "simulated", "answers": "melody", "annotator": "ear"})
        oracle = label.make(given, MELODY)
        assert isinstance(oracle, SimulatedOracle)
        assert oracle.annotator == "ear"

    def test_another_kind_and_name_by_option(self) -> None:
        given = config(labeler={"kind": "terminal"})
        oracle = label.make(given, MELODY, "simulated", "ear")
        assert isinstance(oracle, SimulatedOracle)
        assert oracle.annotator == "ear"

    def test_the_owner_of_the_key_is_the_annotator(self, tmp_path: Path) -> None:
        """Two people with two keys and the same configuration must not answer under one name."""
        folder = KeyFolder(tmp_path)
        tmp_path.chmod(0o700)
        folder.new("anna", "labeler", new_pair)
        broker = {"keys": "on", "key": str(folder.file_of("anna"))}
        assert label.make(config(broker=broker), MELODY).annotator == "anna"
        assert label.make(config(broker=broker), MELODY, annotator="ben").annotator == "ben"
        named = config(broker=broker, labeler={"kind": "terminal", "annotator": "carl"})
        assert label.make(named, MELODY).annotator == "carl"

    def test_a_terminal_when_the_configuration_has_none(self) -> None:
        assert isinstance(label.make(config(), MELODY), TerminalOracle)

    def test_true_labels_come_from_the_sources_data_when_no_other_is_named(self) -> None:
        given = config(source={"kind": "dataset", "path": "no-such-data"}, labeler={"kind": "simulated"})
        with pytest.raises(ConfigError, match="no-such-data"):
            label.make(given, SPEC)


class TestRandomSamples:
    def test_genomes_are_seeded_bits(self) -> None:
        given = config(source={"kind": "evolution"})
        one, other = (next(label._random_samples(given, MELODY)) for _ in range(2))
        assert one.shape == (128,)
        assert set(one.tolist()) == {0, 1}
        assert np.array_equal(one, other)

    def test_rows_of_a_data_set_come_once_in_random_order(self) -> None:
        given = config(source={"kind": "dataset", "path": "digits"})
        rows = [row.tobytes() for row in label._random_samples(given, SPEC)]
        assert len(rows) > 1000
        assert rows != sorted(rows)

    def test_other_sources_have_none(self) -> None:
        with pytest.raises(ConfigError, match="jsonl has no random candidates"):
            label._random_samples(config(source={"kind": "jsonl"}), SPEC)


def test_who_rated_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["label", "melody-simulated", "--prelabel", "2", "--set", "labeler.delay_s=0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "the simulated listener answers, as labeler.kind says; --kind terminal asks you" in lines
    assert sum(line.startswith("the simulated listener rated ") for line in lines) == 2
