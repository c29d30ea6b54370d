"""Who can reach an address, and so whether it needs keys. Knows addresses and the three words of `broker.keys`."""

from __future__ import annotations

import ipaddress

from active_learner.errors import ConfigError

AUTO, ON, OFF = "auto", "on", "off"


def is_public(address: str) -> bool:
    """True unless only this machine (or this process) can reach it."""
    if not address.startswith("tcp://"):
        return False
    host = address.removeprefix("tcp://").rpartition(":")[0]
    try:
        return host != "localhost" and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def needs_keys(address: str, keys: str) -> bool:
    """Whether a broker at `address` has keys, by `broker.keys`. Raises: ConfigError when it must and may not."""
    if not is_public(address):
        return keys == ON
    if keys == OFF:
        raise ConfigError(
            [f"broker.keys: off, but {address} can be reached from other machines; off is for 127.0.0.1 and localhost"]
        )
    return True
