"""What the package imports is what pyproject.toml declares: a fresh environment needs nothing that happens to be here."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPTIONAL = {"swergio": "bench", "deap": "", "pyarrow": "parquet", "textual": "tui", "playwright": "browser"}
"""Import -> the extra that brings it; "": looked for, and done without."""


def project() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def names(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {_plain(re.split(r"[<>=!~\[; ]", text, maxsplit=1)[0]) for text in requirements}


def imports() -> Iterator[tuple[str, str]]:
    """Top-level names that are not Python's own, and where."""
    for package in ("active_learner", "protocol"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                found += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                tops = {name.split(".")[0] for name in found} - {"active_learner", "protocol", "__future__"}
                yield from ((top, str(path.relative_to(ROOT))) for top in sorted(tops - sys.stdlib_module_names))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_of_a_declared_dependency() -> None:
    declared, distributions = names(project()["dependencies"]), packages_distributions()
    undeclared = {
        (top, path)
        for top, path in imports()
        if top not in OPTIONAL and not declared & {_plain(one) for one in distributions.get(top, [top])}
    }
    assert not undeclared


def test_every_dependency_is_imported_and_pinned() -> None:
    distributions = packages_distributions()
    used = {_plain(one) for top, _ in imports() for one in distributions.get(top, [top])}
    pinned = {
        _plain(line.split("==")[0])
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    }
    declared = names(project()["dependencies"])
    assert declared - used == set()
    assert declared - pinned == set()


def test_every_dependency_has_a_floor() -> None:
    requirements = project()["dependencies"]
    assert isinstance(requirements, list)
    assert [text for text in requirements if ">=" not in text] == []
