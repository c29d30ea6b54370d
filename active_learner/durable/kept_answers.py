"""The answers of one annotator in a file, until the trainer has them. Knows answers, receipts and the file; sends nothing.

Two kinds of lines in a journal: an answer, and `{"settled": id, "status": ...}`. One process writes to a file at a time. Settled
answers are dropped when there are many, but for the last, whose questions and revisions the next process must know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from active_learner.crash_points import reach
from active_learner.durable import journal
from active_learner.durable.files import SyncError
from active_learner.durable.journal import Form, Journal
from active_learner.durable.lock import WriterLock
from active_learner.errors import StoreError, WrongStore
from protocol.messages import Action, Answer

REMEMBERED = 1000
"""Settled answers that are kept at least; as many as core/answering.py remembers."""

FULL = 3 * REMEMBERED
"""Answers in the file, settled or not, at which the settled ones are dropped; as nobody is asked any more at 1000 without
receipt, the file stays below 12 MiB."""


class KeptAnswers:
    """The file, from its opening to `close`. Used from one thread at a time, not necessarily the one that opened it."""

    def __init__(self, path: Path) -> None:
        """Raises: StoreLocked (another process of this annotator), WrongStore (damaged), StoreError (cannot be made)."""
        self._path = path
        self.note = ""
        """For the person: what could not be read."""
        self._failed: OSError | None = None
        self._answers: dict[str, tuple[Answer, str]] = {}
        self._lock = WriterLock(path)
        try:
            self._journal = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> Journal:
        try:
            forms, length, digest = journal.read(self._path)
            self._answers.update(_answers(forms))
            self._note_tail(length)
            return Journal(self._path, length, digest)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        except (TypeError, KeyError, ValueError) as error:
            raise WrongStore(
                f"{self._path} has lines that are no answers ({error}): another program's file?"
            ) from error

    def _note_tail(self, length: int) -> None:
        """A kill in the middle of a write leaves a piece that nobody was told was safe; damage of the last lines looks alike."""
        bad = self._path.stat().st_size - length if self._path.exists() else 0
        if bad:
            name = self._path.name
            self.note = f"{self._path}: the last {bad} bytes cannot be read and are kept in {name}.torn"

    def all(self) -> list[tuple[Answer, str]]:
        """In the order in which they were kept, each with the status of its final receipt, or ""."""
        return list(self._answers.values())

    def keep(self, answer: Answer) -> None:
        """Returns when it is on the disk. One that is there already is left. Raises: OSError, with nothing kept; after a
        SyncError for ever, because a second fsync would say that all is well."""
        if answer.id in self._answers:
            return
        if self._failed is not None:
            raise self._failed
        reach("labeler.outbox_before_fsync")
        try:
            self._journal.append(_form(answer))
        except SyncError as error:
            self._failed = error
            raise
        reach("labeler.outbox_after_fsync")
        self._answers[answer.id] = (answer, "")

    def settle(self, id: str, status: str) -> None:
        """It has its final receipt; an id that is not there is ignored. When this is lost, the answer is sent once more and
        the receipt says so: it need not be safe, only soon."""
        kept = self._answers.get(id)
        if kept is None or kept[1]:
            return
        self._answers[id] = (kept[0], status)
        try:
            self._journal.append({"settled": id, "status": status}, synced=False)
            reach("labeler.outbox_settled")
            if len(self._answers) >= FULL:
                self._drop_settled()
        except SyncError as error:  # what is kept from now on might not be found again
            self._failed = error
        except OSError:  # a full disk: it is only said once more
            return

    def _drop_settled(self) -> None:
        settled = [answer.id for answer, status in self._answers.values() if status]
        dropped = set(settled[:-REMEMBERED])
        kept = {name: one for name, one in self._answers.items() if name not in dropped}
        reach("labeler.outbox_before_compaction")
        self._journal.rewrite(_forms(kept.values()))
        self._answers = kept

    def close(self) -> None:
        self._journal.close()
        self._lock.release()


def _forms(answers: Iterable[tuple[Answer, str]]) -> Iterator[Form]:
    for answer, status in answers:
        yield _form(answer)
        if status:
            yield {"settled": answer.id, "status": status}


def _form(answer: Answer) -> Form:
    return {
        "id": answer.id,
        "question": answer.question,
        "annotator": answer.annotator,
        "revision": answer.revision,
        "action": answer.action.value,
        "value": answer.value,
        "at": answer.at,
        "circumstances": answer.circumstances,
    }


def _answers(forms: Iterable[Form]) -> dict[str, tuple[Answer, str]]:
    found: dict[str, tuple[Answer, str]] = {}
    for form in forms:
        if "settled" in form:
            found[form["settled"]] = (found[form["settled"]][0], form["status"])
        else:
            answer = Answer(**{**form, "action": Action(form["action"])})
            found[answer.id] = (answer, "")
    return found
