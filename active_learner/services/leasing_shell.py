"""Runs the leasing machine beside an asking machine: what one commands is an event of the other, and labelers are told by name.

Knows the wire of questions and leases; decides nothing (core/leasing.py and the asking machines do).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from active_learner.core import asking_events as told
from active_learner.core import leasing_events as leases
from active_learner.core.leasing import Leasing
from active_learner.services.asking_shell import AskingShell
from active_learner.services.pump import Pump
from protocol.messages import Lease, Leased, Question, QuestionClosed


class LeasingShell(AskingShell):
    """As an AskingShell, and `leasing`."""

    def __init__(self, *given: Any, leasing: Leasing, **options: Any) -> None:
        super().__init__(*given, **options)
        self.leasing = leasing
        self._people = (0, 0)
        self._leases = Pump(leasing, self._do_of_leases, options["outside"].fail)
        self._does |= {
            told.OpenQuestions: lambda command: self._tell(leases.QuestionsOpened(command.questions, _now())),
            told.TakeBack: lambda command: self._tell(leases.TakeBackWanted(command.ids, _now())),
            told.CloseQuestions: lambda command: self._tell(leases.QuestionsClosed(command.ids, command.why, _now())),
        }
        self._does_of_leases: dict[type[Any], Callable[[Any], None]] = {
            leases.SayQuestion: self._say_question,
            leases.SayLeased: self._say_leased,
            told.CloseQuestions: self._close_questions,
            **dict.fromkeys(
                (told.QuestionResolved, told.QuestionPassed, told.QuestionReopened, told.TakenBack), self.handle
            ),
        }

    def handle(self, event: told.Event) -> None:
        """What was said is first heard where leases are: what is opened anew because of it is open to whoever said it."""
        match event:
            case told.AnswerStored():
                self._tell(event)
            case told.LabelerHere(here=False):
                self._tell(leases.PeerLeft(event.name, event.at))
        super().handle(event)

    def look_at_clock(self, at: float) -> None:
        """For what is due in either machine. The first time, all can be heard that others say."""
        self.handle(told.Tick(at))
        self._tell(told.Tick(at))

    def lease_heard(self, message: Lease, labeler: str, session: int) -> None:
        """`labeler`: the peer that said it."""
        place = (message.annotator, labeler, session)
        self._tell(leases.LeaseAsked(*place, message.wants, message.holds, message.gives, _now()))

    def _tell(self, event: leases.Event) -> None:
        self._leases.handle(event)
        people = (self.leasing.people, self.leasing.had)
        if people != self._people:
            self._people = people
            self.handle(told.AnnotatorsHere(people[0], _now(), people[1]))

    def _do_of_leases(self, command: leases.Command) -> None:
        self._does_of_leases[type(command)](command)

    # --- commands

    def _say_question(self, command: leases.SayQuestion) -> None:
        question = command.question
        message = Question(
            id=question.id,
            key=question.key,
            features=question.features,
            media=self._spec.media,
            classes=self._spec.classes,
            round=question.round,
            strategy=question.strategy,
            score=question.score,
            rank=question.rank,
            model_version=question.model_version,
            stale=question.stale,
            pool=question.pool,
            annotator=command.annotator,
            asked_at=question.asked_at,
        )
        self._say(f"@{command.peer}", message)

    def _say_leased(self, command: leases.SayLeased) -> None:
        held = (command.annotator, command.holds)
        self._say(f"@{command.peer}", Leased(*held, self.leasing.lease_s, command.waiting, command.why))

    def _close_questions(self, command: told.CloseQuestions) -> None:
        async def close() -> None:
            await self._book.close_questions(command.ids, command.why)
            for question in command.ids:
                self._say(self._user, QuestionClosed(question, command.why))

        self._spawn(close())


def _now() -> float:
    return asyncio.get_running_loop().time()
