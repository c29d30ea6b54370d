"""Where labels are kept: base.py is the promise. A variant is loaded when its URL is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from active_learner.errors import ConfigError

if TYPE_CHECKING:
    from active_learner.stores.base import Store

VARIANTS: dict[str, str] = {
    "sqlite": "active_learner.stores.sql:SqlStore",
    "csv": "active_learner.stores.csv_file:CsvStore",
    "memory": "active_learner.stores.memory:MemoryStore",
}
"""By the scheme of the URL; a variant is called with the URL and the run folder."""

FORMS = {"sqlite": "sqlite:///", "csv": "csv:", "memory": "memory:"}
"""What a URL of the variant starts with; the rest is its file or name."""


def open_store(url: str, run_dir: Path) -> Store:
    """The store that `url` names; its `open` is still to be called. A relative file is in `run_dir`.

    Raises: ConfigError.
    """
    scheme = url.partition(":")[0].lower()
    allowed = "sqlite:///FILE, csv:FILE, memory:NAME"
    if scheme not in VARIANTS:
        later = scheme.partition("+")[0] in ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle")
        what = f"{scheme} databases are not supported by this version" if later else f"{url!r} names no store"
        raise ConfigError([f"store.url: {what}; allowed: {allowed}"])
    prefix = FORMS[scheme]
    if not url.startswith(prefix) or not url.removeprefix(prefix).strip():
        raise ConfigError([f"store.url: {url!r} names no file; allowed: {allowed}"])
    module, _, name = VARIANTS[scheme].partition(":")
    store: Store = getattr(import_module(module), name)(url, run_dir)
    return store


def file_of(url: str, run_dir: Path) -> Path | None:
    """The file that holds the labels; None: `memory`."""
    scheme = url.partition(":")[0].lower()
    return None if scheme == "memory" else run_dir / url.removeprefix(FORMS[scheme])
