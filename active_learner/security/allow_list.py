"""The list of those who may come in: a public file for people and for the broker. Knows its form; no secret, no socket.

`keys rotate` gives a name a second entry and the first an end; `keys revoke` ends all. Entries stay as a record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from active_learner.core.rights import Grant
from active_learner.errors import ConfigError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One key. Times are as people and computers read them: 2026-01-31T12:00:00+00:00."""

    name: str
    role: str
    public: str
    since: str
    until: str | None = None
    """It ends by itself: the older one of a rotated name."""
    revoked: str | None = None
    experiments: tuple[str, ...] = ()
    """Empty: any."""
    rooms: tuple[str, ...] = ()
    """EXPERIMENT/ROOM, or ROOM of any experiment; empty: any."""

    def refusal(self, now: datetime) -> str:
        """Why it is not let in (any more); empty: it is."""
        if self.revoked is not None:
            return f"revoked at {self.revoked}"
        if self.until is not None and datetime.fromisoformat(self.until) <= now:
            return f"replaced, and at its end since {self.until}"
        return ""

    def grant(self) -> Grant:
        return Grant(self.name, self.role, frozenset(self.experiments), frozenset(self.rooms))


class AllowList:
    """All entries, oldest first. Changing it makes another."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)

    # --- who may come in -------------------------------------------------------------------------------------------

    def grants(self, now: datetime) -> dict[str, Grant]:
        """Public key -> what it may be."""
        return {one.public: one.grant() for one in self.entries if not one.refusal(now)}

    def refusal(self, public: str, now: datetime) -> str:
        """Why this key is not let in, in words; empty: it is."""
        found = next((one for one in self.entries if one.public == public), None)
        if found is None:
            return "is not on the list"
        why = found.refusal(now)
        return f"of {found.name} is {why}" if why else ""

    def next_end(self, now: datetime) -> datetime | None:
        """When the next entry ends by itself."""
        ends = (datetime.fromisoformat(one.until) for one in self.entries if one.until and not one.refusal(now))
        return min(ends, default=None)

    def current(self, name: str, now: datetime) -> Entry | None:
        """The newest entry of that name that is let in."""
        return next((one for one in reversed(self.entries) if one.name == name and not one.refusal(now)), None)

    # --- changes ---------------------------------------------------------------------------------------------------

    def with_entry(self, entry: Entry) -> AllowList:
        return AllowList([*self.entries, entry])

    def widened(self, name: str, experiments: Iterable[str], rooms: Iterable[str]) -> AllowList:
        """The entries of `name` are for these experiments and rooms too, unless they are for any."""

        def wider(one: Entry) -> Entry:
            if one.name != name:
                return one
            return replace(one, experiments=_joined(one.experiments, experiments), rooms=_joined(one.rooms, rooms))

        return AllowList(map(wider, self.entries))

    def rotated(self, name: str, public: str, now: datetime, overlap: timedelta) -> AllowList:
        """A new key for `name`; those of before end after `overlap`. Raises: KeyError when it has none."""
        current = self.current(name, now)
        if current is None:
            raise KeyError(name)
        ends = _text(now + overlap)
        kept = [
            replace(one, until=ends) if one.name == name and one.until is None and not one.revoked else one
            for one in self.entries
        ]
        return AllowList([*kept, replace(current, public=public, since=_text(now), until=None)])

    def revoked(self, name: str, now: datetime, only_old: bool) -> AllowList:
        """No key of `name` is let in; `only_old`: those that were rotated away are not. Raises: KeyError when there is none."""
        keeps = self.current(name, now) if only_old else None
        going = {one.public for one in self.entries if one.name == name and one is not keeps and not one.refusal(now)}
        if not going:
            raise KeyError(name)
        return AllowList(replace(one, revoked=_text(now)) if one.public in going else one for one in self.entries)

    # --- as a file -------------------------------------------------------------------------------------------------

    def to_text(self) -> str:
        return json.dumps({"format": FORMAT, "keys": [asdict(one) for one in self.entries]}, indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> AllowList:
        """Raises: ConfigError, saying what is wrong in `where`."""
        try:
            form = json.loads(text)
            if form["format"] != FORMAT:
                raise ValueError(f"format {form['format']!r}, known is {FORMAT}")
            return cls(map(_entry, form["keys"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError([f"{where}: is no list of keys: {type(error).__name__}: {error}"]) from None


def _entry(form: dict[str, Any]) -> Entry:
    entry = Entry(**{**form, "experiments": tuple(form["experiments"]), "rooms": tuple(form["rooms"])})
    for what in (entry.name, entry.role, entry.public, entry.since, *entry.experiments, *entry.rooms):
        if not isinstance(what, str):
            raise TypeError(f"{what!r} of {entry.name!r} is no text")
    for when in (entry.until, entry.revoked):
        if when is not None and datetime.fromisoformat(when).tzinfo is None:
            raise ValueError(f"{when} of {entry.name!r} has no time zone")
    return entry


def _joined(before: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*before, *more])) if before else ()


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
