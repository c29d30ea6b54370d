"""What every oracle in the table promises (oracles/base.py)."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from active_learner.core.records import SampleSpec
from active_learner.oracles import VARIANTS, make_oracle
from active_learner.oracles.base import Oracle, Reply
from protocol.messages import Action, AnswerReceipt, Question

SPEC = SampleSpec((2,), "float32", 4)
PATIENCE_S = 30.0


def question(id: str) -> Question:
    return Question(
        id=id, key="", features=np.ones(2, dtype=np.float32), media="table", classes=4, round=1, strategy="margin",
        score=0.5, rank=1, model_version=0, stale=False, pool=1,
    )  # fmt: skip


def two(sample: Any) -> int:
    return 2


@pytest.fixture(params=sorted(VARIANTS))
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    """One that answers twice and then leaves."""
    if request.param == "simulated":
        yield make("simulated", answers=f"{__name__}:two", away_after=2)
        return
    reader, writer = os.pipe()
    os.write(writer, b"2\n2\nq\n")
    yield make("terminal", source=reader, out=io.StringIO())
    os.close(reader)
    os.close(writer)


def make(kind: str, **settings: Any) -> Oracle:
    return make_oracle(kind, spec=SPEC, base=Path(), seed=0, annotator="ann", **settings)


def test_a_table_of_all_kinds() -> None:
    with pytest.raises(KeyError):
        make("telepathy")


class TestEveryOracle:
    def test_has_the_annotators_name(self, oracle: Oracle) -> None:
        assert oracle.annotator == "ann"

    def test_answers_what_it_is_asked_and_leaves_with_none(self, oracle: Oracle) -> None:
        async def run() -> list[Reply | None]:
            return [await asyncio.wait_for(oracle.ask(question(f"q{i}"), 2 - i), PATIENCE_S) for i in range(3)]

        answers = [Reply("q0", Action.ANSWER, 2), Reply("q1", Action.ANSWER, 2), None]
        assert asyncio.run(run()) == answers

    def test_a_cancelled_question_does_not_disturb_the_next(self, oracle: Oracle) -> None:
        async def run() -> Reply | None:
            withdrawn = asyncio.ensure_future(oracle.ask(question("q0"), 0))
            await asyncio.sleep(0)
            withdrawn.cancel()
            await asyncio.wait({withdrawn})
            assert withdrawn.cancelled()
            return await asyncio.wait_for(oracle.ask(question("q1"), 0), PATIENCE_S)

        assert asyncio.run(run()) == Reply("q1", Action.ANSWER, 2)

    def test_rests_until_it_is_interrupted(self, oracle: Oracle) -> None:
        async def run() -> None:
            resting = asyncio.ensure_future(oracle.rest())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not resting.done()
            resting.cancel()
            await asyncio.wait({resting})
            assert resting.cancelled()

        asyncio.run(run())

    @pytest.mark.parametrize(
        "status",
        ["stored", "duplicate", "conflict", "late", "unknown_question", "bad_value", "storage_full", "new_word"],
    )
    def test_takes_every_receipt_also_of_what_it_never_said(self, oracle: Oracle, status: str) -> None:
        asyncio.run(oracle.receipt(AnswerReceipt("a", "q", status, "because")))

    def test_takes_notices_and_is_closed_without_having_been_used(self, oracle: Oracle) -> None:
        oracle.notice("the trainer is away")
        oracle.close()
