"""Transports by the scheme of an address. Knows names only; a variant is imported when it is used."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from active_learner.errors import ActiveLearnerError, LeaseHeld, Unreachable
from active_learner.faults.rules import VARIABLE, parsed
from protocol.errors import RefusalCode

if TYPE_CHECKING:
    from active_learner.core.keys import Keys
    from active_learner.transport.base import Doorman, Link, Router

VARIANTS: dict[str, str] = {
    "tcp": "active_learner.transport.zmq_link:ZmqLink",
    "memory": "active_learner.transport.memory:MemoryLink",
}
"""Scheme -> a peer's link; called with the address and its keys."""

ROUTERS: dict[str, str] = {
    "tcp": "active_learner.transport.zmq_router:ZmqRouter",
    "memory": "active_learner.transport.memory:MemoryRouter",
}
"""Scheme -> the broker's side; called with the address, max_message_bytes and the doorman."""


def link_to(
    address: str, who: str = "", keys: Keys | None = None, renewed: Callable[[], Keys | None] | None = None
) -> Link:
    """The link for the scheme of `address`, not open yet; a bad one where the environment asks for faults, drawn for `who`.
    `keys` None: to a broker without keys. `renewed` returns other keys when there are some, by which it connects anew.

    Raises: Unreachable when there is none, ConfigError when the faults are not understood.
    """
    link: Link = _variant(VARIANTS, address)(address, keys, renewed)
    faults = os.environ.get(VARIABLE, "")
    return _with_faults(link, faults, who) if faults else link


def _with_faults(link: Link, faults: str, who: str) -> Link:
    from active_learner.transport.faulty_link import FaultyLink

    rules = parsed(faults)
    return FaultyLink(link, rules, who) if rules.is_any else link


def router_at(address: str, max_message_bytes: int, doorman: Doorman | None = None) -> Router:
    """The router for the scheme of `address`, not bound yet. `doorman` None: whoever reaches it gets in.

    Raises: Unreachable when there is none.
    """
    router: Router = _variant(ROUTERS, address)(address, max_message_bytes, doorman)
    return router


def no_broker(address: str, waited_s: float, trouble: str = "") -> Unreachable:
    """What to tell a person when nobody answers. `trouble`: of the link."""
    if trouble:
        return Unreachable(f"the broker at {address} did not let us in for {waited_s:g} s: {trouble}")
    return Unreachable(
        f"no broker at {address} for {waited_s:g} s: start one with `active-learner broker` or `make run-broker`"
    )


def refused(code: str, text: str) -> ActiveLearnerError:
    """What to tell a person when the broker answers HELLO by REFUSED."""
    if code in (RefusalCode.NAME_TAKEN, RefusalCode.ROLE_TAKEN):
        return LeaseHeld(text)
    return Unreachable(f"the broker refuses us ({code}): {text}")


def _variant(table: dict[str, str], address: str) -> Any:
    scheme = address.partition("://")[0]
    if scheme not in table:
        raise Unreachable(f"{address!r} is no address: allowed is tcp://HOST:PORT, such as tcp://127.0.0.1:5570")
    module, _, name = table[scheme].partition(":")
    return getattr(import_module(module), name)
