"""The full screen's widgets. Knows textual, sizes and key events; what they mean is the sitting's."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import IO, Any, ClassVar, cast

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key, Resize
from textual.widgets import Static

from active_learner.oracles import views
from active_learner.oracles.base import Reply
from active_learner.oracles.drawing import drawing
from active_learner.oracles.sitting import Leave, Sitting

PARTS: dict[str, Callable[[Sitting], Text]] = {
    "head": views.head,
    "title": views.title,
    "why": views.why,
    "past": views.past,
    "notice": views.notice,
}
"""Name of the widget -> what is in it."""

ROWS_OF_KEYS: dict[str, Callable[[Sitting, int], Text]] = {"answers": views.answers, "commands": views.commands}
"""These are laid out for a width."""

COLOURFUL = ("256", "truecolor")
"""Terminals with fewer colours get a picture in shades of characters."""


class Stage(VerticalScroll):
    """It scrolls by keys of ours alone: its own would take those that answer. What is on it is drawn for its size."""

    can_focus = False

    def __init__(self, drawn: Callable[[], None]) -> None:
        super().__init__(id="stage")
        self._draw = drawn

    def on_resize(self) -> None:
        self._draw()


class LabelApp(App[None], inherit_bindings=False):
    """Shows a sitting; every key goes to it. `on_reply` gets what it makes of them, or None: the person leaves."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c,ctrl+q,ctrl+d", "leave", priority=True, show=False)]
    CSS = """
    Screen { layout: vertical; background: ansi_default; color: ansi_default; overflow: hidden; }
    Static { width: 100%; height: auto; background: ansi_default; }
    #head { text-style: reverse; height: 1; }
    #stage { height: 1fr; min-height: 3; padding: 0 1; scrollbar-size-vertical: 1; }
    #why, #answers { margin-top: 1; }
    #past, #notice { max-height: 3; }
    #notice { text-style: bold; }
    .small #past { display: none; }
    .small #answers { margin-top: 0; }
    .small #commands { max-height: 1; }
    """

    def __init__(
        self,
        sitting: Sitting,
        on_reply: Callable[[Reply | None], None],
        on_replay: Callable[[], None],
        driver: type[Driver] | None = None,
    ) -> None:
        super().__init__(driver_class=driver, ansi_color=True)
        self._sitting, self._on_reply, self._on_replay = sitting, on_reply, on_replay
        self._drawn: tuple[object, ...] = ()
        self._due = False
        self.when_ready: Callable[[], None] = lambda: None

    @property
    def fault(self) -> BaseException | None:
        """What ended the app, if it was not told to end. textual has no public name for it."""
        return self._exception

    def compose(self) -> ComposeResult:
        for name in ("head", "title"):
            yield Static(id=name, markup=False)
        with Stage(self.paint_stage):
            yield Static(id="sample", markup=False)
        for name in ("why", "answers", "past", "notice", "commands"):
            yield Static(id=name, markup=False)

    def on_mount(self) -> None:
        self._paint_all()

    def on_ready(self) -> None:
        self.when_ready()

    def on_resize(self, event: Resize) -> None:
        self.screen.set_class(event.size.height < 20, "small")
        self.call_after_refresh(self._paint_all)

    # --- keys

    def on_key(self, event: Key) -> None:
        event.stop()
        stage = self.query_one(Stage)
        if event.key in ("pageup", "pagedown"):
            (stage.scroll_page_up if event.key == "pageup" else stage.scroll_page_down)(animate=False)
            return
        self._press(_name(event))

    def _press(self, key: str) -> None:
        sitting = self._sitting
        if sitting.page != "find" and sitting.keys.command(key) == "replay":
            self._on_replay()
        try:
            reply = sitting.pressed(key)
        except Leave:
            self.action_leave()
            return
        if reply is not None:
            self._on_reply(reply)
        self._paint_all()

    def action_leave(self) -> None:
        self._on_reply(None)

    def action_suspend_process(self) -> None:
        """Ctrl-Z stops this process alone: where a launcher shares the terminal, it would wait for ever."""
        if os.getpgrp() == os.getpid():
            super().action_suspend_process()

    # --- the screen

    def paint(self) -> None:
        """Soon, in a turn of the app's own: its widgets can be used nowhere else. Nothing when it is not there."""
        if self.is_running and not self._due:
            self._due = self.call_later(self._paint_all)

    def _paint_all(self) -> None:
        """Nothing while the widgets are coming or going."""
        self._due = False
        with contextlib.suppress(NoMatches):
            self._paint()

    def _paint(self) -> None:
        for name, part in PARTS.items():
            self.query_one(f"#{name}", Static).update(part(self._sitting))
        for name, row in ROWS_OF_KEYS.items():
            self.query_one(f"#{name}", Static).update(row(self._sitting, self.size.width))
        self.query_one("#why").display = self._sitting.why
        asking = self._sitting.page == "question"
        self.query_one("#answers").display = asking
        self.query_one("#past").display = asking and bool(self._sitting.past)
        self.query_one("#notice").display = bool(self._sitting.notices)
        self._paint_stage()

    def paint_stage(self) -> None:
        with contextlib.suppress(NoMatches):
            self._paint_stage()

    def _paint_stage(self) -> None:
        sitting, stage = self._sitting, self.query_one(Stage)
        sample = self.query_one("#sample", Static)
        if sitting.page != "question":
            self._drawn = ()
            sample.update(views.page(sitting))
            return
        size = stage.scrollable_content_region.size
        shown = sitting.shown
        key = (None if shown is None else shown.id, size)
        if key == self._drawn:
            return
        if self._drawn[:1] != key[:1]:
            stage.scroll_home(animate=False)
        self._drawn = key
        colours = self._has_colours()
        sample.update("" if shown is None else drawing(shown.features, shown.media, size.width, size.height, colours))

    def _has_colours(self) -> bool:
        return not self.no_color and self.console.color_system in COLOURFUL

    def _print_error_renderables(self) -> None:
        """What went wrong is raised by the oracle, once and as everywhere."""
        self._exit_renderables.clear()


def _name(event: Key) -> str:
    """A character for itself, but for the space; other keys by textual's names."""
    character = event.character or ""
    return character if event.is_printable and character.strip() else event.key


class Gone:
    """A file whose terminal may be gone: who writes to it must not wait for ever for a thread that has failed."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()


class TerminalDriver(LinuxDriver):
    """On standard output: standard error belongs to the logs, and under a launcher it is a pipe."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        assert sys.__stdout__ is not None  # it is a terminal: at_terminal.py has looked
        self._file = cast(Any, Gone(sys.__stdout__))
