"""Versions below which a library has known holes: declared, pinned, and what is installed here."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import zmq

from active_learner.transport.zmq_curve import LIBZMQ_FLOOR

ROOT = Path(__file__).parents[2]
FLOORS = {"msgpack": (1, 2, 1), "torch": (2, 10)}
"""msgpack: 1.2.1 fixed a segfault on an Unpacker used after an error. torch: weights_only was broken before 2.10."""


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text.split("+")[0])))


def declared(package: str) -> tuple[int, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [line] = [one for one in project["dependencies"] if re.split(r"[<>=]", one)[0] == package]
    found = re.search(r">=([\d.]+)", line)
    assert found is not None, line
    return numbers(found[1])


def pinned(package: str) -> tuple[int, ...]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    [line] = [one for one in lines if one.split("==")[0] == package]
    return numbers(line.split("==")[1])


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_is_declared_pinned_and_installed_at_its_floor_or_above(package: str) -> None:
    floor = FLOORS[package]
    assert declared(package) >= floor
    assert pinned(package) >= floor
    assert numbers(version(package)) >= floor


def test_the_libzmq_inside_of_pyzmq_is_at_its_floor_or_above_and_has_curve() -> None:
    assert zmq.zmq_version_info() >= LIBZMQ_FLOOR == (4, 3, 5)
    assert zmq.has("curve")


def test_the_versions_are_compared_as_numbers() -> None:
    assert numbers("1.2.10") > numbers("1.2.9")
    assert numbers("2.13.0+cpu") == (2, 13, 0)
