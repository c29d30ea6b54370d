"""Which key does what at the full screen: one table that handles the keys and prints them. Knows names of keys; no terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from active_learner.errors import ConfigError

COMMANDS: dict[str, tuple[str, str]] = {
    "replay": ("space", "hear or show it again"),
    "skip": ("right", "skip it"),
    "cannot_tell": ("-", "can't tell: never ask me again"),
    "undo": ("backspace", "take the last answer back"),
    "history": ("up", "change one of the last answers"),
    "why": ("w", "why this one?"),
    "find": ("/", "find an answer by its name or number"),
    "help": ("?", "all keys"),
    "quit": ("q", "leave"),
}
"""Command -> its key, and what it does."""

FIXED = {"escape": "back", "enter": "take", "down": "down", "pageup": "page_up", "pagedown": "page_down"}
"""Keys of the lists and of a long sample; these are not given away."""

NAMED = {
    "space": "Space",
    "backspace": "Bksp",
    "right": "→",
    "left": "←",
    "up": "↑",
    "tab": "Tab",
    "delete": "Del",
    "insert": "Ins",
    "home": "Home",
    "end": "End",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
}
"""Keys that are no character -> what is printed."""

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Keys:
    answers: tuple[str, ...]
    """By class; () when there are more classes than keys: then `find` answers."""
    commands: Mapping[str, str]
    """Command -> key."""

    def answer(self, key: str) -> int | None:
        return self.answers.index(key) if key in self.answers else None

    def command(self, key: str) -> str:
        """ "" when it is none's."""
        return FIXED.get(key) or next((name for name, own in self.commands.items() if own == key), "")

    def printed(self, command: str) -> str:
        return printed(self.commands[command])


def printed(key: str) -> str:
    """A capital letter is typed with Shift."""
    return NAMED.get(key) or (f"Shift+{key}" if key.isupper() else key)


def make_keys(classes: int, names: Sequence[str] = (), own: Mapping[str, str] | None = None) -> Keys:
    """Digits for up to ten classes, above that the first free letter of the name. Commands that are letters by default are
    capitals then. `own`: command -> key, instead of the default.

    Raises: ConfigError naming the key that is no key, or has two meanings.
    """
    answers = _answers(classes, names)
    letters = any(key in LETTERS for key in answers)
    commands = {name: key.upper() if letters and key in LETTERS else key for name, (key, _) in COMMANDS.items()}
    commands |= own or {}
    problems = [*_unknown(own or {}), *_twice(answers, commands)]
    if problems:
        raise ConfigError(problems)
    return Keys(answers, commands)


def _answers(classes: int, names: Sequence[str]) -> tuple[str, ...]:
    if classes <= len(DIGITS):
        return tuple(DIGITS[:classes])
    if classes > len(LETTERS + DIGITS):
        return ()
    taken: list[str] = []
    for number in range(classes):
        name = names[number].lower() if number < len(names) else ""
        wanted = [letter for letter in name if letter in LETTERS]
        taken.append(next(key for key in (*wanted, *LETTERS, *DIGITS) if key not in taken))
    return tuple(taken)


def _unknown(own: Mapping[str, str]) -> list[str]:
    wrong = [
        f"labeler.keys.{name}: no such command; there are {', '.join(COMMANDS)}" for name in own if name not in COMMANDS
    ]
    for name, key in own.items():
        if key not in NAMED and not (len(key) == 1 and key.isprintable() and not key.isspace()):
            wrong.append(f"labeler.keys.{name}: {key!r} is no key; a character, or one of {', '.join(NAMED)}")
    return wrong


def _twice(answers: Sequence[str], commands: Mapping[str, str]) -> list[str]:
    seen = {key: f"answers {number}" for number, key in enumerate(answers)}
    problems = []
    for name, key in commands.items():
        if key in seen:
            problems.append(f"labeler.keys.{name}: {key!r} has another meaning already: it {seen[key]}")
        seen.setdefault(key, f"is {name}")
    return problems
