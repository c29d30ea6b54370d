"""The structure, enforced: who may import whom, how long things may be, what may stand where."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAMILIES = ("strategies", "stores", "oracles", "backends", "losses", "sources", "transport")
FREE = ("bench", "examples")
MAX_FILE, MAX_FUNCTION = 400, 40
PURE_FORBIDDEN = {
    "time",
    "random",
    "uuid",
    "secrets",
    "asyncio",
    "socket",
    "os",
    "threading",
    "subprocess",
    "zmq",
    "torch",
}
WORDS = ("utils", "util", "manager", "helper", "helpers", "misc", "common")

# A room may import the rooms named here (beside itself, errors.py and protocol). "core" and the families' bases are
# what services see; commands/ is where variants are picked by name.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "durable": {"crash_points.py"},
    "datasets": {"core"},
    "imports.py": set(),
    "crash_points.py": set(),
    "bounds.py": set(),
    "faults": {"crash_points.py"},
    "parent.py": set(),
    "logs.py": set(),
    "melody": {"core"},
    "web": {"core", "durable"},
    "security": {"core", "durable"},
    "received.py": set(),
    "peer.py": {"core", "transport", "security", "received.py", "crash_points.py"},
    "leases.py": {"core", "peer.py"},
    "outbox.py": {"core", "durable", "leases.py", "peer.py"},
    "serving.py": {"core", "peer.py", "services", "backends"},
    "config": {"core", "datasets", "security", "imports.py"},
    "results": {"core", "melody"},
    "services": {
        "security",
        "core",
        "bounds.py",
        "crash_points.py",
        "config",
        "peer.py",
        "parent.py",
        "results",
        "melody",
        "transport",
        "logs.py",
        "datasets",
        "durable",
        "web",
        *FAMILIES,
    },
    # It stands around the real services, as the commands do, with network, disks and time of its own.
    "simulator": {
        "core",
        "config",
        "durable",
        "services",
        "peer.py",
        "backends",
        "losses",
        "oracles",
        "sources",
        "stores",
        "strategies",
        "transport",
    },
    "commands": {
        "bounds.py",
        "security",
        "core",
        "durable",
        "config",
        "services",
        "web",
        "results",
        "peer.py",
        "melody",
        "datasets",
        "logs.py",
        "imports.py",
        "bench",
        "examples",
        *FAMILIES,
    },
    "cli.py": {"commands", "logs.py", "parent.py", "bounds.py"},
    "__main__.py": {"cli.py"},
    "errors.py": set(),
    **{
        family: {"core", "durable", "datasets", "melody", "imports.py", "config", "crash_points.py"}
        for family in FAMILIES
    },
}
for room_name in ("transport", "oracles", "services", "commands"):
    MAY_IMPORT[room_name] |= {"faults"}
MAY_IMPORT["commands"] |= {"crash_points.py"}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("active_learner", "protocol"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of everything imported, also inside functions; not what is only for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    parts = path.relative_to(ROOT / "active_learner").parts
    return parts[0]


def target_room(name: str) -> str | None:
    """The room of an imported name of ours; None: not ours, or the package itself."""
    parts = name.split(".")
    if parts[0] != "active_learner" or len(parts) < 2:
        return None
    if (ROOT / "active_learner" / parts[1]).is_dir():
        return parts[1]
    return f"{parts[1]}.py" if (ROOT / "active_learner" / f"{parts[1]}.py").exists() else None


OURS = [(path, tree) for path, tree in modules() if path.is_relative_to(ROOT / "active_learner")]
ALL = list(modules())


@pytest.mark.parametrize(("path", "tree"), OURS, ids=lambda value: str(value)[-40:] if isinstance(value, Path) else "")
def test_imports_go_one_way(path: Path, tree: ast.Module) -> None:
    own = room(path)
    if own in FREE or own == "__init__.py":
        return
    allowed = {own, "errors.py", *MAY_IMPORT[own]}
    wrong = {name for name in imported(tree) if (target := target_room(name)) and target not in allowed}
    assert not wrong, f"{own} must not import {sorted(wrong)}"


def test_there_are_no_relative_imports() -> None:
    """They would go unseen by the other rules."""
    relative = [
        str(path) for path, tree in ALL for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_families_know_no_other_family_and_services_only_their_bases() -> None:
    wrong = []
    for path, tree in OURS:
        own = room(path)
        for name in imported(tree):
            target = target_room(name)
            if own in FAMILIES and target in FAMILIES and target != own:
                wrong.append((str(path), name))
            if own == "services" and target in FAMILIES and name.split(".")[2] != "base" and target != "transport":
                wrong.append((str(path), name))
    assert not wrong


def test_the_protocol_imports_nothing_of_ours_and_no_socket_clock_or_torch() -> None:
    for path, tree in ALL:
        if path.is_relative_to(ROOT / "protocol"):
            tops = {name.split(".")[0] for name in imported(tree)}
            assert not tops & {"active_learner", "asyncio", "socket", "time", "zmq", "torch", "pickle"}, path


def test_the_core_is_pure() -> None:
    for path, tree in OURS:
        if room(path) == "core":
            tops = {name.split(".")[0] for name in imported(tree)}
            assert not tops & PURE_FORBIDDEN, path


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("zmq", lambda path: path.name.startswith("zmq_")),
        ("msgpack", lambda path: path.name == "codec.py" and path.parent.name == "protocol"),
        ("torch", lambda path: path.name.startswith("torch_")),
        ("sqlalchemy", lambda path: "stores" in path.parts),
        ("alembic", lambda path: path.name == "sql_care.py" or "migrations" in path.parts),
        ("textual", lambda path: path.name == "textual_app.py"),
        ("starlette", lambda path: "web" in path.parts),
        ("uvicorn", lambda path: path.name == "server.py" and path.parent.name == "web"),
        ("pickle", lambda path: False),
        ("marshal", lambda path: False),
        ("shelve", lambda path: False),
    ],
)
def test_a_library_is_imported_only_where_it_belongs(library: str, allowed: object) -> None:
    for path, tree in ALL:
        inside = path.relative_to(ROOT).parts
        if library in ("zmq", "torch") and len(inside) > 1 and inside[1] in FREE:
            continue
        if library in {name.split(".")[0] for name in imported(tree)}:
            assert allowed(path), f"{library} in {path}"  # type: ignore[operator]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or 0) - function.lineno + 1
    docstring = ast.get_docstring(function, clean=False)
    return lines - (docstring.count("\n") + 1 if docstring else 0)


def test_files_and_functions_are_short() -> None:
    long = []
    for path, tree in ALL:
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_FILE:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _length(node) > MAX_FUNCTION:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {_length(node)} lines")
    assert not long, "\n".join(long)


def test_every_module_says_what_it_knows() -> None:
    silent = [str(path) for path, tree in ALL if tree.body and not ast.get_docstring(tree)]
    assert not silent


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [path for path, _ in ALL if path.stem in WORDS or path.parent.name in WORDS]


def test_there_are_no_import_circles() -> None:
    graph = {_module(path): set(_top_level_ours(tree)) for path, tree in ALL}
    names = set(graph)
    edges = {
        name: {target for wanted in wants if (target := _owner(wanted, names))} - {name}
        for name, wants in graph.items()
    }
    done: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> None:
        assert name not in chain, " -> ".join((*chain[chain.index(name) :], name))
        if name in done:
            return
        for target in sorted(edges[name]):
            visit(target, (*chain, name))
        done.add(name)

    sys.setrecursionlimit(10_000)
    for name in sorted(names):
        visit(name, ())


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _top_level_ours(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] in ("active_learner", "protocol")
        ):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _owner(name: str, modules: set[str]) -> str | None:
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None
