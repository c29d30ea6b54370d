"""The order: the proofs are the longest, so of two processes that test neither waits for the other's at the end."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem != "test_proofs")
