"""The proofs' experiment under fire: its configuration, one run of it, what it must have kept. Knows parts.py; draws no attack."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from active_learner.commands.verdict import kept_of
from active_learner.config import loading, run_folder
from active_learner.config.schema import Config
from active_learner.crash_points import POINTS
from active_learner.faults.history import History
from active_learner.losses import load_loss
from active_learner.results.metrics import METRICS_FILE
from active_learner.services.chaos import Account
from active_learner.services.fire import HISTORY_FILE, RARE, Burning, Fire
from tests.ports import free_address
from tests.proofs import parts
from tests.proofs.base import Say, Tally
from tests.reference import digest, trained

PARTS = "tests.proofs.parts"
SEED = 5
"""Of the experiment; attacks have their own."""

PATIENCE = 4.0
"""Times what `chaos` waits: two runs of these side by side leave a process a fraction of a core, and torch is imported at each start."""

PROGRAMS = ("broker", "trainer", "evaluator", "labeler", "source")

SMALL = (
    f"seed={SEED}",
    "sample.shape=[16]",
    "sample.dtype=float32",
    "sample.classes=4",
    f"source={{kind: custom, factory: '{PARTS}:Endless', interval_s: 0.2}}",
    f"labeler={{kind: simulated, answers: '{PARTS}:truth'}}",
    "evaluator.network=tests.proofs.torch_parts:network",
    "trainer.pool_size=100",
    "trainer.pool_capacity=1000",
    "trainer.initial_labels=40",
    "trainer.query_size=40",
    "trainer.epochs=1",
    "trainer.batch_size=32",
    "trainer.resend_s=0.1",
    "trainer.refresh_timeout_s=0.5",
)

ELSEWHERE = RARE
"""Crash points that this experiment does not come to, or not as often as an attack may wait for."""

OUTSIDE = frozenset({"before_hello", "welcomed", "ready", "joined", "bound", "before_tick"})
"""Moments with no step, message or commit open."""


def inside(program: str) -> list[str]:
    """The crash points of a process that are inside of a step, a message or a commit, and on the way of this experiment."""
    own = [point for point in POINTS if point.startswith(f"{program}.") and point not in ELSEWHERE]
    return [point for point in own if point.partition(".")[2] not in OUTSIDE]


def small(folder: Path, *sets: str) -> Config:
    """The experiment, with a new run folder and a broker of its own."""
    folder.mkdir(exist_ok=True)
    held_out = folder / "held_out.npz"
    np.savez(held_out, **dict(zip(("X_test", "y_test"), parts.held_out(), strict=True)))
    own = (f"validation.path={held_out}", f"run_dir={folder / 'run'}", f"broker.address={free_address()}")
    config = loading.load("digits", (*SMALL, *own, *sets))
    run_folder.prepare(config)
    return config


def burnt(*fires: Fire, say: Say) -> list[Burning]:
    """The runs, side by side, from start to end; what their processes said is in log.txt beside each run folder."""

    async def burn() -> list[Burning]:
        return list(await asyncio.gather(*(_burn(fire, say) for fire in fires)))

    return asyncio.run(burn())


async def _burn(fire: Fire, say: Say) -> Burning:
    with (loading.run_dir(fire.config).parent / "log.txt").open("a", encoding="utf-8") as log:
        burning = Burning(fire, _writer(log), say)
        await burning.run()
    return burning


def _writer(log: Any) -> Callable[[str, str], None]:
    def write(name: str, line: str) -> None:
        log.write(f"{name} | {line}\n")
        log.flush()

    return write


def tally_answers(tally: Tally, config: Config, what: str) -> History:
    """Every acknowledged answer against the store: lost, doubled, changed."""
    folder = loading.run_dir(config)
    kept, _ = kept_of(config, folder)
    history = History()
    history.read((folder / HISTORY_FILE).read_text(encoding="utf-8"))
    for violation in history.violations(kept):
        tally.count(violation.partition(":")[0])
        tally.fail(f"{what}: {violation}")
    tally.count("acknowledged", len(history.acknowledged))
    tally.count("labels", len({one.question for one in kept if one.value is not None}))
    return history


def tally_account(tally: Tally, burning: Burning, what: str) -> None:
    """Deaths by program, inside of something or not, and how long each took. A crash point that was not reached is told:
    what had to be killed instead counts as killed, not as killed inside."""
    account = burning.account
    tally.counts.update({f"{name} killed": number for name, number in _deaths(account).items()})
    tally.counts.update({f"{name} killed inside": number for name, number in account.inside().items()})
    for name, seconds in account.seconds().items():
        for one in seconds:
            tally.measured(f"{name} s", one)
    tally.count("not reached", sum(not blow.reached for blow in account.blows))
    wrong: Iterable[str] = (*(f"{blow.attack.told()}: not back" for blow in account.not_back), *account.unexpected)
    for words in (*wrong, *filter(None, [burning.stalled])):
        tally.fail(f"{what}: {words}")


def _deaths(account: Account) -> Counter[str]:
    return Counter(blow.attack.program for blow in account.blows if blow.attack.how != "stop")


def last_line(config: Config) -> dict[str, Any]:
    """Of metrics.jsonl: the last finished round."""
    lines = (loading.run_dir(config) / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def last_digest(config: Config) -> str:
    return str(last_line(config)["digest"])


def ours(predictions: torch.Tensor, targets: torch.Tensor) -> None:
    """Backward through the gradient that the trainer sends."""
    _, gradient = load_loss("cross_entropy").gradient(predictions.detach().numpy(), targets.numpy())
    predictions.backward(torch.from_numpy(gradient))


def plain_digest(config: Config) -> str:
    """Plain PyTorch over the run's plans and labels, up to the last finished round."""
    from tests.proofs import torch_parts

    run, rounds = loading.run_dir(config), last_line(config)["round"]
    (stage,) = trained(run, SEED, lambda: [torch_parts.network], torch_parts.adam, ours, rounds=rounds)
    return digest(stage)
