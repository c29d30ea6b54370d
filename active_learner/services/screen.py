"""What `up` shows: the processes' lines and the progress, for a terminal, a file or a machine. Knows no process."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING

from active_learner.services import progress
from protocol.messages import StatusReport

if TYPE_CHECKING:
    from rich.live import Live

_COLOURS = {"broker": 34, "trainer": 32, "source": 33, "labeler": 36, "up": 1}
_OTHER_COLOUR = 35
_WIDTH = 9


class Screen(ABC):
    """Takes lines and reports, from the event loop's thread."""

    @abstractmethod
    def line(self, name: str, text: str) -> None:
        """A process said something."""

    @abstractmethod
    def report(self, report: StatusReport) -> None:
        """The trainer said where it stands."""

    def note(self, text: str) -> None:
        """`up` itself has something to say."""
        self.line("up", text)

    def close(self) -> None:
        """Give the terminal back."""
        return


class PlainScreen(Screen):
    """A line each, the process's name before it; the trainer's own line a round is progress enough."""

    def __init__(self, stream: IO[str], coloured: bool = False) -> None:
        self._stream, self._coloured = stream, coloured

    def line(self, name: str, text: str) -> None:
        for part in text.split("\n"):
            self._stream.write(f"{prefix(name, self._coloured)}{part}\n")
        self._stream.flush()

    def report(self, report: StatusReport) -> None:
        return


class JsonScreen(Screen):
    """A JSON object a line: a process's own with its name added, or {process, event}; of the progress, one a round."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._rounds = progress.Rounds()

    def line(self, name: str, text: str) -> None:
        try:
            found = json.loads(text)
        except ValueError:
            found = text
        fields = found if isinstance(found, dict) else {"event": text}
        self._stream.write(json.dumps({"process": name, **fields}) + "\n")
        self._stream.flush()

    def report(self, report: StatusReport) -> None:
        if self._rounds.finished(report):
            self.line("up", json.dumps({"event": "round", "at": time.time(), **progress.as_json(report)}))


class LiveScreen(Screen):
    """A terminal: lines scroll, the progress stays below them."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False)
        self._live: Live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    def line(self, name: str, text: str) -> None:
        from rich.text import Text

        for part in text.split("\n"):
            self._console.print(Text.from_ansi(prefix(name, True) + part), soft_wrap=True)

    def report(self, report: StatusReport) -> None:
        from rich.text import Text

        self._live.update(Text(progress.line(report), style="bold reverse", overflow="ellipsis", no_wrap=True))

    def close(self) -> None:
        self._live.stop()


def prefix(name: str, coloured: bool) -> str:
    """The name in its own colour, as wide as the others."""
    padded = f"{name:<{_WIDTH}}"
    return f"\033[{_COLOURS.get(name, _OTHER_COLOUR)}m{padded}\033[0m | " if coloured else f"{padded} | "
