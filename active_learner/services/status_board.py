"""The trainer's state in one message. Knows the machines and who is here; says nothing by itself."""

from __future__ import annotations

from collections.abc import Iterator

from active_learner.core.asking_base import AskingBase
from active_learner.core.leasing import Leasing
from active_learner.core.measures import OF_PEERS, Reading, counted, gauge
from active_learner.core.records import RoundResult
from active_learner.core.training import TrainingMachine
from protocol.limits import MAX_ELEMENTS
from protocol.messages import Member, PeerAge, StatusReport

COUNTERS = (
    *(f"answers.{status}" for status in ("stored", "duplicate", "conflict", "late", "surplus", "unknown_question")),
    *(f"answers.{status}" for status in ("bad_value", "storage_full", "deferred", "quarantined")),
    *("wrong_role", "unhandled", "dead_letters", *OF_PEERS),
)
"""Shown from the start."""

PEERS_SHOWN = 256
"""A broker has no more sessions by default; the protocol takes 1,024."""


class StatusBoard:
    """Collects what a status report shows."""

    def __init__(self, run: str, asking: AskingBase, leasing: Leasing, training: TrainingMachine) -> None:
        self._run, self._asking, self._leasing, self._training = run, asking, leasing, training
        self.last: RoundResult | None = None
        self._heard: dict[int, tuple[Member, float]] = {}
        self._rooms: dict[int, set[str]] = {}
        self._number = 0
        self._held_back = 0
        self._shown: tuple[object, ...] = ()

    def ended(self, result: RoundResult) -> None:
        """A round is over; of one that was held back nothing is shown but that there was one."""
        if result.held_back:
            self._held_back += 1
        else:
            self.last = result

    def heard(self, session: int, at: float) -> None:
        """It said something."""
        if session in self._heard:
            self._heard[session] = (self._heard[session][0], at)

    def presence(self, room: str, member: Member, here: bool, at: float) -> None:
        """It came into a room or left one; who is in none of ours is not shown."""
        rooms = self._rooms.setdefault(member.session, set())
        if here:
            rooms.add(room)
            self._heard.setdefault(member.session, (member, at))
            return
        rooms.discard(room)
        if not rooms:
            self._rooms.pop(member.session)
            self._heard.pop(member.session, None)

    def changed(self) -> bool:
        """Something that a person watches is different from the last time this was asked."""
        asking, training = self._asking, self._training
        state = (
            asking.phase,
            training.phase,
            training.applied,
            len(asking.pool),
            len(asking.labeled),
            self._leasing.open,
            self._leasing.held,
            len(self._heard),
        )
        if state == self._shown:
            return False
        self._shown = state
        return True

    def report(self, re: str, at: float, counters: dict[str, int]) -> StatusReport:
        """`re` "" is telemetry."""
        asking, training, place, last = self._asking, self._training, self._training.place, self.last
        self._number += 1
        return StatusReport(
            re=re,
            number=self._number,
            run=self._run,
            asking=asking.phase,
            training=training.phase,
            round=self._round,
            epoch=place.epoch if place else 0,
            epochs=place.plan.epochs if place else 0,
            batch=place.batch if place else 0,
            batches=place.plan.batches_per_epoch if place else 0,
            step=training.applied,
            pool=len(asking.pool),
            pool_size=asking.rules.pool_size,
            open_questions=len(asking.unanswered()),
            held=self._leasing.held,
            labels=len(asking.labeled),
            model_version=asking.model_version,
            accuracy=last.accuracy if last else None,
            loss=last.loss if last else None,
            agreement=last.agreement if last else None,
            text=self.words(at),
            counters=tuple(sorted(self._counters(counters).items()))[:MAX_ELEMENTS],
            peers=self._peers(at),
        )

    @property
    def _round(self) -> int:
        training = self._training
        if training.place:
            return training.place.plan.round
        return training.plans[-1].round if training.plans else 0

    def _counters(self, others: dict[str, int]) -> dict[str, int]:
        training = self._training
        own = {"stale_messages": training.stale, "re_sent": training.resent}
        own |= {"refused_steps": training.refused, "rounds_held_back": self._held_back}
        return {**self._asking.intake.counters, **own, **others}

    def readings(self, counters: dict[str, int]) -> Iterator[Reading]:
        """The same as numbers, for the metrics port."""
        asking, training, last = self._asking, self._training, self.last
        yield from counted(self._counters(counters), *COUNTERS)
        yield from gauge("pool_samples", len(asking.pool))
        yield from gauge("unscored_batches", asking.intake.waiting)
        yield from gauge("open_questions", len(asking.unanswered()))
        yield from gauge("held_questions", self._leasing.held)
        yield from gauge("waiting_questions", self._leasing.waiting)
        yield from gauge("labels", len(asking.labeled))
        yield from gauge("round", self._round)
        yield from gauge("step", training.applied)
        yield from gauge("model_version", asking.model_version)
        yield from gauge("accuracy", last.accuracy if last else None)
        yield from gauge("loss", last.loss if last else None)
        yield from gauge("agreement", last.agreement if last else None)

    def _peers(self, at: float) -> tuple[PeerAge, ...]:
        """Those that spoke last, as many as a message takes."""
        latest = sorted(self._heard.values(), key=lambda known: -known[1])[:PEERS_SHOWN]
        return tuple(PeerAge(member.name, member.role, max(0.0, at - heard)) for member, heard in latest)

    def words(self, at: float) -> str:
        """What the run waits for."""
        asking, training = self._asking, self._training
        if training.phase == "halted":
            return f"training is halted: {training.halt_reason}"
        if training.phase not in ("idle", "syncing"):
            return f"{training.phase} step {training.applied + 1}"
        if training.phase == "syncing" or training.round_wanted:
            silent = training.stages.silent or training.stages.roles
            return f"waits for {' and '.join(silent)}" if len(training.stages.roles) > 1 else "waits for the evaluator"
        if asking.phase == "asking":
            labelers = len(asking.here.labelers)
            who = f"{labelers} labeler{'s' if labelers != 1 else ''}" if labelers else "a labeler (none is here)"
            return f"waits for {len(asking.unanswered())} answers of {who}"
        if asking.phase == "collecting":
            missing = "" if asking.here.any_source else " (no source is here)"
            return f"collects candidates: {len(asking.pool)} of {asking.rules.pool_size}{missing}"
        return asking.phase
