"""Who is here: sources, labelers, the evaluator. Knows presence and since when; decides nothing."""

from __future__ import annotations


class Attendance:
    """What presence says, as the asking machine needs it."""

    def __init__(self, at: float) -> None:
        self.labelers: set[str] = set()
        """Peers."""
        self.annotators = self.had = 0
        """People who are asked: several may sit at one peer, or none. Open questions that one of them has had already, at most."""
        self._sources: dict[int, bool] = {}
        self._evaluator_away_since: float | None = at

    def source(self, session: int) -> None:
        """It came, or spoke, or is told again to be here: if it was not known it has not ended."""
        self._sources.setdefault(session, False)

    def source_ended(self, session: int) -> None:
        """It is here, and has nothing more to propose."""
        self._sources[session] = True

    def source_left(self, session: int) -> None:
        self._sources.pop(session, None)

    def evaluator(self, here: bool, at: float) -> None:
        if here:
            self._evaluator_away_since = None
        elif self._evaluator_away_since is None:
            self._evaluator_away_since = at

    def evaluator_away_for(self, at: float) -> float:
        """Seconds; 0 when it is here."""
        return 0.0 if self._evaluator_away_since is None else at - self._evaluator_away_since

    @property
    def any_source(self) -> bool:
        return bool(self._sources)

    @property
    def sources_ended(self) -> bool:
        """There are sources, and none has more to propose."""
        return bool(self._sources) and all(self._sources.values())
