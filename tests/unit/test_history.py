"""What labelers were told against what is kept: each kind of violation, and none without one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np

from active_learner.faults.history import History, Kept, said, told
from active_learner.oracles.base import Oracle, Reply
from active_learner.oracles.witnessed import Witnessed
from protocol.messages import Action, AnswerReceipt, Question

ONE = Kept("a1", "q1", "ann", 0, 3)


def history(*lines: str) -> History:
    found = History()
    found.read("".join(lines))
    return found


def test_what_is_acknowledged_and_kept_once_is_no_violation() -> None:
    found = history(said("q1", "answer", 3), told("stored", "a1", "q1"), told("duplicate", "a1", "q1"))
    assert found.violations([ONE]) == []
    assert found.acknowledged == {"a1": "q1"}
    assert found.statuses == {"stored": 1, "duplicate": 1}


def test_what_is_acknowledged_and_missing_is_lost() -> None:
    assert history(told("stored", "a1", "q1")).violations([]) == ["lost: answer a1 to question q1"]


def test_without_a_receipt_it_may_be_there_or_not_but_not_twice() -> None:
    maybe = history(said("q1", "answer", 3))
    assert maybe.violations([]) == maybe.violations([ONE]) == []
    assert len(maybe.violations([ONE, ONE])) == 2
    assert maybe.violations([ONE, replace(ONE, id="a2")]) == ["doubled: ('q1', 'ann', 0) has 2 answers"]


def test_another_value_than_the_one_decided_is_a_change() -> None:
    decided = history(said("q1", "answer", 3), said("q1", "skip", None))
    assert decided.violations([ONE, replace(ONE, id="a2", revision=1, value=None)]) == []
    (violation,) = decided.violations([replace(ONE, value=4)])
    assert violation.startswith("changed: ")


def test_a_refused_answer_need_not_be_kept() -> None:
    assert history(told("storage_full", "a1", "q1"), told("unknown_question", "a2", "q2")).violations([]) == []


def test_a_line_that_is_not_whole_yet_is_taken_when_it_is() -> None:
    found, line = History(), told("stored", "a1", "q1")
    assert found.read(line[:7]) == 0
    assert found.read(line[7:] + "told q9") == 1
    assert found.acknowledged == {"a1": "q1"}


class Decided(Oracle):
    annotator = "ann"

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        return Reply(question.id, Action.ANSWER, 3)


def test_a_witnessed_oracle_writes_down_what_it_says_and_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        oracle = Witnessed(Decided(), tmp_path / "history.txt")
        question = Question("q1", "k", np.zeros(1, np.float32), "table", 6, 1, "margin", 0.5, 1, 0, False, 9)
        await oracle.ask(question, 0)
        await oracle.receipt(AnswerReceipt("a1", "q1", "stored", ""))
        oracle.notice("nothing")
        oracle.close()

    asyncio.run(story())
    assert (tmp_path / "history.txt").read_text() == said("q1", "answer", 3) + told("stored", "a1", "q1")
