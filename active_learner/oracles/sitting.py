"""A person's sitting at the full screen: what is asked, what was decided, what is on the screen. Knows no terminal.

Keys go in, replies come out (`pressed`). Asking, correcting and undoing have the same keys: a decision that is opened from the
list is answered as a question is.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from active_learner.core.records import SampleSpec
from active_learner.oracles import screen
from active_learner.oracles.base import Reply
from active_learner.oracles.decided import ASIDE, HISTORY, SAVED, Decided
from active_learner.oracles.keys import Keys
from protocol.messages import Action, AnswerReceipt, Question

UNSEEN_S = 0.12
"""A key that is pressed so soon after a question came was meant for the one before: a bouncing key answers nothing unseen."""

NOTICES = 5
"""The last ones; the newest has a line of its own."""


@dataclass(slots=True)
class Past:
    """A decision that stands."""

    question: Question
    action: Action
    value: int | None
    state: str = "sending"
    """sending, saved, aside, refused; "saved" only by a receipt."""


@dataclass(slots=True)
class Look:
    """How long and how often something was seen and heard before it was decided."""

    at: float
    plays: int = 0


class Leave(Exception):
    """The person wants to go."""


class Sitting:
    """`page` is what the screen shows: question, history, find, help."""

    def __init__(self, spec: SampleSpec, keys: Keys, now: Callable[[], float]) -> None:
        self.spec, self.keys, self._now = spec, keys, now
        self.decided = Decided()
        self.question: Question | None = None
        self.waiting = 0
        self.past: deque[Past] = deque(maxlen=HISTORY)
        self.correcting: Past | None = None
        self.page, self.row, self.typed, self.why = "question", 0, "", False
        self.notices: deque[str] = deque(maxlen=NOTICES)
        self._look = self._second_look = Look(-UNSEEN_S)
        self._do: dict[str, Callable[[], Reply | None]] = {
            "skip": lambda: self._pass(Action.SKIP),
            "cannot_tell": lambda: self._pass(Action.CANNOT_TELL),
            "undo": self._undo,
            "history": self._up,
            "down": self._down,
            "take": self._take,
            "find": self._find,
            "why": self._why,
            "help": self._help,
            "back": self._back,
            "quit": self._quit,
        }

    # --- what happens

    def asked(self, question: Question, waiting: int) -> bool:
        """False: it was on the screen already."""
        fresh = self.question is None or self.question.id != question.id
        self.question, self.waiting = question, waiting
        if fresh:
            self._look = Look(self._now())
        return fresh

    def withdrawn(self) -> None:
        """Nothing is asked."""
        self.question = None

    def told(self, receipt: AnswerReceipt) -> None:
        words = self.decided.receipt(receipt)
        one = next((past for past in self.past if past.question.id == receipt.question), None)
        if one is not None and not self.decided.awaits(receipt.question):
            one.state = _state(receipt.status)
        self.notices.append(screen.printable(words))

    def notice(self, text: str) -> None:
        self.notices.append(screen.printable(text))

    @property
    def shown(self) -> Question | None:
        """On the stage: the decision that is corrected, or the question."""
        return self.correcting.question if self.correcting is not None else self.question

    @property
    def look(self) -> Look:
        """At what is shown."""
        return self._second_look if self.correcting is not None else self._look

    # --- keys

    def pressed(self, key: str) -> Reply | None:
        """The reply that the key makes, with how it came about. Raises: Leave."""
        look = self.look
        reply = self._pressed(key)
        if reply is None or reply.action is Action.UNDO:
            return reply
        seen = {"shown_s": round(self._now() - look.at, 2), "plays": look.plays}
        return replace(reply, circumstances=json.dumps(seen if look.plays else {"shown_s": seen["shown_s"]}))

    def _pressed(self, key: str) -> Reply | None:
        if self.page == "find" and (len(key) == 1 or key in ("space", "backspace")):
            self.typed = self.typed[:-1] if key == "backspace" else self.typed + (" " if key == "space" else key)
            return None
        value = self.keys.answer(key) if self.page == "question" else None
        if value is not None:
            return self.answer(value)
        command = self.keys.command(key)
        return self._do[command]() if command in self._do else None

    def answer(self, value: int) -> Reply | None:
        if self.correcting is not None:
            return self._revise(self.correcting, value)
        return self._decide(Action.ANSWER, value)

    def _decide(self, action: Action, value: int | None) -> Reply | None:
        question = self.question
        if question is None or self._now() - self._look.at < UNSEEN_S:
            return None
        if value is not None and value >= question.classes:
            self.notice(f"this question has no answer {value}: allowed are 0 to {question.classes - 1}")
            return None
        self._forget(question.id)
        self.past.append(Past(question, action, value))
        self.decided.note(question.id, self.word(action, value), int(value is not None))
        self.question, self.why = None, False
        return Reply(question.id, action, value)

    def _revise(self, one: Past, value: int) -> Reply | None:
        self.correcting = None
        if one.value == value and one.state != "refused":
            self.notice(f"{self.word(one.action, value)} it was, and stays")
            return None
        self.decided.note(one.question.id, self.word(Action.REVISE, value), int(one.value is None))
        one.action, one.value, one.state = Action.REVISE, value, "sending"
        return Reply(one.question.id, Action.REVISE, value)

    def _pass(self, action: Action) -> Reply | None:
        if self.page != "question":
            return None
        if self.correcting is not None:
            self.notice(f"an answer is changed by another one, or taken back ({self.keys.printed('undo')})")
            return None
        return self._decide(action, None)

    def _undo(self) -> Reply | None:
        """Of the one that is open or chosen, or of the last."""
        if not self.past:
            self.notice("there is nothing to undo")
            return None
        one = self.correcting or self.past[self.row if self.page == "history" else -1]
        self._forget(one.question.id)
        self._back()
        self.decided.note(one.question.id, "undo", -int(one.value is not None))
        return Reply(one.question.id, Action.UNDO, None)

    def _forget(self, question: str) -> None:
        for one in [one for one in self.past if one.question.id == question]:
            self.past.remove(one)

    # --- what is on the screen

    def _up(self) -> None:
        if self.page == "history":
            self.row = max(0, self.row - 1)
        elif not self.past:
            self.notice("nothing was answered yet")
        else:
            self.page, self.row, self.correcting = "history", len(self.past) - 1, None

    def _down(self) -> None:
        if self.page == "history":
            self.row = min(len(self.past) - 1, self.row + 1)

    def _take(self) -> Reply | None:
        if self.page == "history":
            self.correcting, self.page = self.past[self.row], "question"
            self._second_look = Look(self._now())
        elif self.page == "find":
            return self._found()
        return None

    def _find(self) -> None:
        if self.shown is not None:
            self.page, self.typed = "find", ""

    def _found(self) -> Reply | None:
        """Enter takes the only one that fits, or the one whose number or name is exactly that."""
        fits = self.matches()
        exact = [v for v in fits if self.typed.strip().lower() in (str(v), self.name(v).lower())]
        chosen = exact or fits
        if len(chosen) != 1:
            self.notice(f"{len(fits)} answers fit {self.typed!r}: type until it is one")
            return None
        self.page = "question"
        return self.answer(chosen[0])

    def matches(self) -> list[int]:
        """Answers whose number begins with what is typed, or whose name has it."""
        text = self.typed.strip().lower()
        return [v for v in range(self.spec.classes) if str(v).startswith(text) or text in self.name(v).lower()]

    def _why(self) -> None:
        self.why = not self.why

    def _help(self) -> None:
        self.page = "question" if self.page == "help" else "help"

    def _back(self) -> None:
        self.page, self.correcting, self.typed = "question", None, ""

    def _quit(self) -> None:
        raise Leave

    # --- words

    def name(self, value: int) -> str:
        names = self.spec.class_names
        return names[value] if value < len(names) else ""

    def word(self, action: Action, value: int | None) -> str:
        return action.value.replace("_", " ") if value is None else screen.named(value, self.spec.class_names)


def _state(status: str) -> str:
    return "saved" if status in SAVED else "aside" if status in ASIDE else "refused"
