"""The labeling page that a configuration means: who may come, where it is, what it shows. Knows the configuration; serves nothing."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from active_learner.errors import ConfigError

if TYPE_CHECKING:
    from active_learner.config.schema import Config, WebLabeler
    from active_learner.core.records import SampleSpec
    from active_learner.services import web_labeler
    from active_learner.web.accounts import Accounts


async def serve(
    config: Config, spec: SampleSpec, annotator: str | None, metrics: tuple[str, int] | None, goal: int | None = None
) -> int:
    """The exit code. `goal`: labels that the run ends at. Raises: ActiveLearnerError."""
    from active_learner.bounds import bound_memory
    from active_learner.config.schema import WebLabeler
    from active_learner.services import shell

    section = config.labeler if isinstance(config.labeler, WebLabeler) else WebLabeler()
    bound_memory("labeler.memory_bytes", section.memory_bytes)
    return await shell.run(make(config, section, spec, annotator or section.annotator, goal), metrics)


def make(
    config: Config, section: WebLabeler, spec: SampleSpec, annotator: str, goal: int | None = None
) -> web_labeler.WebLabeler:
    """With its port bound. Raises: ConfigError, AddressInUse, Unreachable."""
    from active_learner.config.loading import address_of, keys_of, outbox_of
    from active_learner.durable.kept_answers import KeptAnswers
    from active_learner.peer import Peer
    from active_learner.services.web_labeler import WebLabeler

    people = people_of(config, section, annotator)
    check_words(section, spec, renderer_of(config, section))
    peer = Peer(
        experiment=config.name,
        role="labeler",
        address=address_of(config),
        keys=keys_of(config, "labeler"),
        connect_timeout_s=config.broker.connect_timeout_s,
    )
    own = [] if _is_public(section) else [annotator]
    found = [*own, *(name for name, _ in people.names() if name not in own)]
    manners = manners_of(config, section, spec, goal)
    service = WebLabeler(
        peer,
        spec,
        manners,
        lambda name: KeptAnswers(outbox_of(config, name)),
        found,
        config.rooms.user,
        config.rooms.control,
    )
    _open_doors(config, section, service, people, annotator)
    return service


def _open_doors(
    config: Config, section: WebLabeler, service: web_labeler.WebLabeler, people: Accounts, annotator: str
) -> None:
    from active_learner.web.accounts import new_secret
    from active_learner.web.app import Page
    from active_learner.web.doorman import Doorman
    from active_learner.web.server import WebServer, bind

    bound = bind(section.host, section.port)
    port: int = bound.getsockname()[1]
    is_public, token = _is_public(section), "" if section.login == "off" else new_secret()
    doorman = Doorman(
        people,
        hosts={
            name.lower() for name in (*section.hosts, section.host, *((socket.gethostname(),) if is_public else ()))
        },
        by_address=is_public,
        cookie=f"active_learner_{port}",
        clock=time.monotonic,
        default=None if is_public else annotator,
        token=token,
        login=section.login == "token",
    )
    page = Page(service, doorman, renderer_of(config, section))
    way = "" if is_public or not token else f"enter?token={token}"
    service.serve(WebServer(page.app(), bound), f"http://{named(section.host)}:{port}/{way}")


def named(host: str) -> str:
    """As a person types it."""
    with contextlib.suppress(ValueError):  # a name
        if ipaddress.ip_address(host).is_unspecified:
            return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def people_of(config: Config, section: WebLabeler, annotator: str) -> Accounts:
    """Raises: ConfigError, when strangers could come in."""
    from active_learner.config.loading import annotators_of
    from active_learner.web.accounts import Accounts

    if not _is_public(section):
        return Accounts(annotators_of(config), time.time, always=annotator)
    if section.login == "off":
        raise ConfigError(
            [f"labeler.login: off is for 127.0.0.1 and localhost; {section.host} can be reached from other machines"]
        )
    people = Accounts(annotators_of(config), time.time)
    if not people.names():
        raise ConfigError(
            [
                f"labeler.host: {section.host} can be reached from other machines, and nobody is let in yet: "
                f"`active-learner annotator add {config.name} NAME` first"
            ]
        )
    return people


def _is_public(section: WebLabeler) -> bool:
    from active_learner.security.reach import is_public

    return is_public(f"tcp://{section.host}:0")


def renderer_of(config: Config, section: WebLabeler) -> Path | None:
    from active_learner.config.loading import base_dir

    return None if section.renderer is None else base_dir(config) / Path(section.renderer).expanduser()


def check_words(section: WebLabeler, spec: SampleSpec, renderer: Path | None) -> None:
    """Raises: ConfigError."""
    names = f", {', '.join(spec.class_names)}" if spec.class_names else ""
    problems = [
        f"labeler.guide.{name}: is no class; allowed: 0 to {spec.classes - 1}{names}"
        for name in section.guide
        if _class_of(name, spec) is None
    ]
    problems += [
        f"labeler.columns: {column.name} has low {column.low:g} and high {column.high:g}; low must be below high"
        for column in section.columns
        if column.low is not None and column.high is not None and column.low >= column.high
    ]
    problems += _bad_keys(section, spec, names)
    if renderer is not None and not (renderer.suffix == ".js" and renderer.is_file()):
        problems.append(f"labeler.renderer: {renderer} is no file that ends with .js")
    if problems:
        raise ConfigError(problems)


COMMANDS = ("replay", "play", "loop", "roll", "slower", "faster", "skip", "cannot_tell", "undo", "why", "help")
"""Of the page (web/static/keys.js), as are the names of keys."""

NAMED_KEYS = ("space", "backspace", "enter", "tab", "delete", "left", "right", "up", "down")


def _bad_keys(section: WebLabeler, spec: SampleSpec, names: str) -> Iterator[str]:
    taken: dict[str, str] = {}
    for name, key in section.keys.items():
        if name not in COMMANDS and _class_of(name, spec) is None:
            yield f"labeler.keys.{name}: is no command and no class; allowed: {', '.join(COMMANDS)}, 0 to {spec.classes - 1}{names}"
        elif len(key) != 1 and key.lower() not in NAMED_KEYS:
            yield f"labeler.keys.{name}: {key!r} is no key; allowed: a character, {', '.join(NAMED_KEYS)}"
        elif (other := taken.setdefault(key.lower(), name)) != name:
            yield f"labeler.keys.{name}: {key!r} is the key of {other} too"


def _class_of(name: str, spec: SampleSpec) -> int | None:
    """By its name, or by its number; None: there is none."""
    if name in spec.class_names:
        return spec.class_names.index(name)
    return int(name) if name.isdecimal() and int(name) < spec.classes else None


def manners_of(config: Config, section: WebLabeler, spec: SampleSpec, goal: int | None) -> web_labeler.Manners:
    from active_learner.services.web_labeler import Manners

    return Manners(
        experiment=config.name,
        title=section.title,
        columns=tuple(one.model_dump(exclude_none=True) for one in section.columns),
        guide={str(_class_of(name, spec)): words for name, words in section.guide.items()},
        keys={name if name in COMMANDS else str(_class_of(name, spec)): key for name, key in section.keys.items()},
        min_listen_s=section.min_listen_s,
        show_roll=section.show_roll,
        instrument=section.instrument.model_dump(),
        renderer=None if section.renderer is None else "/own.js",
        labels_goal=goal,
    )
