"""What chaos notes of deaths that it did not cause."""

from __future__ import annotations

import asyncio
from collections import deque

from active_learner.services.chaos import Chaos


def test_the_last_words_of_a_death_of_its_own_are_kept() -> None:
    """They come as the launcher keeps them."""

    async def story() -> Chaos:
        chaos = Chaos([], {}, lambda line: None)
        chaos.ended("trainer", 3, deque([f"line {number}" for number in range(9)]))
        return chaos

    [words] = asyncio.run(story()).account.unexpected
    assert words.splitlines() == ["trainer ended with 3:", *(f"    line {number}" for number in range(4, 9))]
