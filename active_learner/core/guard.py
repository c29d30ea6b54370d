"""What is not allowed, and what follows. Knows keys' grants, strikes and budgets; not who is in which room.

Two kinds of offence: malformed messages always, messages without right only on a broker with keys. Without them a role is
what somebody says of himself: what it may not say is a mistake, and is refused each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from active_learner.core.admission import Limits, Session, problem_with
from active_learner.core.flood import Budget
from active_learner.core.rights import Grant, Rights, rights_of
from active_learner.core.strikes import Strikes
from active_learner.core.telling import Send, Speaker, answer
from protocol.errors import RefusalCode
from protocol.limits import shortened
from protocol.messages import Hello, Refused
from protocol.schema import KINDS

Problem = tuple[RefusalCode, str]

MAX_STRANGERS = 1024
"""Connections without session whose messages are counted; ZeroMQ never tells that one has ended."""


class Guard:
    """Refuses in words, counts, and remembers offenders.

    `grants`: what each public key may be; None: a broker without keys. `note` is told who is not heard any more, and why.
    """

    def __init__(
        self,
        grants: Mapping[str, Grant] | None,
        limits: Limits,
        counters: Counter[str],
        note: Callable[[str], None],
    ) -> None:
        self.grants, self._limits, self._counters, self._note = grants, limits, counters, note
        self.strikes = Strikes()
        self._budgets: dict[str, Budget] = {}
        self._strangers: dict[bytes, Budget] = {}

    # --- keys ------------------------------------------------------------------------------------------------------

    def knows(self, key: str) -> bool:
        """True when a session may begin with this key."""
        return self.grants is None or key in self.grants

    def rights(self, role: str) -> Rights:
        return rights_of(role, self.grants is not None)

    def budget(self, key: str, at: float) -> Budget:
        """Of a key, whatever connections it has; else of one session."""
        new = Budget(self._limits.rate_messages, self._limits.rate_bytes, at)
        return self._budgets.setdefault(key, new) if key else new

    def stranger(self, session: Session | None, connection: bytes, key: str, at: float) -> Budget:
        """What is said without a session, or under the number of another one, is counted too: it is answered all the same."""
        if session is not None and session.key == key:
            return session.budget
        if key:
            return self.budget(key, at)
        found = self._strangers.get(connection)
        if found is None:
            found = self._strangers[connection] = self.budget("", at)
            if len(self._strangers) > MAX_STRANGERS:
                del self._strangers[next(iter(self._strangers))]
        return found

    def replace(self, grants: Mapping[str, Grant]) -> set[str]:
        """From now on these are the keys. Returns those that are gone, or are now allowed something else."""
        before, self.grants = self.grants or {}, grants
        self._budgets = {key: budget for key, budget in self._budgets.items() if key in grants}
        return {key for key in before if before[key] != grants.get(key)}

    # --- what may not be -------------------------------------------------------------------------------------------

    def problem_with_hello(self, key: str, hello: Hello) -> Problem | None:
        if not self.knows(key):
            return RefusalCode.FORBIDDEN, "the key is not allowed here (any more)"
        return problem_with(hello, None if self.grants is None else self.grants[key])

    def problem_with_room(self, key: str, experiment: str, room: str) -> Problem | None:
        grant = None if self.grants is None else self.grants.get(key)
        text = "" if grant is None else grant.problem_with_room(experiment, room)
        return (RefusalCode.FORBIDDEN, text) if text else None

    def problem_with_kind(self, session: Session, kind: int, room: str) -> Problem | None:
        is_direct = room.startswith("@")
        if kind in (session.rights.direct if is_direct else session.rights.in_rooms):
            return None
        where = "directly" if is_direct else "in a room"
        return RefusalCode.FORBIDDEN, f"a {session.hello.role} does not say {KINDS[kind].__name__} {where}"

    # --- and what follows ------------------------------------------------------------------------------------------

    def refused(self, connection: bytes, code: RefusalCode, text: str, sequence: int) -> Send:
        self._counters[f"refused.{code}"] += 1
        return answer(connection, Refused(code, shortened(text)), sequence)

    def struck(self, speaker: Speaker, who: str, problem: Problem, sequence: int, at: float) -> tuple[Send, bool]:
        """An offence: what to say, and whether the offender is now cut off."""
        code, text = problem
        if code is RefusalCode.FORBIDDEN and self.grants is None:
            return self.refused(speaker.connection, code, text, sequence), False
        silent_s = self.strikes.struck(speaker.key or speaker.connection, at)
        if silent_s:
            self._counters["cut_off"] += 1
            whose = f" (key {speaker.key})" if speaker.key else ""
            self._note(f"{who}{whose} is not heard for {silent_s:g} s: the third offence, now {text}")
            text += f"; the third offence: not heard for {silent_s:g} s"
        return self.refused(speaker.connection, code, text, sequence), bool(silent_s)

    def flooded(self, session: Session, who: str, at: float) -> list[Send]:
        """Its message is dropped. REFUSED answers none in particular: a JOIN that was dropped is said again, not given up."""
        self._counters["flooded"] += 1
        dropped = session.budget.due(at)
        if not dropped:
            return []
        most = f"{self._limits.rate_messages} messages or {self._limits.rate_bytes} bytes a second"
        text = f"{dropped} messages were dropped: more than {most}"
        self._note(f"{who} says too much: {text}")
        return [self.refused(session.connection, RefusalCode.FLOOD, text, 0)]
