"""The tutorial's CSV file as a whole: one row a label, of two rows of a sample the last counts. Knows no events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from active_learner.core.records import Features, SampleSpec, content_key
from active_learner.durable.files import AppendFile, replace_file
from active_learner.errors import WrongStore
from active_learner.stores.tuple_rows import format_row, parse_row

Rated = tuple[Features, int]
"""A sample and its class."""


class LabelFile:
    """Read it once, then `rewrite` or `resume` before `append`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: AppendFile | None = None
        self.tidy = True
        """What was read is just what this class would have written."""

    def read(self, spec: SampleSpec, *, follows: bool = False) -> dict[str, Rated]:
        """By content key. A file that is not there is empty; a torn last line is left out. `follows`: a journal has all that we
        ever wrote here; then an end that no person can have written (a power cut leaves zeros or anything) is left out too.

        Raises: WrongStore, naming the line that cannot be read; OSError.
        """
        text = self._path.read_bytes().decode("utf-8", "replace") if self._path.exists() else ""
        lines = text.removeprefix("\ufeff").split("\n")
        self.tidy = not text.startswith("\ufeff")
        rows: dict[str, Rated] = {}
        for number, line in enumerate(lines, start=1):
            last = number == len(lines)
            row, problem = self._row(line, spec) if line.strip() else (None, "")
            if problem and not last:
                self.tidy = False
                if follows and _is_junk(lines[number - 1 :]):
                    break
                raise WrongStore(f"{self._path} line {number}: {problem}")
            if row is not None:
                rows[content_key(row[0])] = row
            as_written = line == "" if last else row is not None and f"{line}\n" == format_row(*row)
            self.tidy = self.tidy and as_written
        return rows

    def _row(self, line: str, spec: SampleSpec) -> tuple[Rated | None, str]:
        """The row, or why it cannot be read."""
        try:
            sample, value = parse_row(line, spec)
        except ValueError as error:
            return None, str(error)
        sample.setflags(write=False)
        return (sample, value), ""

    def resume(self) -> None:
        """Go on behind what was read. Raises: OSError."""
        self._file = AppendFile(self._path, self._path.stat().st_size if self._path.exists() else 0)

    def append(self, labels: Iterable[Rated]) -> None:
        """Returns when they are on the disk. Raises: OSError, with the file as it was."""
        assert self._file is not None, "rewrite or resume first"
        self._file.append("".join(format_row(*label) for label in labels).encode("ascii"))

    def rewrite(self, labels: Iterable[Rated]) -> None:
        """The file has just these labels. Raises: OSError, with the file as it was."""
        replace_file(self._path, "".join(format_row(*label) for label in labels).encode("ascii"))
        self.close()
        self.resume()

    def keep_copy(self) -> None:
        """As FILE.before. Raises: OSError."""
        replace_file(self._path.with_name(f"{self._path.name}.before"), self._path.read_bytes())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None


def _is_junk(lines: Sequence[str]) -> bool:
    """What was no text has replacement characters or others that nobody types; its first line may look well by chance."""
    return any(not line.replace("\t", "").strip().isprintable() or "\ufffd" in line for line in lines)
