"""The processes that benchmarks need: our broker, the C proxy, swergio's server, and pairs of peers. Knows no figure."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import Empty
from typing import Any

PROGRAM = (sys.executable, "-P", "-m", "active_learner")
READY_TIMEOUT_S = 20.0
RESULT_TIMEOUT_S = 60.0

context = multiprocessing.get_context("spawn")


def has_swergio() -> bool:
    return importlib.util.find_spec("swergio") is not None


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def our_broker() -> Iterator[tuple[int, ...]]:
    """The real one, as a user starts it."""
    with broker_process() as (port, _):
        yield (port,)


@contextlib.contextmanager
def broker_process() -> Iterator[tuple[int, int]]:
    """Port and process id of our broker."""
    port = free_port()
    command = [*PROGRAM, "broker", "digits", "--set", f"broker.address=tcp://127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with _until_ended(process):
        wait_for_port(port)
        yield port, process.pid


@contextlib.contextmanager
def programs(config: Path, commands: Sequence[str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Our programs of one experiment, each as a user starts it, in that order."""
    with contextlib.ExitStack() as stack:
        started: dict[str, subprocess.Popen[bytes]] = {}
        for command in commands:
            process = subprocess.Popen([*PROGRAM, command, str(config)], stdout=subprocess.DEVNULL)
            started[command] = process
            stack.enter_context(_until_ended(process))
        yield started


@contextlib.contextmanager
def c_proxy() -> Iterator[tuple[int, ...]]:
    """libzmq's own relay: nothing in Python touches a message."""
    ports = free_port(), free_port()
    with _service(_run_proxy, *ports):
        wait_for_port(ports[1])
        yield ports


@contextlib.contextmanager
def swergio_server() -> Iterator[tuple[int, ...]]:
    port = free_port()
    with _service(_run_swergio, port):
        wait_for_port(port)
        yield (port,)


def pair(first: Callable[..., None], second: Callable[..., None], *arguments: Any) -> Any:
    """Run both in processes of their own with (*arguments, ready event, result queue); the result of one of them.

    Raises: RuntimeError when none comes in time.
    """
    ready, results = context.Event(), context.Queue()
    processes = [
        context.Process(target=role, args=(*arguments, ready, results), daemon=True) for role in (first, second)
    ]
    for process in processes:
        process.start()
    try:
        return _result(results, processes)
    finally:
        for process in processes:
            process.kill()
            process.join()


def silence() -> None:
    """swergio prints every connection, and its server a traceback for everyone who leaves."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (the process ends with it)


def _result(results: Any, processes: list[SpawnProcess]) -> Any:
    deadline = time.monotonic() + RESULT_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(Empty):
            return results.get(timeout=0.5)
        failed = [process for process in processes if process.exitcode]
        if failed:
            raise RuntimeError(f"a peer of the benchmark ended with exit code {failed[0].exitcode}")
    raise RuntimeError(f"no result of the benchmark in {RESULT_TIMEOUT_S} s")


@contextlib.contextmanager
def _service(target: Callable[..., None], *arguments: Any) -> Iterator[None]:
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def _until_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port} after {READY_TIMEOUT_S} s")


def _run_proxy(port_in: int, port_out: int) -> None:
    import zmq

    zmq_context = zmq.Context()
    inside, outside = zmq_context.socket(zmq.XSUB), zmq_context.socket(zmq.XPUB)
    outside.setsockopt(zmq.XPUB_NODROP, 1)
    for relay, port in ((inside, port_in), (outside, port_out)):
        relay.setsockopt(zmq.SNDHWM, 20_000)
        relay.setsockopt(zmq.RCVHWM, 20_000)
        relay.bind(f"tcp://127.0.0.1:{port}")
    zmq.proxy(inside, outside)


def _run_swergio(port: int) -> None:
    from swergio import Server

    silence()
    Server("127.0.0.1", port, "utf-8", 10).start()
