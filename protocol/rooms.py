"""Names of rooms and direct addresses, as they stand in the prefix. Knows text only, not who is where.

"digits/evolution" is a room of the experiment digits, "@digits/trainer" the peer called trainer in it.
"""

from __future__ import annotations

from protocol.errors import BadRoom, LocalProtocolError
from protocol.limits import NAME


def is_name(text: str) -> bool:
    """True when `text` may name an experiment, a room, a role or a peer."""
    return NAME.fullmatch(text) is not None


def check_name(text: str) -> str:
    """Returns `text`. Raises: LocalProtocolError when it is no name."""
    if not is_name(text):
        raise LocalProtocolError(
            f"{text!r} is no name: allowed are 1 to 63 of A-Z a-z 0-9 . _ - , first a letter or digit"
        )
    return text


def qualified(experiment: str, room: str) -> str:
    """("digits", "evolution") -> "digits/evolution". Raises: LocalProtocolError."""
    return f"{check_name(experiment)}/{check_name(room)}"


def direct(experiment: str, name: str) -> str:
    """("digits", "trainer") -> "@digits/trainer". Raises: LocalProtocolError."""
    return f"@{check_name(experiment)}/{check_name(name)}"


def split(text: str) -> tuple[str, str]:
    """The opposite of both: (experiment, room), or (experiment, "@name") of a direct address.

    Raises: BadRoom.
    """
    experiment, slash, rest = text.removeprefix("@").partition("/")
    if not (slash and is_name(experiment) and is_name(rest)):
        raise BadRoom(f"{text!r} is neither EXPERIMENT/ROOM nor @EXPERIMENT/NAME")
    return experiment, ("@" + rest if text.startswith("@") else rest)
