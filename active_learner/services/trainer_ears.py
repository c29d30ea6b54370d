"""What the trainer hears, from whom it counts, and which machine is told. Knows messages, rooms and roles; decides nothing.

The sender of a message is its session (the broker saw to that), and its role is the session's: a labeler that says
PROMOTED, or a source that says GRADIENT, is counted and not heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from active_learner.config.schema import Config
from active_learner.core import asking_events, training_events
from active_learner.errors import ActiveLearnerError, WrongStore
from active_learner.peer import Peer, Received
from active_learner.services.dead_letters import DeadLetters
from active_learner.services.leasing_shell import LeasingShell
from active_learner.services.status_board import StatusBoard
from active_learner.services.training_shell import LONGEST_TEXT_BYTES, TrainingShell
from protocol.errors import RefusalCode
from protocol.limits import shortened
from protocol.messages import (
    Answer,
    Candidates,
    Forward,
    Gradient,
    Lease,
    Member,
    Message,
    Position,
    Promoted,
    RoundsRequest,
    Scores,
    SourceEnded,
    Status,
    StatusRequest,
    StepRefused,
)

LOG = logging.getLogger(__name__)
SOURCE, LABELER = "source", "labeler"

SOURCES_KEPT = 256
"""Sources whose losses are remembered by name: as many as a broker has places."""


class TrainerEars:
    """Handlers of the peer's messages and presence."""

    def __init__(
        self,
        config: Config,
        peer: Peer,
        asking: LeasingShell,
        training: TrainingShell,
        board: StatusBoard,
        fail: Callable[[BaseException], None],
        dead_letters: DeadLetters | None = None,
        rounds_wanted: Callable[[Received], None] = lambda received: None,
    ) -> None:
        """`rounds_wanted`: somebody says ROUNDS_REQUEST."""
        self._rooms, self._stages = config.rooms, config.trainer.stages
        self._peer, self._asking, self._training, self._board, self._fail = peer, asking, training, board, fail
        self.counters: Counter[str] = Counter()
        self.also: Mapping[str, int] = {}
        """What others in this process count."""
        self._dead_letters, self._rounds_wanted = dead_letters, rounds_wanted
        self._present: tuple[Message, str] | None = None
        self._dropped: dict[str, int] = {}
        first, last = {self._stages[0]}, {self._stages[-1]}
        stages = set(self._stages)
        self._hears: dict[type[Message], tuple[set[str], Callable[[Any, Received], None]]] = {
            Forward: (last, self._forward),
            Gradient: (first, self._gradient),
            Position: (stages, self._position),
            Promoted: (stages, self._promoted),
            StepRefused: (stages, self._refusal),
            Scores: (last, self._scores),
            Candidates: ({SOURCE}, self._candidates),
            SourceEnded: ({SOURCE}, self._source_ended),
            Answer: ({LABELER}, self._answer),
            Lease: ({LABELER}, self._lease),
        }

    def heard(self, received: Received) -> None:
        """One message. Nothing that a peer says ends this process."""
        sender, message = received.sender, received.message
        self._board.heard(received.session, _now())
        if isinstance(message, StatusRequest):
            self._peer.reply(received, self._board.report(message.id, _now(), self.all_counters()))
            return
        if isinstance(message, RoundsRequest):
            self._rounds_wanted(received)
            return
        roles, hear = self._hears.get(type(message), (set(), None))
        if hear is None:
            return
        if sender is None or sender.role not in roles:
            self.counters["wrong_role"] += 1
            return
        if self._dead_letters is not None and self._dead_letters.is_dead(message):
            self.counters["dead_letters"] += 1
            return
        self._present = (message, sender.name)
        try:
            hear(message, received)
        except MemoryError:  # not the message's fault: ends the process (bounds.py), and another one takes over
            raise
        except Exception as error:  # a message that we cannot cope with: our bug, but its sender's message
            self.counters["unhandled"] += 1
            LOG.exception("a %s of %s could not be handled", type(message).__name__, sender.name)
            self.blame(error)
        finally:
            self._present = None

    def blame(self, error: BaseException) -> None:
        """Something failed; if a message is being handled, it was that. What a person is told in words is no message's fault."""
        is_of_message = not isinstance(error, ActiveLearnerError | MemoryError)
        if self._present is not None and self._dead_letters is not None and is_of_message:
            message, name = self._present
            self._dead_letters.blame(message, name, error)

    def all_counters(self) -> dict[str, int]:
        """Of the peer, of answers, and of what is not heard."""
        dropped = {"source_dropped": sum(self._dropped.values())} if self._dropped else {}
        return {**self._peer.counters, **self._asking.counters, **self.counters, **dropped, **self.also}

    # --- training

    def _forward(self, message: Forward, received: Received) -> None:
        if received.room != self._rooms.trainoutput:
            return
        if message.status is Status.VALIDATE:
            self._training.validation_heard(message.ticket, message.data, _now())
        elif message.status is Status.TRAIN:
            self._training.handle(training_events.PredictionHeard(message.term, message.step, message.data, _now()))

    def _gradient(self, message: Gradient, received: Received) -> None:
        if received.room == self._rooms.traininput:
            self._training.handle(training_events.AppliedHeard(message.term, message.step, _now()))

    def _position(self, message: Position, received: Received) -> None:
        event = training_events.PositionHeard(
            _role(received),
            message.term,
            message.applied,
            message.model_version,
            message.restorable,
            message.fused,
            message.width,
            message.why,
            _now(),
        )
        self._training.handle(event)

    def _promoted(self, message: Promoted, received: Received) -> None:
        event = training_events.PromotedHeard(_role(received), message.term, message.step, message.digest, _now())
        self._training.handle(event)

    def _refusal(self, message: StepRefused, received: Received) -> None:
        role, text = _role(received), shortened(message.text, LONGEST_TEXT_BYTES)
        if message.code == RefusalCode.WRONG_RUN:
            advice = "start another run with --new, or give the evaluator the checkpoints of this one"
            self._fail(WrongStore(f"{text}: {advice}"))
        elif message.code == RefusalCode.STALE_TERM:
            self._training.handle(training_events.Replaced(role, message.term, text, _now()))
        elif message.ticket and message.term == 0:  # of candidates, not of a step
            self._asking.handle(asking_events.ScoresRefused(message.ticket, f"{role}: {text}", _now()))
        else:
            text = f"{text} ({message.code})"
            self._training.handle(training_events.Refusal(role, message.term, message.step, text, _now()))

    # --- asking

    def _scores(self, message: Scores, _: Received) -> None:
        self._asking.scores_heard(message)

    def _candidates(self, message: Candidates, received: Received) -> None:
        if message.purpose == "propose":
            self._asking.candidates_heard(message, received.session, received.sender)

    def _source_ended(self, message: SourceEnded, received: Received) -> None:
        if message.dropped and (message.source in self._dropped or len(self._dropped) < SOURCES_KEPT):
            self._dropped[message.source] = message.dropped  # it says its sum again and again
        self._asking.handle(asking_events.SourceGone(received.session, True, _now()))

    def _answer(self, message: Answer, received: Received) -> None:
        assert received.sender is not None
        self._asking.answer_heard(message, received.sender.name, lambda receipt: self._peer.reply(received, receipt))

    def _lease(self, message: Lease, received: Received) -> None:
        assert received.sender is not None
        self._asking.lease_heard(message, received.sender.name, received.session)

    # --- who is here

    def all_again(self) -> None:
        """Everybody who is in the rooms: after the first join, and when a restarted broker knows us again."""
        for room in dict.fromkeys(self._rooms.model_dump().values()):
            for role in {*self._stages, SOURCE, LABELER}:
                for member in self._peer.present(room, role):
                    self.presence(room, member, True, "there already")

    def presence(self, room: str, member: Member, here: bool, why: str) -> None:
        at = _now()
        self._board.presence(room, member, here, at)
        if member.role in self._stages:
            self._evaluator(room, member, here, at)
        elif member.role == SOURCE and room == self._rooms.evolution:
            self._source(member, here, at)
        elif member.role == LABELER and room == self._rooms.user:
            self._asking.handle(asking_events.LabelerHere(member.name, here, at))

    def _evaluator(self, room: str, member: Member, here: bool, at: float) -> None:
        if room == self._rooms.traininput:
            joined = training_events.StageJoined if here else training_events.StageLeft
            self._training.handle(joined(member.role, at))
        elif room == self._rooms.evolution:
            self._asking.handle(asking_events.EvaluatorHere(here, at))

    def _source(self, member: Member, here: bool, at: float) -> None:
        if here:
            self._asking.handle(asking_events.SourceHere(member.session, at))
            return
        self._asking.handle(asking_events.SourceGone(member.session, False, at))
        self._asking.forget(member.session)


def _role(received: Received) -> str:
    """The sender's, not what it says of itself."""
    assert received.sender is not None
    return received.sender.role


def _now() -> float:
    return asyncio.get_running_loop().time()
