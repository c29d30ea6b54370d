"""Row 10: any process of a live run is stopped (SIGSTOP). The others notice within 2 s, go on, and have it back at SIGCONT.

And any is asked to stop (SIGTERM), ends with 0 within 3 s, and is started again.
"""

from __future__ import annotations

import pytest

from active_learner.bench.stopping import ENDED_S, NOTICED_S, bench

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PROCESSES = {"broker", "trainer", "evaluator", "source", "labeler"}
BUSY_S = 12.0
"""What a busy machine may add; `bench stopping` tells whether the promises are kept."""


def test_row_10_each_process_that_hangs_or_is_asked_to_stop_is_noticed_and_comes_back() -> None:
    found = bench(1)
    print(found.table())
    hung, asked = found.figures["hung: noticed"], found.figures["asked: ended"]
    assert hung.keys() == asked.keys() == PROCESSES
    assert max(map(max, hung.values())) < NOTICED_S + BUSY_S
    assert max(map(max, asked.values())) < ENDED_S + BUSY_S
