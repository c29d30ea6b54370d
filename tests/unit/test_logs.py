"""How logs look: for a person and for a machine, and what they do not load."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from active_learner import logs


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    root.setLevel(level)


def fail() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("any").exception("it went %s", "wrong")


def test_a_person_reads_the_time_the_level_and_the_words_and_a_traceback_below(said: Callable[[], str]) -> None:
    logs.set_up("plain")
    logging.getLogger("any").info("heard %d", 3)
    logging.getLogger("any").debug("not asked for")
    fail()
    lines = said().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info     \] heard 3", lines[0])
    assert lines[1].endswith("[error    ] it went wrong")
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: no"


def test_a_machine_reads_an_object_a_line(said: Callable[[], str]) -> None:
    logs.set_up("json", verbose=True)
    logging.getLogger("any").debug("heard %d", 3)
    fail()
    first, second = map(json.loads, said().splitlines())
    assert (first["event"], first["level"]) == ("heard 3", "debug")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first["timestamp"])
    assert second["exception"].endswith("ValueError: no")


def test_a_terminal_gets_colours(said: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "coloured", lambda: True)
    logs.set_up("plain")
    logging.getLogger("any").warning("look")
    assert "[\033[33m\033[1mwarning  \033[0m] \033[1mlook\033[0m" in said()


def test_a_broker_without_config_loads_no_schema_and_no_terminal_library() -> None:
    code = (
        "import sys, active_learner.cli, active_learner.logs, active_learner.services.broker as b\n"
        "from active_learner.commands.broker import _settings\n"
        "from active_learner.transport import router_at\n"
        "active_learner.logs.set_up(); s = _settings(None, (), 'tcp://127.0.0.1:0')\n"
        "router_at(s.address, s.max_message_bytes)\n"
        "print(sorted({'pydantic', 'rich', 'structlog', 'ruamel', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_broker_without_config_has_the_defaults_of_a_configuration() -> None:
    from active_learner.config.schema import BrokerConfig
    from active_learner.services.broker import BrokerDefaults

    defaults, section = BrokerDefaults(), BrokerConfig()
    assert {name: getattr(section, name) for name in BrokerDefaults.__dataclass_fields__} == {
        name: getattr(defaults, name) for name in BrokerDefaults.__dataclass_fields__
    }


@pytest.mark.parametrize("address", ["5570", "tcp://127.0.0.1", "udp://127.0.0.1:1", "tcp://a:b:1"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    from active_learner.commands.broker import _settings
    from active_learner.errors import ConfigError

    with pytest.raises(ConfigError, match="must be tcp://HOST:PORT"):
        _settings(None, (), address)
