"""Which programs make up an experiment on one machine, and where they meet. Knows the configuration; starts nothing."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from active_learner.config.schema import Config
from active_learner.config.stages import roles_here
from active_learner.errors import ConfigError
from active_learner.services.child import Program
from active_learner.services.restarts import HOPELESS, Policy
from active_learner.transport.ports import holder_of

_US = (sys.executable, "-P", "-m", "active_learner")
"""-P: a `protocol.py` in the working directory must not win over our package."""

_STORE_TROUBLE = 5

ONCE = "--accept-rollback"
"""What a person has agreed to is the loss that there was when he said so, not one that comes while it runs."""


def programs(config: Config, resolved: Path, serve: Sequence[str], common: Sequence[str]) -> list[Program]:
    """Broker, trainer, evaluators, source, labeler: in the order in which they are started. `serve` are the trainer's
    own options, `common` those of all.

    Raises: ConfigError when two of them want our standard input.
    """
    file = str(resolved)

    def program(name: str, command: str, policy: Policy, *options: str, stdin: bool = False) -> Program:
        return Program(name, (*_US, command, file, *common, *options), policy, stdin=stdin)

    in_memory = config.store.url.startswith("memory:")
    trainer = Policy(ends_all=True, fatal=(*HOPELESS, _STORE_TROUBLE), may_restart=not in_memory)
    always = [option for option in serve if option != ONCE]
    once = tuple(option for option in serve if option == ONCE)
    found = [program("broker", "broker", Policy(for_ever=True))]
    found.append(replace(program("trainer", "serve", trainer, *always), once=once))
    for role in roles_here(config):
        which = () if role == config.evaluator.role else ("--set", f"evaluator.role={json.dumps(role)}")
        found.append(program(role, "evaluator", Policy(), *which))
    if config.source.kind != "none":
        found.append(program("source", "source", Policy(may_finish=True), stdin=_reads_stdin(config)))
    if config.labeler.kind == "terminal":
        found.append(program("labeler", "label", Policy(ends_all=True)))
        found[-1] = replace(found[-1], terminal=True)
    elif config.labeler.kind == "web":
        found.append(program("labeler", "label", Policy(), *_goal(serve)))
    elif config.labeler.kind != "none":
        found.append(program("labeler", "label", Policy(may_finish=True)))
    if _reads_stdin(config) and config.labeler.kind == "terminal":
        raise ConfigError(["source.path: '-' and labeler.kind: terminal both read standard input; start one by itself"])
    return found


def _goal(serve: Sequence[str]) -> tuple[str, ...]:
    """What the page shows as the goal."""
    return ("--labels-goal", serve[serve.index("--labels") + 1]) if "--labels" in serve else ()


def with_metrics(programs: Sequence[Program], port: int) -> list[Program]:
    """Each with a port of its own: `port` and those behind it, or (0) any that is free. Restarted, it has the same.

    Raises: ConfigError when there are not so many ports.
    """
    if port + len(programs) > 65536:
        raise ConfigError([f"--metrics-port: {port} and the {len(programs) - 1} ports behind it do not exist"])
    numbers = (port and port + place for place in range(len(programs)))
    return [
        replace(program, command=(*program.command, "--metrics-port", str(number)))
        for program, number in zip(programs, numbers, strict=True)
    ]


def _reads_stdin(config: Config) -> bool:
    return config.source.kind == "jsonl" and config.source.path == "-"


def elsewhere(config: Config) -> tuple[str, ...]:
    """Roles of the evaluators that this configuration does not start: stages of a chain on their own."""
    return tuple(role for role in config.trainer.stages if role not in roles_here(config))


def meeting_place(config: Config) -> tuple[str, str]:
    """The broker's address, and a note when it is not the configured one: a default port that is taken is nobody's wish."""
    address = config.broker.address
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    if "address" in config.broker.model_fields_set or _is_free(host, int(port)):
        return address, ""
    other = free_address(host)
    by = holder_of(int(port)) or "another process"
    return other, f"port {port} is taken by {by}; the broker is at {other} this time (broker.address sets it)"


def page_port(config: Config) -> tuple[int | None, str]:
    """The labeling page's port, None without a page, and a note when it is not the usual one, for it is taken."""
    page = config.labeler
    if page.kind != "web":
        return None, ""
    if "port" in page.model_fields_set or _is_free("127.0.0.1", page.port):
        return page.port, ""
    other = int(free_address().rsplit(":", 1)[1])
    by = holder_of(page.port) or "another process"
    return other, f"port {page.port} is taken by {by}; the page is at {other} this time (labeler.port sets it)"


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as ZeroMQ does: a port in TIME_WAIT is free
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_address(host: str = "127.0.0.1") -> str:
    """At a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return f"tcp://{host}:{probe.getsockname()[1]}"
