"""A run tells another program of each question, label and model, once, signed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.up_process import call
from tests.webhook_receiver import SECRET, receiving

pytestmark = pytest.mark.integration


def is_early(told: dict[str, Any], rounds: dict[str, int]) -> bool:
    """Of the first two rounds. `rounds`: of each question."""
    return rounds.get(told.get("question", ""), told.get("round", 0)) <= 2


def test_each_question_label_and_model_of_a_run_is_told(tmp_path: Path) -> None:
    """Of its first two rounds, with an attempt that fails: what happens just before the end a busy machine may not tell any more."""
    path = tmp_path / "webhook.secret"
    path.write_text(SECRET, encoding="utf-8")
    path.chmod(0o600)
    with receiving() as receiver:
        receiver.script = [500, 200]
        hook = ("--set", f"webhook.url={receiver.url}", "--set", f"webhook.secret_file={path}")
        slow = ("--set", "labeler.delay_s=0.1")
        result = call("up", "digits", "--rounds", "3", *hook, *slow, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rounds = {
        one["data"]["question"]: one["data"]["round"] for one in receiver.taken if one["type"] == "question.asked"
    }  # type: ignore[index]
    taken = [one for one in receiver.taken if is_early(one["data"], rounds)]  # type: ignore[arg-type]
    data: list[dict[str, Any]] = [one["data"] for one in taken]  # type: ignore[misc]
    assert Counter(str(one["type"]) for one in taken) == {
        "question.asked": 25,
        "label.stored": 25,
        "model.trained": 2,
    }
    assert len({one["id"] for one in receiver.taken}) == len(receiver.taken)
    assert {one["experiment"] for one in data} == {"digits"}
    asked = {one["question"] for one in data if "rank" in one}
    assert {one["question"] for one in data if "annotator" in one} == asked
    assert [one["labels"] for one in data if "digest" in one] == [20, 25]
    assert SECRET[6:] not in result.stderr + result.stdout
