"""The terminal annotator: shows a question, reads one line, says what became of it. Knows no wire.

Plain prompts, so that it works over ssh, in a pipe and beside other processes. "saved" is said when the receipt is there and
never before. What the model thinks of the sample is not shown: it would sway the person.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from active_learner.core.records import SampleSpec
from active_learner.oracles import screen
from active_learner.oracles.base import Oracle, Reply
from active_learner.oracles.decided import HISTORY, Decided, why_asked
from active_learner.oracles.lines import Lines
from active_learner.oracles.player import Player
from protocol.messages import Action, AnswerReceipt, Question

PROMPT = "label> "

CLEAR_LINE = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a typed line means: a command of KEYS, a label, or a sentence about what is wrong."""

    command: str = ""
    label: int | None = None
    wrong: str = ""


KEYS = {
    "s": "skip it",
    "-": "can't tell: never ask me again",
    "u": "undo your last answer",
    "r": "play or show it again",
    "?": "this help",
    "q": "quit",
}


PASSES = {"s": Action.SKIP, "-": Action.CANNOT_TELL}
"""Decisions without a label."""


def parse(line: str, classes: int) -> Entry:
    """What was typed; nothing but a number within the classes is a label."""
    text = line.strip().lower()
    if text in KEYS:
        return Entry(command=text)
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < classes:
        return Entry(label=int(text))
    shown = screen.printable(line.strip()[:40])
    what = f"{shown!r} is not a label" if shown else "nothing was typed"
    return Entry(wrong=f"{what}: allowed are 0 to {classes - 1}, or {' '.join(KEYS)}")


class TerminalOracle(Oracle):
    """Asks on `out`, reads from the descriptor `source`; the end of the input and `q` leave."""

    person = True

    def __init__(
        self,
        *,
        spec: SampleSpec,
        base: Path = Path(),
        seed: int = 0,
        play: str | None = None,
        annotator: str = "terminal",
        source: int | None = None,
        out: TextIO | None = None,
    ) -> None:
        """`base` and `seed` are what every oracle is given; a person needs neither."""
        self.annotator = annotator
        self._spec, self._out = spec, sys.stdout if out is None else out
        self._lines = Lines(0 if source is None else source)
        self._player = Player(play, self.notice) if play and spec.media == "melody" else None
        self._ansi = self._out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._prompted = False
        self._shown = ""
        self._helped = False
        self._undoable: deque[tuple[str, int]] = deque(maxlen=HISTORY)
        self._decided = Decided()

    # --- the promise

    async def ask(self, question: Question, waiting: int) -> Reply | None:
        try:
            await self._present(question, waiting)
            while True:
                self._prompt()
                entry = await self._entry(question.classes)
                reply = None if entry is None else await self._act(entry, question)
                if entry is None or entry.command == "q" or reply is not None:
                    return reply
        except asyncio.CancelledError:
            self._lines.discard()
            raise
        finally:
            if self._player is not None:
                await self._player.hush()

    async def rest(self) -> Reply | None:
        self._say(f"no question is open; waiting (answered {self._decided.answered}, saved {self._decided.saved})")
        while True:
            line = await self._lines.peek()
            if line is None:
                return None
            entry = parse(line, self._spec.classes)
            if not self._lines.interactive and entry.command in ("", "r", *PASSES):
                # A script's next answer: it belongs to the next question. Only a withdrawal or a question ends this.
                await asyncio.get_running_loop().create_future()
            await self._lines.take()
            if entry.command == "q":
                return None
            if entry.command == "u" and (reply := self._undo()) is not None:
                return reply
            if entry.command == "?":
                self._help()
            elif entry.command != "u":
                self._say("no question is open now: u undoes your last answer, q quits")

    async def receipt(self, receipt: AnswerReceipt) -> None:
        self._say(self._decided.receipt(receipt))

    def notice(self, text: str) -> None:
        self._say(text)

    def close(self) -> None:
        if self._player is not None:
            self._player.close()
        self._say(f"goodbye: {self._decided.answered} answered, {self._decided.saved} saved")

    # --- input

    async def _entry(self, classes: int) -> Entry | None:
        line = await self._lines.take()
        if self._prompted and not self._lines.interactive:
            self._write("\n")  # nobody typed the end of the line
        self._prompted = False
        return None if line is None else parse(line, classes)

    async def _act(self, entry: Entry, question: Question) -> Reply | None:
        """The reply that ends the asking, or None: ask on."""
        if entry.label is not None:
            return self._reply(question, Action.ANSWER, entry.label)
        if entry.command in PASSES:
            return self._reply(question, PASSES[entry.command], None)
        if entry.command == "u":
            return self._undo()
        if entry.command == "r":
            await self._replay(question)
        elif entry.command == "?":
            self._help()
        elif entry.wrong:
            self._say(entry.wrong)
        return None

    def _reply(self, question: Question, action: Action, value: int | None) -> Reply:
        what = action.value.replace("_", " ") if value is None else screen.named(value, self._spec.class_names)
        self._undoable.append((question.id, int(value is not None)))
        self._note(question.id, what, int(value is not None))
        return Reply(question.id, action, value)

    def _undo(self) -> Reply | None:
        if not self._undoable:
            self._say("there is nothing to undo")
            return None
        last, labels = self._undoable.pop()
        self._note(last, "undo", -labels)
        return Reply(last, Action.UNDO, None)

    def _note(self, question: str, what: str, labels: int) -> None:
        self._decided.note(question, what, labels)
        self._shown = ""

    async def _replay(self, question: Question) -> None:
        if self._player is None:
            self._show(question)
        else:
            await self._player.play(question.features)

    # --- output

    async def _present(self, question: Question, waiting: int) -> None:
        if question.id == self._shown:
            return
        self._shown = question.id
        self._say("")
        more = f"{waiting} more waiting, " if waiting else ""
        counts = f"{self._decided.answered} answered, {self._decided.saved} saved"
        self._say(f"--- {why_asked(question)}; {more}{counts}")
        self._show(question)
        if not self._helped:
            self._help()
        if self._player is not None:
            await self._player.play(question.features)

    def _show(self, question: Question) -> None:
        encoding = (self._out.encoding or "utf-8").lower().replace("-", "")
        blocks = screen.BLOCKS if encoding.startswith("utf") else screen.ASCII_BLOCKS
        for line in screen.picture(question.features, question.media, blocks):
            self._say(f"  {line}")

    def _help(self) -> None:
        self._helped = True
        self._say(f"labels: {screen.meaning(self._spec)}")
        if self._spec.media == "melody":
            self._say(screen.NOTATION)
        self._say("type a label and Enter; " + ", ".join(f"{key} {what}" for key, what in KEYS.items()))

    def _prompt(self) -> None:
        self._write(PROMPT)
        self._prompted = True

    def _say(self, text: str) -> None:
        """One line, above the prompt when there is one."""
        before = (CLEAR_LINE if self._ansi else "\n") if self._prompted else ""
        self._write(f"{before}{screen.printable(text)}\n{PROMPT if self._prompted else ''}")

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        try:
            self._out.write(text.encode(encoding, errors="replace").decode(encoding))
            self._out.flush()
        except OSError:  # the terminal is gone; the end of its input ends the asking
            self._go_silent()

    def _go_silent(self) -> None:
        """What is still buffered must not fail again when the interpreter flushes it at exit."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)
