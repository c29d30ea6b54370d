"""Runs the machine that asks all the time where questions are nobody's: each open one is said to all labelers, and who answers
first is heard. Knows rooms and who is here; decides nothing about what is asked.
"""

from __future__ import annotations

import asyncio
from typing import Any

from active_learner.core import asking_events as told
from active_learner.core.records import RERANKED, AskedQuestion
from active_learner.services.asking_shell import AskingShell

AGAIN_S = 5.0
"""Open questions are said again: who missed one, or its closing, has it then."""


SHOWN = 2
"""The oldest open questions are on the screens, or their answers under way."""


class BroadcastShell(AskingShell):
    """Labelers show the oldest question first: TakeBack leaves it, and takes all others that have no answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open = {question.id: question for question in self.machine.unanswered()}
        self._passed: dict[str, set[str]] = {}
        self._again_at = 0.0
        self._does[told.OpenQuestions] = self._open_questions
        self._does[told.TakeBack] = self._take_back

    def handle(self, event: told.Event) -> None:
        super().handle(event)
        match event:
            case told.LabelerHere(here=True):
                self._send_questions(told.SendQuestions(self._said(), event.name))
            case told.AnswerStored() if event.event.question in self._open:
                self._answered(event)
            case told.Tick() if event.at >= self._again_at:
                self._again_at = event.at + AGAIN_S
                self._send_questions(told.SendQuestions(self._said(), ""))

    def _said(self) -> tuple[AskedQuestion, ...]:
        return tuple(self._open.values())

    def _answered(self, event: told.AnswerStored) -> None:
        question, action = event.event.question, event.event.action
        passed = self._passed.setdefault(question, set())
        if action == "undo":
            passed.discard(event.labeler)
        elif action in ("skip", "cannot_tell"):
            passed.add(event.labeler)
            if self.machine.here.labelers <= passed:
                self.handle(told.QuestionPassed(question, event.at))
        elif event.status in ("stored", "late"):
            self._close_questions(told.CloseQuestions((question,), "answered"))
            self.handle(told.QuestionResolved(question, event.at))

    def _open_questions(self, command: told.OpenQuestions) -> None:
        self._open.update((question.id, question) for question in command.questions)
        self._send_questions(told.SendQuestions(command.questions, ""))

    def _take_back(self, command: told.TakeBack) -> None:
        shown = list(self._open)[:SHOWN]
        ids = tuple(question for question in command.ids if question in self._open and question not in shown)
        self._close_questions(told.CloseQuestions(ids, RERANKED))
        self.handle(told.TakenBack(ids, asyncio.get_running_loop().time()))

    def _close_questions(self, command: told.CloseQuestions) -> None:
        for question in command.ids:
            self._open.pop(question, None)
            self._passed.pop(question, None)
        super()._close_questions(command)
