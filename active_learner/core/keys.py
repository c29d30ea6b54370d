"""Key pairs as they go through the program: secrets that no repr, and so no log and no traceback, shows. Knows no file or curve."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Z85 texts of 40 characters, as CURVE has them."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """All that a peer needs to be let in."""

    name: str
    """The peer is called so, or NAME.ANYTHING; one that is exclusive may be called by its role."""
    role: str
    pair: KeyPair
    broker: str
    """The broker's public key: nobody else can take its place."""
    file: str = field(default="", compare=False)
    """Where they were read: a key that is rotated is another one in the same file. "": nowhere."""
