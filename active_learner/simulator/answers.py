"""A labeler's kept answers on a simulated disk, with the promise of durable/kept_answers.py. Knows answers and receipts."""

from __future__ import annotations

from active_learner.durable.files import SyncError
from active_learner.simulator.disk import SimulatedDisk
from protocol.messages import Answer

FILE = "answers"


class DiskAnswers:
    """Records: an answer, or (id, status) of its final receipt."""

    note = ""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._failed: SyncError | None = None
        self._answers: dict[str, tuple[Answer, str]] = {}
        for record in disk.read(FILE):
            if isinstance(record, Answer):
                self._answers[record.id] = (record, "")
            else:
                self._answers[record[0]] = (self._answers[record[0]][0], record[1])

    def all(self) -> list[tuple[Answer, str]]:
        return list(self._answers.values())

    def keep(self, answer: Answer) -> None:
        """Raises: OSError, with nothing kept."""
        if answer.id in self._answers:
            return
        if self._failed is not None:
            raise self._failed
        try:
            self._disk.append(FILE, answer)
        except SyncError as error:
            self._failed = error
            raise
        self._answers[answer.id] = (answer, "")

    def settle(self, id: str, status: str) -> None:
        """Not synced: a crash may lose it."""
        kept = self._answers.get(id)
        if kept is None or kept[1]:
            return
        self._answers[id] = (kept[0], status)
        self._disk.lines[FILE].records.append((id, status))

    def close(self) -> None:
        """There is nothing to give back."""
