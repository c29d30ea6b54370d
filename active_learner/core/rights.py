"""Who may say what, and where: roles, rooms, kinds of message. Knows tables and keys' grants; no frame, file or clock.

The broker reads no header, so a right is a kind in a kind of room: in a room that was joined, or directly to a peer. What
the header says (the purpose of CANDIDATES, the role in RESTORE) is for those who hear it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol.messages import (
    Answer,
    AnswerReceipt,
    Candidates,
    Control,
    Forward,
    Gradient,
    Hello,
    Lease,
    Leased,
    LogLine,
    Message,
    Position,
    PositionRequest,
    Promote,
    Promoted,
    Question,
    QuestionClosed,
    Restore,
    Rounds,
    RoundsRequest,
    Scores,
    SourceEnded,
    StatusReport,
    StatusRequest,
    Step,
    StepRefused,
    Taken,
)

SUFFIX = "."
"""The key `anna` may speak as `anna` and as `anna.ANYTHING`. No key has a dot in its name, so none can be mistaken for another."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one role may say."""

    in_rooms: frozenset[int]
    direct: frozenset[int]
    exclusive: bool
    """It may claim to be the only one, which also opens the places that are kept for such."""


def _rights(in_rooms: Iterable[type[Message]], direct: Iterable[type[Message]], exclusive: bool = False) -> Rights:
    return Rights(frozenset(one.KIND for one in in_rooms), frozenset(one.KIND for one in direct), exclusive)


_EVERYBODY = (StatusRequest, LogLine)

TABLE: dict[str, Rights] = {
    "trainer": _rights(
        (
            *(Candidates, Forward, Gradient, Step, PositionRequest, Restore, Promote),
            *(Question, QuestionClosed, Control, StatusReport, *_EVERYBODY),
        ),
        (Taken, Question, QuestionClosed, AnswerReceipt, Leased, StatusReport, StatusRequest, Rounds),
        exclusive=True,
    ),
    "evaluator": _rights(
        (Forward, Gradient, Scores, *_EVERYBODY), (Position, Promoted, StepRefused, StatusRequest), exclusive=True
    ),
    "source": _rights((Candidates, SourceEnded, *_EVERYBODY), (StatusRequest,)),
    "labeler": _rights(_EVERYBODY, (Answer, Lease, StatusRequest, RoundsRequest)),
    "monitor": _rights((StatusRequest,), (StatusRequest, RoundsRequest)),
    "operator": _rights((Control, *_EVERYBODY), (StatusRequest, RoundsRequest)),
}
"""Role -> what it may say. Any other role is a stage of a chain, and has the rights of an evaluator."""

_ANYBODY = (
    *(Candidates, Scores, SourceEnded, Forward, Gradient, Position, Promoted, StepRefused, Answer, Lease),
    *(Control, StatusReport, RoundsRequest, *_EVERYBODY),
)
OWN = _rights(_ANYBODY, _ANYBODY, exclusive=True)
"""A role of the user's own on a broker without keys, where a role is only what HELLO says: all but what is the trainer's alone, which
orders, asks and acknowledges."""


def rights_of(role: str, keyed: bool) -> Rights:
    """`keyed`: a key vouches for the role."""
    return TABLE.get(role) or (TABLE["evaluator"] if keyed else OWN)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the allow-list says of one key."""

    name: str
    role: str
    experiments: frozenset[str] = field(default_factory=frozenset)
    """Empty: any."""
    rooms: frozenset[str] = field(default_factory=frozenset)
    """Rooms that it may join, as EXPERIMENT/ROOM, or ROOM in any of its experiments; empty: any."""

    def names(self, name: str) -> bool:
        """True when a peer with this key may be called so: by the key, or by its role when only one can have that."""
        own = name == self.name or name.startswith(self.name + SUFFIX)
        return own or (name == self.role and rights_of(self.role, True).exclusive)

    def problem_with(self, hello: Hello) -> str:
        """Why a peer with this key may not say so; empty: it may."""
        if hello.role != self.role:
            return f"the key {self.name!r} is a {self.role}'s, not a {hello.role}'s"
        if self.experiments and hello.experiment not in self.experiments:
            return f"the key {self.name!r} is for {_listed(self.experiments)}, not for {hello.experiment}"
        if not self.names(hello.name):
            return f"the key {self.name!r} may be called {self.name} or {self.name}{SUFFIX}ANYTHING, not {hello.name}"
        if hello.exclusive and not rights_of(self.role, True).exclusive:
            return f"a {self.role} cannot be exclusive"
        return ""

    def may_join(self, experiment: str, room: str) -> bool:
        return not self.rooms or room in self.rooms or f"{experiment}/{room}" in self.rooms

    def problem_with_room(self, experiment: str, room: str) -> str:
        """Why it may not join; empty: it may."""
        if self.may_join(experiment, room):
            return ""
        return f"the key {self.name!r} may join {_listed(self.rooms)}, not {experiment}/{room}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
