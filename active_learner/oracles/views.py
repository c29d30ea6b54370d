"""The parts of the full screen as text: what a sitting knows, in words and signs. Knows no widget and no terminal.

Each state has a sign and a word, so that no colour is needed to tell them apart.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from active_learner.oracles import screen
from active_learner.oracles.keys import COMMANDS, printed
from active_learner.oracles.sitting import Past, Sitting

SIGNS = {"sending": "… sending", "saved": "✓ saved", "aside": "~ aside", "refused": "! refused"}

REASONS = {
    "least_confidence": "the network's best guess is least sure here",
    "margin": "the network's two best guesses are nearly as likely as each other",
    "entropy": "the network's guesses are spread over many answers",
    "random": "it was drawn at random",
    "prelabel": "it was drawn at random, before the first run",
}
"""Of the strategies that come with the package; another one is named."""

LISTED = 3
"""Decisions below the question; all of them are in the list."""

ROWS = 10
"""Of the list, those around the chosen one: a screen of 24 lines has room for them."""


def head(sitting: Sitting) -> Text:
    """Progress."""
    decided = sitting.decided
    unsaved = f", {decided.unsaved} not saved yet" if decided.unsaved else ""
    return Text(f"{decided.answered} answered, {decided.saved} saved{unsaved}; {sitting.waiting} more waiting")


def title(sitting: Sitting) -> Text:
    if sitting.page == "history":
        return Text("Your last answers: ↑ and ↓ choose, Enter opens, Esc goes back", style="bold")
    if sitting.page == "help":
        return Text("Keys", style="bold")
    if sitting.page == "find":
        return Text("Type a number or a part of a name; Enter takes the one that is left, Esc goes back", style="bold")
    if sitting.correcting is not None:
        was = sitting.word(sitting.correcting.action, sitting.correcting.value)
        return Text(f"You said {was}. Another answer changes it; Esc keeps it.", style="bold")
    if sitting.question is None:
        return Text("No question is open. The next one comes by itself.", style="bold")
    return Text(f"Round {sitting.question.round}, number {sitting.question.rank}", style="bold")


def page(sitting: Sitting) -> Text:
    """In place of the sample: the list, the keys, the answers that fit."""
    if sitting.page == "history":
        return _list(sitting)
    if sitting.page == "find":
        fits = [f"{value:>6}  {screen.printable(sitting.name(value))}" for value in sitting.matches()]
        return Text("\n".join([f"/ {screen.printable(sitting.typed)}_", "", *fits]))
    return _help(sitting)


def _list(sitting: Sitting) -> Text:
    """Newest last."""
    first = max(0, min(sitting.row - ROWS // 2, len(sitting.past) - ROWS))
    rows = [*enumerate(sitting.past)][first : first + ROWS]
    listed = [_past(one, f"{'>' if row == sitting.row else ' '} ", sitting) for row, one in rows]
    before, after = first, len(sitting.past) - first - len(rows)
    above = [Text(f"  ({before} earlier)")] if before else []
    return Text("\n").join([*above, *listed, *([Text(f"  ({after} later)")] if after else [])])


def _help(sitting: Sitting) -> Text:
    keys = sitting.keys
    lines = [f"{printed(key):>8}  {_meaning(value, sitting)}" for value, key in enumerate(keys.answers)]
    lines += [""] + [f"{keys.printed(name):>8}  {what}" for name, (_, what) in COMMANDS.items()]
    lines += [f"{'PgUp':>8}  the sample up, PgDn down", f"{'Ctrl-C':>8}  leave", f"{'Esc':>8}  back"]
    told = [f"          {text}" for text in sitting.notices]
    return Text("\n".join([*lines, "", *(["What was told last:", *told] if told else [])]))


def answers(sitting: Sitting, width: int) -> Text:
    """The keys that answer, with what they mean."""
    if not sitting.keys.answers:
        return Text(f"{sitting.spec.classes} answers: {sitting.keys.printed('find')} finds one by name or number")
    parts = [f"[{printed(key)}] {_meaning(value, sitting)}" for value, key in enumerate(sitting.keys.answers)]
    return _flow([part.rstrip() for part in parts], width)


def _meaning(value: int, sitting: Sitting) -> str:
    name, last = screen.printable(sitting.name(value)), sitting.spec.classes - 1
    if name:
        return name
    if sitting.spec.media == "melody" and value in (0, last):
        return "worst" if value == 0 else "best"
    return "" if sitting.keys.answers[value] == str(value) else str(value)


def commands(sitting: Sitting, width: int) -> Text:
    """The first line has what a person needs to find the others."""
    short = {"help": "help", "quit": "leave", "replay": "again", "skip": "skip", "cannot_tell": "can't tell"}
    short |= {"undo": "undo", "history": "change", "why": "why"}
    return _flow([f"{sitting.keys.printed(name)} {words}" for name, words in short.items()], width)


def _flow(parts: list[str], width: int) -> Text:
    """A key and its words stay on one line."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}  {part}" if lines[-1] else part
        lines = [*lines[:-1], longer] if cell_len(longer) <= width else [*lines, part]
    return Text("\n".join(lines))


def past(sitting: Sitting) -> Text:
    return Text("\n").join([_past(one, "  ", sitting) for one in [*sitting.past][-LISTED:]])


def _past(one: Past, before: str, sitting: Sitting) -> Text:
    which = f"round {one.question.round}, number {one.question.rank}"
    words = sitting.word(one.action, one.value)
    return Text(f"{before}{SIGNS[one.state]:<10}  {words:<20}  {which}", no_wrap=True, overflow="ellipsis")


def why(sitting: Sitting) -> Text:
    """Why this one: a plain sentence, and what it stands on. What the network would answer is not said: it would sway."""
    question = sitting.shown
    if question is None:
        return Text("")
    strategy = screen.printable(question.strategy)
    reason = REASONS.get(question.strategy, f"the strategy {strategy} put it there")
    stale = ", which was not the newest" if question.stale else ""
    return Text(
        f"Why this one? Of {question.pool} samples in the pool it was asked as number {question.rank}: {reason}.\n"
        f"score {question.score:.3g}, rank {question.rank}, strategy {strategy}, model {question.model_version}{stale}, "
        f"pool {question.pool}, round {question.round}"
    )


def notice(sitting: Sitting) -> Text:
    return Text(sitting.notices[-1] if sitting.notices else "", overflow="fold")
