"""`make screenshots`: the pictures of both pages that the README shows. Knows what to show; nothing is checked here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from active_learner.bench import chromium
from tests.browser.desk import Desk, melodies
from tests.browser.facts import ROUNDS, STATUS

FOLDER = Path(__file__).parents[2] / "active_learner" / "web" / "shots"
WAITS = {
    "next": [9 + (n * n) % 17 for n in range(60)] + [31, 46],
    "saved": [8 + n % 7 for n in range(60)],
    "missing": 0,
}
GIVEN = "4312-50"


@contextmanager
def visiting(**options: Any) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from tests.browser.serving import Serving
    from tests.browser.visit import Visit

    serving = Serving(Desk(list(melodies()), status=STATUS, rounds=ROUNDS, me={"labels_goal": 200})).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.arguments())
        visit = Visit(browser, serving.url, options)
        yield visit
        visit.close()
        browser.close()
    serving.stop()


def label_page(name: str, **options: Any) -> None:
    with visiting(**options) as person:
        person.open("/")
        person.start()
        person.answer(*GIVEN)
        person.saved()
        person.until("activeLearner.player.position() > 11")
        person.page.screenshot(path=FOLDER / f"{name}.png")


def run_page(name: str, **options: Any) -> None:
    import json

    with visiting(**options) as person:
        person.open("/run")
        person.say("(waits) => localStorage.setItem('active-learner/waits', waits)", json.dumps(WAITS))
        person.open("/run")
        person.page.locator("#waits svg").wait_for()
        person.page.screenshot(path=FOLDER / f"{name}.png", full_page=True)


def main() -> int:
    if chromium.find() is None:
        print(chromium.MISSING, file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    wide = {"viewport": {"width": 1280, "height": 800}}
    phone = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    label_page("label", **wide)
    label_page("label-phone-dark", color_scheme="dark", **phone)
    run_page("run", **wide)
    run_page("run-dark", color_scheme="dark", **wide)
    print(f"wrote {', '.join(sorted(one.name for one in FOLDER.glob('*.png')))} to {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
