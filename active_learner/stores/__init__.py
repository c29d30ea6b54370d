"""Where labels are kept: base.py is the promise. A variant is loaded when its URL is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from active_learner.errors import ConfigError

if TYPE_CHECKING:
    from active_learner.stores.base import Store
    from active_learner.stores.care import Care

VARIANTS: dict[str, str] = {
    "sqlite": "active_learner.stores.sql:SqlStore",
    "csv": "active_learner.stores.csv_file:CsvStore",
    "memory": "active_learner.stores.memory:MemoryStore",
}
"""By the scheme of the URL; a variant is called with the URL and the run folder."""

CARE: dict[str, str] = {
    "sqlite": "active_learner.stores.sql_care:SqlCare",
    "csv": "active_learner.stores.csv_care:CsvCare",
}
"""Who looks after the variants that are in files; called with the file."""

FORMS = {"sqlite": "sqlite:///", "csv": "csv:", "memory": "memory:"}
"""What a URL of the variant starts with; the rest is its file or name."""

OTHER_DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle")


def open_store(url: str, run_dir: Path) -> Store:
    """The store that `url` names; its `open` is still to be called. A relative file is in `run_dir`.

    Raises: ConfigError.
    """
    module, _, name = VARIANTS[_scheme(url)].partition(":")
    store: Store = getattr(import_module(module), name)(url, run_dir)
    return store


def care_of(url: str, run_dir: Path) -> Care | None:
    """None: `memory` ends with its process. Raises: ConfigError."""
    path = file_of(url, run_dir)
    if path is None:
        return None
    module, _, name = CARE[_scheme(url)].partition(":")
    care: Care = getattr(import_module(module), name)(path)
    return care


def file_of(url: str, run_dir: Path) -> Path | None:
    """The file that holds the labels; None: `memory`. Raises: ConfigError."""
    scheme = _scheme(url)
    return None if scheme == "memory" else run_dir / url.removeprefix(FORMS[scheme])


def _scheme(url: str) -> str:
    """The variant of a URL that names something. Raises: ConfigError."""
    scheme = url.partition(":")[0]
    allowed = "sqlite:///FILE, csv:FILE, memory:NAME"
    if scheme not in VARIANTS:
        database = scheme.partition("+")[0] in OTHER_DATABASES
        what = f"{scheme} databases are not supported by this version" if database else f"{url!r} names no store"
        raise ConfigError([f"store.url: {what}; allowed: {allowed}"])
    name = url.removeprefix(FORMS[scheme])
    if name == url or not name.strip() or name.endswith("/"):
        raise ConfigError([f"store.url: {url!r} names no file; allowed: {allowed}"])
    return scheme
