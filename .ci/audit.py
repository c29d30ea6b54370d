"""Audits every pinned package by pip-audit. Fails on a vulnerability, and when a package could not be audited."""

from __future__ import annotations

import json
import subprocess
import sys


def main(constraints: str) -> int:
    """0: every package was looked up and nothing is known against it."""
    command = (sys.executable, "-m", "pip_audit", "-r", constraints, "--no-deps", "--disable-pip")
    audit = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"audit: NOT RUN: {(audit.stderr.strip().splitlines() or ['no output'])[-1]}")
        return 1
    with open(constraints, encoding="utf-8") as lines:
        pinned = [line for line in lines if "==" in line and not line.startswith("#")]
    skipped = [one for one in packages if "skip_reason" in one]
    found = [
        f"{one['name']} {one['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for one in packages
        for fault in one.get("vulns", [])
    ]
    for line in found:
        print(f"audit: VULNERABLE: {line}")
    if skipped:
        names = ", ".join(one["name"] for one in skipped)
        print(f"audit: NOT RUN for {len(skipped)} of {len(packages)} packages ({skipped[0]['skip_reason']}): {names}")
    if len(packages) < len(pinned):
        print(f"audit: NOT RUN for {len(pinned) - len(packages)} of {len(pinned)} pinned packages")
    if not packages:
        print("audit: NOT RUN: there is nothing to look up")
    if found or skipped or len(packages) < len(pinned) or not packages:
        return 1
    print(f"audit: {len(packages)} packages, nothing known against them")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
