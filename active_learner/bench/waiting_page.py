"""How long a person at the labeling page waits: the experiment of waiting.py with melodies, the page's real service, and a real
Chromium in which keys are pressed. The page itself measures, as it does for every person (web/static/waits.js).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from active_learner.bench import chromium
from active_learner.bench.outcome import Goal, Outcome
from active_learner.bench.processes import free_port, programs, wait_for_port
from active_learner.bench.waiting import ANSWERS, POOL, SPARE, TRAINER, trained
from active_learner.services.plan import free_address

if TYPE_CHECKING:
    from playwright.sync_api import Page

BITS, CLASSES = 128, 6

PACE_S = 0.25
"""Between two key presses: quicker than anybody listens, slow enough that the processor is not the page's alone."""

WITHIN_MS = 180_000
"""Until the pool is full; everything after that takes milliseconds."""

NEXT_P50_MS, NEXT_P99_MS, SAVED_P99_MS = 30.0, 100.0, 50.0

UNTIL = """(last) => new Promise((done, failed) => {
  const end = performance.now() + last;
  const look = () => window.activeLearner?.answerable ? done() : performance.now() > end ? failed(new Error("no question came")) : setTimeout(look, 5);
  look();
})"""


@dataclass(frozen=True, slots=True)
class Sitting:
    """What the page of one person measured."""

    next_ms: tuple[float, ...]
    """Key press to the painted next question."""
    saved_ms: tuple[float, ...]
    """Key press to the trainer's receipt."""
    missing: int
    """Key presses after which no question was there."""
    seconds: float
    rounds: int
    training: float
    """Share of the time in which a round was under way."""


def bench(rounds: int = 1) -> Outcome:
    """`rounds` sittings of ANSWERS answers. Without playwright or a browser: goals that were not measured."""
    outcome = Outcome(
        f"waiting at the page: {ANSWERS:,} key presses {PACE_S} s apart in Chromium, melodies, a pool of {POOL:,}",
        ("sitting", "next p50 ms", "p99 ms", "max ms", "none there", "saved p50 ms", "p99 ms", "max ms", "training"),
    )
    if (lacking := _lacking()) is not None:
        outcome.goals.append(Goal("waiting at the page", f"NOT MEASURED: {lacking}", False))
        return outcome
    sittings = [measured() for _ in range(rounds)]
    for number, one in enumerate(sittings, start=1):
        outcome.rows.append(_row(number, one))
        outcome.figures[f"sitting {number}"] = {name: getattr(one, name) for name in one.__slots__}
    outcome.goals.extend(goals(sittings))
    return outcome


def goals(sittings: list[Sitting]) -> list[Goal]:
    """The worst sitting counts."""
    half, most, saved = (
        max(quantile(values, share) for values in found)
        for found, share in (
            ([one.next_ms for one in sittings], 0.5),
            ([one.next_ms for one in sittings], 0.99),
            ([one.saved_ms for one in sittings], 0.99),
        )
    )
    missing, presses = sum(one.missing for one in sittings), sum(len(one.saved_ms) for one in sittings)
    busy = min(one.training for one in sittings)
    return [
        Goal("key press to next question, p50 under 30 ms", f"{half:.1f} ms", half < NEXT_P50_MS),
        Goal("key press to next question, p99 under 100 ms", f"{most:.1f} ms", most < NEXT_P99_MS),
        Goal("the next question is always there", f"missing {missing} times in {presses:,}", missing == 0),
        Goal("key press to durable receipt, p99 under 50 ms", f"{saved:.1f} ms", saved < SAVED_P99_MS),
        Goal("training without pause", f"{busy:.0%} of the time", busy > 0.8),
    ]


def quantile(values: tuple[float, ...], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("inf")


def measured(answers: int = ANSWERS, pool: int = POOL) -> Sitting:
    """One sitting in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="waiting-") as place:
        folder, port = Path(place), free_port()
        config = prepared(folder, pool, port)
        with programs(config, ("broker", "serve", "evaluator", "source", "label")):
            wait_for_port(port)
            with _browser_page(port) as page:
                begun, missing = _press_all(page, answers)
                ended = time.time()
                waits = page.evaluate("JSON.parse(localStorage.getItem('active-learner/waits'))")
        rounds, training = trained(folder / "run" / "metrics.jsonl", begun, ended)
        return Sitting(tuple(waits["next"]), tuple(waits["saved"]), missing, ended - begun, rounds, training)


def prepared(folder: Path, pool: int, port: int) -> Path:
    """A configuration and its melodies; JSON is YAML."""
    genomes = np.random.default_rng(0).integers(0, 2, (pool + SPARE, BITS)).astype(np.uint8)
    ratings = genomes[:, :5].sum(axis=1)
    np.savez(folder / "melodies.npz", X_train=genomes, y_train=ratings, X_test=genomes[:200], y_test=ratings[:200])
    config: dict[str, Any] = {
        "name": "waiting-page",
        "run_dir": str(folder / "run"),
        "broker": {"address": free_address()},
        "sample": {"shape": [BITS], "dtype": "uint8", "classes": CLASSES, "media": "melody"},
        "source": {"kind": "dataset", "path": str(folder / "melodies.npz"), "batch": 512},
        "evaluator": {"network": "active_learner.examples.torch_networks:melody"},
        "labeler": {"kind": "web", "port": port, "login": "off", "min_listen_s": 0},
        "trainer": {**TRAINER, "pool_size": pool, "pool_capacity": pool + SPARE},
    }
    file = folder / "waiting.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    return file


def _lacking() -> str | None:
    if importlib.util.find_spec("playwright") is None:
        return "the extra browser is not installed: pip install 'active-learner[browser]'"
    return chromium.MISSING if chromium.find() is None else None


@contextlib.contextmanager
def _browser_page(port: int) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.arguments())
        page = browser.new_page()
        page.set_default_timeout(WITHIN_MS)
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("#start button.main").click()
        yield page
        browser.close()


def _press_all(page: Page, answers: int) -> tuple[float, int]:
    """Wall clock of the first key press, and how often none was there to be answered next."""
    page.evaluate(UNTIL, WITHIN_MS)
    begun, missing = time.time(), 0
    for number in range(answers):
        page.wait_for_timeout(1000 * max(0.0, begun + number * PACE_S - time.time()))
        page.evaluate(UNTIL, WITHIN_MS)
        page.keyboard.press(str(number % CLASSES))
        missing += number + 1 < answers and page.evaluate("activeLearner.session.current === null")
    page.locator("#saved[data-way=saved]").wait_for()
    return begun, missing


def _row(number: int, one: Sitting) -> tuple[str, ...]:
    shown, saved = (
        [f"{quantile(values, share):.1f}" for share in (0.5, 0.99, 1.0)] for values in (one.next_ms, one.saved_ms)
    )
    return (str(number), *shown, str(one.missing), *saved, f"{one.training:.0%}")
