"""The broker as a process: its ready line, its exit codes, what it loads, and `ping`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.broker_process import ROOT, broker, process
from tests.ports import free_address

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0

LOADED = """
import asyncio, sys
from active_learner.cli import run
class Started(Exception): pass
import active_learner.services.shell as shell
async def start_only(service, metrics):
    print("ready:", await service.start())
    await service.stop()
    return 0
shell.run = start_only
code = run(["broker", "--address", "tcp://127.0.0.1:0"])
print(code, sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "numpy", "safetensors", "sqlalchemy"}))
"""


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "active_learner", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_stops_gracefully(number: signal.Signals) -> None:
    with broker() as (started, address):
        assert int(address.rpartition(":")[2]) > 0
        code, errors = started.end(number)
    assert code == 0
    assert "broker stopped: nothing happened" in errors


def test_it_loads_neither_torch_nor_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr


def test_it_takes_less_than_60_megabytes() -> None:
    with broker() as (started, _):
        status = Path(f"/proc/{started.popen.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    assert int(found[1]) < 60 * 1024


def test_row_43_a_port_in_use_is_told_with_the_process_that_holds_it() -> None:
    with broker() as (started, address):
        code, output = run("broker", "--address", address)
    assert code == 1
    assert f"{address} is in use by" in output
    assert f"process {started.popen.pid} (" in output
    assert "active_learner broker" in output


def test_row_43_a_port_held_by_something_else_is_told_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, output = run("broker", "--address", f"tcp://127.0.0.1:{other.getsockname()[1]}")
    assert code == 1
    assert "is in use by" in output


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "*", "example.org"])
def test_a_bind_that_others_can_reach_is_refused(host: str) -> None:
    code, output = run("broker", "--address", f"tcp://{host}:5999")
    assert code == 3
    assert "so it needs keys" in output


@pytest.mark.parametrize("address", ["5999", "tcp://127.0.0.1", "udp://127.0.0.1:5999"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    code, output = run("broker", "--address", address)
    assert code == 3
    assert "must be tcp://HOST:PORT" in output


def test_ping_is_answered_by_a_broker_and_else_says_what_to_do() -> None:
    with broker() as (_, address):
        code, output = run("ping", "--address", address)
        assert (code, "0 peers" in output) == (0, True)
    code, output = run("ping", "--address", address, "--timeout", "0.3")
    assert code == 4
    assert f"no broker at {address}" in output
    assert "make run-broker" in output


def test_it_ends_when_the_launcher_s_pipe_closes() -> None:
    read, write = os.pipe()
    os.set_inheritable(read, True)
    started = subprocess.Popen(
        [sys.executable, "-m", "active_learner", "broker", "--address", "tcp://127.0.0.1:0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ACTIVE_LEARNER_PARENT_FD": str(read)},
        close_fds=False,
    )
    os.close(read)
    assert started.stdout is not None
    with started.stdout as output:
        assert output.readline().startswith(b"ready: ")
        os.close(write)
        assert started.wait(timeout=PATIENCE_S) == 0


def test_a_second_process_gets_the_port_at_once_after_a_kill() -> None:
    with broker(free_address()) as (started, address):
        started.end(signal.SIGKILL)
        with broker(address) as (_, again):
            assert again == address


def test_process_is_killed_even_when_it_never_was_ready() -> None:
    with process("-c", "import time; time.sleep(60)") as started:
        pass
    assert started.popen.returncode == -signal.SIGKILL
