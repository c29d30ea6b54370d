"""The full screen as a person uses it: keys pressed by a pilot, on a screen that nobody sees."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from active_learner.core.records import SampleSpec
from active_learner.oracles.base import Reply
from active_learner.oracles.full_screen import FullScreen, HeldLogs
from active_learner.oracles.keys import make_keys
from protocol.messages import Action, AnswerReceipt, Question
from tests.unit.long_sound import LongSound

PATIENCE_S = 60.0
TABLE = SampleSpec((2,), "float32", 3, "table", ("cat", "cow", "dog"))
MELODY = SampleSpec((128,), "uint8", 6, "melody")


def question(id: str, features: Any = (1.0, 2.0), media: str = "table", classes: int = 3, **fields: Any) -> Question:
    given = {"round": 2, "strategy": "margin", "score": 0.5, "rank": 1, "model_version": 0, "stale": False, "pool": 200}
    return Question(id=id, key="", features=np.asarray(features), media=media, classes=classes, **(given | fields))


def bare(reply: Reply | None) -> Reply | None:
    """What was decided, without how it came about."""
    return None if reply is None else replace(reply, circumstances="")


class Desk:
    """A full screen, a pilot, and what is asked of both."""

    def __init__(self, spec: SampleSpec = TABLE, size: tuple[int, int] = (80, 24), **settings: Any) -> None:
        seconds = iter(range(1_000_000))
        keys = make_keys(spec.classes, spec.class_names)
        self.oracle = FullScreen(spec=spec, keys=keys, headless=size, now=lambda: next(seconds), **settings)
        self.pilot: Pilot[None] = Pilot(self.oracle.app)

    async def asks(self, one: Question, waiting: int = 0) -> asyncio.Task[Reply | None]:
        asking = asyncio.create_task(self.oracle.ask(one, waiting))
        await self.shows("number 1")
        return asking

    async def presses(self, *keys: str) -> None:
        with self.oracle.app._context():
            await self.pilot.press(*keys)

    async def shows(self, *words: str) -> str:
        """The screen, when all the words are on it; the test's own time limit ends a wait for ever."""
        while not all(word in self.seen for word in words):
            await (self.pauses() if self.oracle.app.is_running else asyncio.sleep(0))
        return self.seen

    async def pauses(self) -> None:
        """The pilot may paint, which needs the app's own context."""
        with self.oracle.app._context():
            await self.pilot.pause()

    @property
    def seen(self) -> str:
        if not self.oracle.app.is_running or not self.oracle.app.screen_stack:
            return ""
        with self.oracle.app._context():
            strips = self.oracle.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in strips)


def at(desk: Callable[[], Desk], scene: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        one = desk()
        async with asyncio.timeout(PATIENCE_S):
            await scene(one)
            await one.oracle.leave()
        one.oracle.close()

    asyncio.run(run())


class TestASitting:
    def test_answer_change_undo_skip_and_leave(self, capsys: pytest.CaptureFixture[str]) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"), 4)
            await desk.shows("4 more waiting", "[0] cat  [1] cow  [2] dog", "1        2")
            await desk.presses("1")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 1)
            asking = await desk.asks(question("q2"), 3)
            await desk.shows("… sending   1 cow", "0 saved, 1 not saved yet")
            await desk.oracle.receipt(AnswerReceipt("a", "q1", "stored", ""))
            await desk.shows("✓ saved     1 cow", "1 answered, 1 saved; 3 more")
            await desk.presses("up", "enter")
            await desk.shows("You said 1 cow. Another answer changes it; Esc keeps it.")
            await desk.presses("2")
            assert bare(await asking) == Reply("q1", Action.REVISE, 2)
            asking = await desk.asks(question("q2"), 3)
            await desk.presses("backspace")
            assert bare(await asking) == Reply("q1", Action.UNDO, None)
            asking = await desk.asks(question("q1"), 4)
            await desk.presses("right")
            assert bare(await asking) == Reply("q1", Action.SKIP, None)
            asking = await desk.asks(question("q2"), 3)
            await desk.presses("minus")
            assert bare(await asking) == Reply("q2", Action.CANNOT_TELL, None)
            resting = asyncio.create_task(desk.oracle.rest())
            await desk.shows("No question is open", "cannot tell")
            await desk.presses("q")
            assert await resting is None
            assert not desk.oracle.app.is_running

        at(Desk, scene)
        assert capsys.readouterr().out == "goodbye: 0 answered, 1 saved\n"

    @pytest.mark.parametrize("key", ["ctrl+c", "ctrl+d", "ctrl+q", "q"])
    def test_each_of_these_leaves(self, key: str) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            await desk.presses(key)
            assert await asking is None

        at(Desk, scene)

    def test_a_withdrawn_question_leaves_the_screen_and_the_next_one_comes(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", (3.0, 4.0)))
            asking.cancel()
            desk.oracle.notice("the question was withdrawn: training starts")
            await asyncio.wait({asking})
            assert asking.cancelled()
            await desk.shows("No question is open", "the question was withdrawn: training starts")
            await desk.presses("1")
            asking = await desk.asks(question("q2", (5.0, 6.0)))
            await desk.presses("2")
            assert bare(await asking) == Reply("q2", Action.ANSWER, 2)

        at(Desk, scene)

    def test_why_this_one_is_shown_on_demand_and_what_the_network_thinks_is_not(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            assert "Why this one" not in desk.seen
            await desk.presses("w")
            await desk.shows("Why this one? Of 200 samples", "score 0.5, rank 1, strategy margin, model 0")
            await desk.presses("q")
            await asking

        at(Desk, scene)

    def test_pages_of_help_and_search(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            await desk.presses("question_mark")
            await desk.shows("Keys", "can't tell: never ask me again")
            await desk.presses("escape", "slash", "d", "o", "q")
            await desk.shows("/ doq_")
            await desk.presses("backspace")
            await desk.shows("2  dog")
            await desk.presses("enter")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 2)

        at(Desk, scene)


class TestTheScreen:
    def test_it_follows_the_size_of_the_terminal(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", np.zeros(128, np.uint8), "melody", 6))
            for columns, lines, bars in ((120, 40, 8), (44, 16, 4), (80, 24, 8), (30, 10, 4)):
                await desk.pilot.resize_terminal(columns, lines)
                row = "|".join(["C5 ", *["· · · · " if columns != 30 else "····"] * bars, " "])
                shown = (await desk.shows(row, "? help  q leave")).split("\n")
                assert (len(shown), max(map(len, shown))) == (lines, columns)
            await desk.presses("5")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 5)

        at(lambda: Desk(MELODY), scene)

    def test_a_long_text_is_scrolled_by_keys(self) -> None:
        text = "\n".join(f"line {number}" for number in range(100))

        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", np.frombuffer(text.encode(), np.uint8), "text"))
            await desk.shows("line 0 ", "line 5 ")
            await desk.presses("pagedown")
            assert "line 0 " not in await desk.shows("line 20 ")
            await desk.presses("pageup")
            await desk.shows("line 0 ")
            await desk.presses("0")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 0)

        at(Desk, scene)

    @pytest.mark.parametrize("payload", ["[red]x[/red] [bold", "[@click=app.bell]y[/]", "\x1b[2Jz", "$x [/]"])
    def test_what_a_candidate_says_is_text(self, payload: str) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", np.frombuffer(payload.encode(), np.uint8), "text"))
            await desk.shows(payload.replace("\x1b", "\\x1b"))
            desk.oracle.notice(payload)
            await desk.oracle.receipt(AnswerReceipt("a", "q1", payload, payload))
            await desk.presses("1")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 1)

        at(Desk, scene)

    def test_names_of_answers_are_text_too(self) -> None:
        spec = SampleSpec((2,), "float32", 2, "table", ("[red]a[/]", "b\x1b[2J"))

        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", classes=2))
            await desk.shows("[0] [red]a[/]  [1] b\\x1b[2J")
            await desk.presses("0")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 0)

        at(lambda: Desk(spec), scene)

    def test_a_melody_is_played_by_the_users_command_and_again_on_demand(self, tmp_path: Path) -> None:
        played = tmp_path / "played"
        command = f"{sys.executable} -c \"open({str(played)!r}, 'a').write('x')\""

        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", np.zeros(128, np.uint8), "melody", 6))
            for times in (1, 2):
                while not played.exists() or len(played.read_text()) < times:
                    await desk.pauses()
                if times == 1:
                    await desk.presses("space")
            await desk.presses("4")
            assert bare(await asking) == Reply("q1", Action.ANSWER, 4)

        at(lambda: Desk(MELODY, play=command), scene)

    def test_what_was_decided_is_not_lost_when_it_is_withdrawn_while_the_sound_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sound = LongSound(monkeypatch)

        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1", np.zeros(128, np.uint8), "melody", 6))
            await desk.presses("4")
            await sound.ends_behind(asking)
            assert bare(await asking) == Reply("q1", Action.ANSWER, 4)

        at(lambda: Desk(MELODY, play="true {}"), scene)


class TestTheEnd:
    def test_a_fault_gives_the_screen_back_and_is_raised_where_it_is_asked(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            desk.oracle.sitting.pressed = lambda key: 1 / 0  # type: ignore[method-assign, assignment, return-value]
            await desk.presses("1")
            with pytest.raises(ZeroDivisionError):
                await asking
            assert not desk.oracle.app.is_running

        at(Desk, scene)

    def test_a_terminal_that_is_gone_leaves(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            desk.oracle.app.panic()
            assert await asking is None

        at(Desk, scene)

    def test_after_the_end_it_is_told_in_plain_lines_and_nothing_is_asked(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            await desk.presses("1")
            await asking
            await desk.oracle.leave()
            desk.oracle.notice("not delivered yet\x1b[2J")
            await desk.oracle.receipt(AnswerReceipt("a", "q1", "stored", ""))

        at(Desk, scene)
        assert capsys.readouterr().out == "not delivered yet\\x1b[2J\nsaved: 1 cow\ngoodbye: 1 answered, 1 saved\n"

    def test_what_was_told_before_it_opened_is_on_it(self) -> None:
        async def scene(desk: Desk) -> None:
            desk.oracle.notice("1 answer of an earlier start had no receipt: sent again")
            asking = await desk.asks(question("q1"))
            await desk.shows("1 answer of an earlier start")
            await desk.presses("q")
            await asking

        at(Desk, scene)

    def test_the_loop_keeps_its_own_way_of_making_tasks(self) -> None:
        async def scene(desk: Desk) -> None:
            asking = await desk.asks(question("q1"))
            await desk.pauses()
            assert asyncio.get_running_loop().get_task_factory() is None
            await desk.presses("q")
            await asking

        at(Desk, scene)


class Terminal(io.StringIO):
    """A standard error that is a terminal, or is none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_one: bool = True) -> None:
        super().__init__()
        self._is_one = is_one
        self.handler = logging.StreamHandler(self)
        self.handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        monkeypatch.setattr(sys, "stderr", self)
        monkeypatch.setattr(logging.getLogger(), "handlers", [self.handler])

    def isatty(self) -> bool:
        return self._is_one


class TestLogs:
    def test_lines_are_held_while_the_screen_is_there_and_warnings_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stderr, told = Terminal(monkeypatch), list[str]()
        held, root = HeldLogs(told.append), logging.getLogger()
        held.stand_in()
        root.warning("the broker is away")
        root.error("it is back")
        assert (told, stderr.getvalue()) == (["the broker is away", "it is back"], "")
        held.stand_down()
        assert stderr.getvalue() == "WARNING the broker is away\nERROR it is back\n"
        assert root.handlers == [stderr.handler]

    def test_where_they_go_elsewhere_they_go_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stderr, held = Terminal(monkeypatch, is_one=False), HeldLogs(lambda text: None)
        held.stand_in()
        logging.getLogger().warning("to a file")
        assert stderr.getvalue() == "WARNING to a file\n"
        held.stand_down()


def test_no_colour_carries_a_meaning() -> None:
    """What is decided, sending, saved and refused differs in words."""
    from active_learner.oracles.views import SIGNS

    assert len({words.split()[1] for words in SIGNS.values()}) == len(SIGNS) == 4
    assert os.linesep == "\n"
