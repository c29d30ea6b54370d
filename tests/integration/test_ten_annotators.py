"""Ten annotators at once, over a real broker and a real trainer: one is killed without a word, one hangs with questions held; and
two opinions of each sample, a third where they differ."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from active_learner.config import loading
from active_learner.config.sample import resolve
from active_learner.core.words import Words
from active_learner.outbox import Outbox
from active_learner.peer import Peer
from active_learner.stores import open_store
from active_learner.stores.base import Store
from protocol.messages import Question, StatusReport
from tests.integration.by_hand import PATIENCE_S, Hand, Shell, result

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LEASE_S = 4.0
"""It is renewed three times in that time; who is slower than that on a busy machine loses it."""
BUSY_S = 20.0
"""What a busy machine may add; the figure is printed."""
EIGHT = [f"person-{number}" for number in range(8)]
ASKED = 30
HELD_BY_TWO = 6
"""A labeler holds three questions."""
Rule = Callable[[Question], int]


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    made: list[Hand] = []

    def make(*sets: str) -> Hand:
        made.append(Hand(tmp_path, "digits", f"trainer.lease_s={LEASE_S}", "trainer.epochs=2", *sets))
        return made[-1]

    yield make
    for hand in made:
        hand.clear_away()


async def answers(hand: Hand, name: str, rule: Rule, think_s: float) -> None:
    """A person who answers whatever comes, until it is cancelled."""
    peer = Peer(experiment=hand.name, role="labeler", name=name, address=hand.address)
    outbox = Outbox(peer, hand.folder / f"{name}.jsonl", name)
    async with peer, outbox:
        await peer.join("user")
        async for received in peer:
            question = received.message
            if isinstance(question, Question) and question.annotator == name and outbox.wants(question.id):
                await asyncio.sleep(think_s)
                await outbox.put(question.id, rule(question))


@asynccontextmanager
async def people(hand: Hand, rules: dict[str, Rule], think_s: float = 0.02) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(answers(hand, name, rule, think_s)) for name, rule in rules.items()]
        yield
        for task in tasks:
            task.cancel()


@contextmanager
def kept(hand: Hand) -> Iterator[Store]:
    """What a run left, when its trainer has ended."""
    config = loading.load(hand.config, hand.sets[1::2])
    store = open_store(config.store.url, hand.run_dir)
    store.open(config.name, resolve(config), read_only=True)
    try:
        yield store
    finally:
        store.close()


def one(_: Question) -> int:
    return 1


def test_one_is_killed_and_one_hangs_and_what_they_held_is_answered_by_others_when_their_leases_end(
    by_hand: Callable[..., Hand],
) -> None:
    hand = by_hand("trainer.initial_labels=30", "trainer.query_size=30", "labeler.delay_s=1000")
    hand.broker()
    trainer = hand.start("serve", "--rounds", "2")
    for command in ("evaluator", "source"):
        hand.start(command)
    killed, hung = (hand.start("label", "--set", f"labeler.annotator={name}") for name in ("killed", "hung"))
    hand.until(lambda report: report.held == HELD_BY_TWO)
    took = asyncio.run(scene(hand, trainer, killed, hung))
    print(f"answered {took:.2f} s after both fell silent; a lease is {LEASE_S:g} s")
    assert LEASE_S / 2 < took < LEASE_S + BUSY_S
    assert result(trainer)["labels"] == str(2 * ASKED)
    with kept(hand) as store:
        said = [(event.key, event.annotator, event.action) for event in store.events()]
    assert len({key for key, _, _ in said}) == len(said) == 2 * ASKED, "a sample has more answers than one"
    assert {name for _, name, _ in said} == {*EIGHT}


async def scene(hand: Hand, trainer: Shell, killed: Shell, hung: Shell) -> float:
    """Seconds from the silence of the two to the end of the round that lacked their answers. Nobody else gets what they hold before."""

    def all_but_theirs(report: StatusReport) -> bool:
        return report.labels == ASKED - HELD_BY_TWO

    async with people(hand, dict.fromkeys(EIGHT, one)):
        await hand.report(all_but_theirs)
        await asyncio.sleep(1.5 * LEASE_S)  # renewed leases do not end
        stands = await hand.report(lambda report: True)
        assert (stands.labels, stands.open_questions, stands.held) == (ASKED - HELD_BY_TWO, HELD_BY_TWO, HELD_BY_TWO)
        began = time.monotonic()
        killed.signal(signal.SIGKILL)
        hung.signal(signal.SIGSTOP)
        await asyncio.to_thread(trainer.wait_for, "round 1: ")  # before a report comes the run may be over
        took = time.monotonic() - began
        hung.signal(signal.SIGCONT)  # it is told that nothing is its own any more, and asks for more
        hung.signal(signal.SIGTERM)
        assert await asyncio.to_thread(hung.ended) == 0
        assert await asyncio.to_thread(trainer.ended) == 0
    return took


def odd(question: Question) -> int:
    return int(np.asarray(question.features).sum()) % 2


def other(question: Question) -> int:
    """Of about a third of the samples another opinion."""
    total = int(np.asarray(question.features).sum())
    return 2 if total % 3 == 0 else total % 2


@pytest.mark.parametrize("when", ["batch", "labels"])
def test_two_label_each_sample_and_a_third_is_asked_only_where_they_disagree(
    when: str, by_hand: Callable[..., Hand]
) -> None:
    hand = by_hand(
        f"trainer.round_when={when}",
        "trainer.initial_labels=10",
        "trainer.query_size=10",
        "trainer.round_labels=20",
        "trainer.labels_per_item=2",
        "trainer.adjudicate=true",
        "labeler={kind: none}",
    )
    hand.broker()
    trainer = hand.start("serve", "--rounds", "3")
    for command in ("evaluator", "source"):
        hand.start(command)
    reported = asyncio.run(until_it_ends(hand, trainer))
    assert trainer.ended() == 0
    with kept(hand) as store:
        events, questions = store.events(), store.questions()
    lines = [json.loads(line) for line in (hand.run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["agreement"]["annotators"] == 3
    assert reported == pytest.approx(lines[-1]["agreement"]["alpha"])
    assert -1.0 <= reported < 1.0
    votes = Words(events)
    done = [votes.votes(question.key) for question, why in questions if why == "answered"]
    assert len(done) >= 20
    for given in done:
        first_two = list(given.values())[:2]
        assert len(given) == (3 if len({*first_two}) > 1 else 2)
    assert {len(given) for given in done} == {2, 3}
    assert all(event.action == "answer" for event in events)


async def until_it_ends(hand: Hand, trainer: Shell) -> float | None:
    """The agreement of the annotators, as the last report tells it: in the first rounds none may have differed."""
    rules = {"ann": odd, "bob": other, "eve": odd}
    async with asyncio.timeout(PATIENCE_S), people(hand, rules):
        report = await hand.report(lambda report: report.round == 3 and report.training == "idle")
        await asyncio.to_thread(trainer.process.wait)
        return report.agreement
