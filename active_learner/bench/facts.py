"""On what a figure was measured: cores, Python, versions. Knows the machine; measures nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("active-learner", "numpy", "torch", "pyzmq", "msgpack", "swergio")


def facts() -> dict[str, str]:
    """Name -> value, in the order in which they are told."""
    found = {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()),
    }
    return found | {package: _version(package) for package in PACKAGES}


def told() -> str:
    """On one line, for below a table."""
    return ", ".join(f"{name} {value}" for name, value in facts().items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
