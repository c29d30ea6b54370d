"""The trainer's state in one message. Knows both machines and who is here; says nothing by itself."""

from __future__ import annotations

from active_learner.core.asking import AskingMachine
from active_learner.core.records import RoundResult
from active_learner.core.training import TrainingMachine
from protocol.messages import Member, PeerAge, StatusReport

PEERS_SHOWN = 256
"""A broker has no more sessions by default; the protocol takes 1,024."""


class StatusBoard:
    """Collects what a status report shows."""

    def __init__(self, run: str, asking: AskingMachine, training: TrainingMachine) -> None:
        self._run, self._asking, self._training = run, asking, training
        self.last: RoundResult | None = None
        self._heard: dict[int, tuple[Member, float]] = {}
        self._rooms: dict[int, set[str]] = {}
        self._number = 0
        self._shown: tuple[object, ...] = ()

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
        plan = training.plans[-1] if training.plans else None
        own = {"stale_messages": training.stale, "re_sent": training.resent}
        return StatusReport(
            re=re,
            number=self._number,
            run=self._run,
            asking=asking.phase,
            training=training.phase,
            round=place.plan.round if place else (plan.round if plan else 0),
            epoch=place.epoch if place else 0,
            epochs=place.plan.epochs if place else 0,
            batch=place.batch if place else 0,
            batches=place.plan.batches_per_epoch if place else 0,
            step=training.applied,
            pool=len(asking.pool),
            pool_size=asking.rules.pool_size,
            open_questions=len(asking.batch.unanswered()),
            labels=len(asking.labeled),
            model_version=asking.model_version,
            accuracy=last.accuracy if last else None,
            loss=last.loss if last else None,
            text=self.words(at),
            counters=tuple(sorted({**asking.intake.counters, **own, **counters}.items())),
            peers=self._peers(at),
        )

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
        if training.phase == "syncing":
            return "waits for the evaluator"
        if asking.phase == "asking":
            labelers = len(asking.here.labelers)
            who = f"{labelers} labeler{'s' if labelers != 1 else ''}" if labelers else "a labeler (none is here)"
            return f"waits for {len(asking.batch.unanswered())} answers of {who}"
        if asking.phase == "collecting":
            missing = "" if asking.here.any_source else " (no source is here)"
            return f"collects candidates: {len(asking.pool)} of {asking.rules.pool_size}{missing}"
        return asking.phase
