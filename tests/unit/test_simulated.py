"""The simulated annotator: where its labels come from, and its failings."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.core.records import SampleSpec
from active_learner.errors import BadNetwork, ConfigError
from active_learner.oracles.base import Reply
from active_learner.oracles.simulated import SimulatedOracle
from protocol.messages import Action, Question

SPEC = SampleSpec((2,), "float32", 3)


def question(id: str, features: Any, classes: int = 3) -> Question:
    return Question(
        id=id, key="", features=np.array(features, dtype=np.float32), media="table", classes=classes, round=1,
        strategy="margin", score=0.5, rank=1, model_version=0, stale=False, pool=1,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "data.npz"
    np.savez(
        file,
        X_train=np.array([[0.0, 1], [1, 0], [2, 2]], dtype=np.float64),
        y_train=np.array([2, 0, 1]),
        X_test=np.array([[5.0, 5], [0, 1]]),
        y_test=np.array([1, 0]),
    )
    return file


def oracle(base: Path = Path(), **settings: Any) -> SimulatedOracle:
    return SimulatedOracle(spec=settings.pop("spec", SPEC), base=base, seed=settings.pop("seed", 1), **settings)


def ask(one: SimulatedOracle, asked: Question) -> Reply | None:
    return asyncio.run(one.ask(asked, 0))


def mean_class(sample: Any) -> int:
    return int(sample.mean())


def broken(sample: Any) -> int:
    raise RuntimeError("no idea")


class TestTrueLabels:
    def test_are_found_by_content_whatever_the_questions_id(self, data: Path) -> None:
        one = oracle(data.parent, path="data.npz")
        assert ask(one, question("x", [1, 0])) == Reply("x", Action.ANSWER, 0)
        assert ask(one, question("y", [2, 2])) == Reply("y", Action.ANSWER, 1)

    def test_come_from_the_test_rows_too_but_the_training_rows_count_first(self, data: Path) -> None:
        one = oracle(data.parent, path="data.npz")
        assert ask(one, question("x", [5, 5])) == Reply("x", Action.ANSWER, 1)
        assert ask(one, question("x", [-0.0, 1])) == Reply("x", Action.ANSWER, 2)

    def test_a_sample_that_is_not_in_the_data_is_skipped_and_logged(
        self, data: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            assert ask(oracle(data.parent, path="data.npz"), question("x", [9, 9])) == Reply("x", Action.SKIP, None)
        assert "is not in this labeler's data" in caplog.text

    def test_need_a_path(self) -> None:
        with pytest.raises(ConfigError, match=r"labeler\.path"):
            oracle(answers="dataset")

    def test_of_another_shape_are_a_config_error(self, data: Path) -> None:
        with pytest.raises(ConfigError, match=r"samples of \(2,\), the experiment's are \(3,\)"):
            oracle(data.parent, path="data.npz", spec=SampleSpec((3,), "float32", 3))

    def test_without_labels_are_a_config_error(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "bare.npz", X_train=np.zeros((2, 2), dtype=np.float32))
        with pytest.raises(ConfigError, match="has no labels"):
            oracle(tmp_path, path="bare.npz")


class TestRules:
    def test_a_function_of_the_users_own(self) -> None:
        assert ask(oracle(answers=f"{__name__}:mean_class"), question("x", [2, 2])) == Reply("x", Action.ANSWER, 2)

    @pytest.mark.parametrize(
        ("rule", "features", "words"),
        [("broken", [0, 0], "RuntimeError: no idea"), ("mean_class", [7, 7], "says 7, allowed are 0 to 2")],
    )
    def test_a_rule_that_fails_skips_and_is_logged(
        self, rule: str, features: list[int], words: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            reply = ask(oracle(answers=f"{__name__}:{rule}"), question("x", features))
        assert reply == Reply("x", Action.SKIP, None)
        assert words in caplog.text

    def test_the_melody_listener(self) -> None:
        spec = SampleSpec((128,), "uint8", 6, "melody")
        reply = ask(oracle(answers="melody", spec=spec), question("x", np.zeros(128), classes=6))
        assert reply is not None
        assert reply.value is not None
        assert 0 <= reply.value < 6

    @pytest.mark.parametrize(
        ("answers", "words"),
        [
            ("music", "not dataset, melody or module:function"),
            ("nowhere:f", "nowhere"),
            ("math:pi", "cannot be called"),
        ],
    )
    def test_a_rule_that_is_not_there_is_told_at_the_start(self, answers: str, words: str) -> None:
        with pytest.raises((ConfigError, BadNetwork), match=words):
            oracle(answers=answers)


class TestFailings:
    RULE = f"{__name__}:mean_class"

    def replies(self, order: list[int], **settings: Any) -> dict[str, int | None]:
        one = oracle(answers=self.RULE, **settings)
        found = {}
        for number in order:
            reply = ask(one, question(f"q{number}", [1, 1]))
            assert reply is not None
            found[reply.question] = reply.value
        return found

    def test_noise_gives_a_wrong_label_about_as_often_as_it_says(self) -> None:
        wrong = [value for value in self.replies(list(range(500)), noise=0.3).values() if value != 1]
        assert 110 < len(wrong) < 190
        assert set(wrong) == {0, 2}

    def test_noise_depends_on_seed_and_question_not_on_order(self) -> None:
        one = self.replies(list(range(40)), noise=0.5, skip_rate=0.2)
        assert one == self.replies(list(reversed(range(40))), noise=0.5, skip_rate=0.2)
        assert one != self.replies(list(range(40)), noise=0.5, skip_rate=0.2, seed=2)

    def test_noise_with_a_single_class_has_nothing_to_be_wrong_with(self) -> None:
        one = oracle(answers=f"{__name__}:mean_class", noise=1.0, spec=SampleSpec((2,), "float32", 1))
        assert ask(one, question("x", [0, 0], classes=1)) == Reply("x", Action.ANSWER, 0)

    def test_skips_about_as_often_as_it_says(self) -> None:
        skipped = [value for value in self.replies(list(range(500)), skip_rate=0.2).values() if value is None]
        assert 70 < len(skipped) < 130

    def test_leaves_after_so_many_answers_skips_not_counted(self) -> None:
        one = oracle(answers=self.RULE, away_after=2)
        replies = [ask(one, question(f"q{i}", f)) for i, f in enumerate([[1, 1], [9, 9], [1, 1], [1, 1]])]
        assert [reply and reply.action for reply in replies] == [Action.ANSWER, Action.SKIP, Action.ANSWER, None]

    def test_waits_before_it_answers_and_can_be_interrupted(self) -> None:
        async def interrupted() -> None:
            task = asyncio.ensure_future(oracle(answers=self.RULE, delay_s=3600.0).ask(question("q", [1, 1]), 0))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(interrupted())
