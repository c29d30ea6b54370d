"""One Chromium for all tests, a fresh profile for each; what a page complains of fails its test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from active_learner.bench import chromium

pytest.importorskip("playwright", reason="the extra browser is not installed: pip install -e '.[browser]'")

from playwright.sync_api import Browser, sync_playwright

from tests.browser.desk import Desk, melodies
from tests.browser.serving import Serving
from tests.browser.visit import Visit


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None and os.environ.get(chromium.VARIABLE):
        pytest.fail(chromium.MISSING)  # who names one, as CI does, wants these tests
    if path is None:
        pytest.skip(chromium.MISSING)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=chromium.arguments())
        yield started
        started.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """A desk behind a port: forty melodies, when nothing else is said."""
    running: list[Serving] = []

    def start(desk: Desk | None = None) -> Serving:
        running.append(Serving(desk or Desk(list(melodies()))).start())
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """A person with a browser of their own, at the pages of a service."""
    visits: list[Visit] = []

    def open_page(serving: Serving, path: str = "/", **options: Any) -> Visit:
        visits.append(Visit(browser, serving.url, options))
        visits[-1].open(path)
        return visits[-1]

    yield open_page
    for one in visits:
        one.close()
