"""Both asking machines beside the leasing machine, over a real store: people who answer, pass, take back, fall silent and come
again, rounds, new candidates, restarts, in any order. No item is answered twice against the rule, nobody has a question longer than
its lease lasts, and in the end all that was asked has its answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from active_learner.core.leasing import CLAIM_S
from active_learner.core.words import Enough, Words
from active_learner.services.asking_machines import enough
from tests.unit.leasing_stage import LEASE_S, Stage, config

PEOPLE = [f"person-{number}" for number in range(5)]
HELPERS = [f"helper-{number}" for number in range(3)]
KINDS = 30


class World(Stage):
    """What is said and when is drawn from a seed."""

    def __init__(self, seed: int, *given: Any) -> None:
        super().__init__(*given)
        self.random = Random(seed)
        self.enough: Enough = enough(self.config)
        self.checked = 0
        self.words = Words()

    async def turn(self) -> None:
        name, choice = self.random.choice(PEOPLE), self.random.random()
        if choice < 0.15:
            await self.propose(*(self.random.randrange(KINDS) for _ in range(4)))
        elif choice < 0.4:
            await self.lease(name, self.random.choice([1, 3]))
        elif choice < 0.75:
            await self.decides(name)
        elif choice < 0.8:
            await self.lease(name, 0)
        elif choice < 0.85 and self.wanted:
            await self.train()
        elif choice < 0.88:
            await self.restart()
            await self.resume()
        await self.passes(self.random.choice([0.0, 0.1, 1.0, 4.0]))
        await self.check()

    async def decides(self, name: str) -> None:
        action = self.random.choice(["answer", "answer", "answer", "skip", "cannot_tell", "undo", "blind"])
        open_now, asked = self.has(name), await self.book.run(self.book._store.questions)
        if action in ("undo", "blind") and asked:
            question, _ = self.random.choice(asked)
            await self.says(name, question.id, *((None, "undo") if action == "undo" else (1, "answer")))
        elif open_now and action not in ("undo", "blind"):
            value = self.random.randrange(3) if action == "answer" else None
            await self.says(name, open_now[0].id, value, action)

    async def resume(self) -> None:
        """A round that was under way is planned anew by the training machine, which is not here."""
        if self.shell.machine.phase == "holding":
            await self.train()

    async def check(self) -> None:
        events = await self.book.run(self.book._store.events)
        for event in events[self.checked :]:
            votes = self.words.votes(event.key)
            if event.action == "answer" and event.annotator not in votes:
                assert len(votes) < self.enough.needed(votes.values()), "answered against the rule"
            self.words.take(event)
        self.checked = len(events)
        leasing = self.shell.leasing
        for item in leasing._items:
            votes = self.words.votes(item.question.key)
            assert len(votes) < self.enough.needed(votes.values()), "open and lacks nothing"
            assert len(votes) + len(item.holders) <= self.enough.needed(votes.values())
            assert all(hold.until <= self.at + LEASE_S for hold in item.holders.values()), "held too long"
        asked = {question.id for question in self.shell.machine.unanswered()}
        if self.shell.machine.phase not in ("storing", "selecting"):
            assert asked <= {item.question.id for item in leasing._items}, "asked and with nobody who could be asked it"

    async def ends(self) -> None:
        """All who were there have gone; who comes says everything."""
        for _ in range(60):
            await self.passes(LEASE_S / 4)
            for name in HELPERS:
                await self.lease(name, 100)
                for question in self.has(name):
                    await self.says(name, question.id, 1)
            await self.check()
            await self.train() if self.wanted else None
        await self.passes(CLAIM_S)
        assert not await self.book.run(self.book._store.open_questions), "stuck"
        assert not self.shell.machine.unanswered()


async def lives(world: World) -> None:
    await world.start()
    await world.propose(*range(4))
    for _ in range(60):
        await world.turn()
    await world.ends()
    await world.stop()


@pytest.mark.parametrize("rule", [(1, False), (2, False), (2, True)], ids=["one", "two", "two and a judge"])
@pytest.mark.parametrize("when", ["batch", "labels"])
def test_no_item_is_answered_against_the_rule_and_all_that_is_asked_gets_its_answers(
    when: str, rule: tuple[int, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels_per_item, adjudicate = rule
    made = config(
        when,
        labels_per_item=labels_per_item,
        adjudicate=adjudicate,
        skip_cooldown_s=2.0,
        source_timeout_s=3.0,
        refresh_timeout_s=2.0,
    )
    for seed in range(8):
        world = World(seed, made, tmp_path / str(seed), f"memory:{when}{rule}{seed}", monkeypatch)
        asyncio.run(lives(world))
