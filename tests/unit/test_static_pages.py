"""The pages' files: no markup is made from text, nothing is inline or from elsewhere, every file is there and short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "active_learner" / "web" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
MAX_FILE = 400
MAX_METHOD = 40
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|\beval\(|new Function|"
    r"srcdoc|setAttribute\(\"(?:on|style)|\.cssText|trustedTypes|Math\.random"
)
URL = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)


def words(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_from_text(path: Path) -> None:
    assert FORBIDDEN.findall(words(path)) == []


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    found = [url for url in URL.findall(words(path)) if "www.w3.org" not in url]
    assert found == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.html")), ids=lambda path: path.name)
def test_nothing_is_inline(path: Path) -> None:
    page = words(path)
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in page
    for name in re.findall(r"/static/([\w.-]+)", page):
        assert (STATIC / name).is_file(), name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_import_is_there_and_used(path: Path) -> None:
    script = words(path)
    for names, module in re.findall(r'import \{ ([^}]+) \} from "\./([\w.-]+)"', script):
        exported = words(STATIC / module)
        for name in (one.strip() for one in names.split(",")):
            assert re.search(rf"export (?:async )?(?:function|const|class) {re.escape(name)}\b", exported), (
                f"{module} has no {name}"
            )
            assert len(re.findall(rf"(?<![\w$#.]){re.escape(name)}\b", script)) > 1, f"{name} is not used"


@pytest.mark.parametrize("path", [*SCRIPTS, *sorted(STATIC.glob("*.css"))], ids=lambda path: path.name)
def test_files_are_short_and_say_what_they_know(path: Path) -> None:
    lines = words(path).splitlines()
    assert len(lines) <= MAX_FILE
    assert lines[0].startswith("// " if path.suffix == ".js" else "/* ")


def test_every_script_is_reached_from_a_page() -> None:
    reached, todo = set(), ["label.js", "run.js"]
    while todo:
        name = todo.pop()
        reached.add(name)
        todo += set(re.findall(r'from "\./([\w.-]+)"', words(STATIC / name))) - reached - set(todo)
    assert {path.name for path in SCRIPTS} == reached
