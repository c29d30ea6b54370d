"""The terminal annotator: what is typed, what is shown; on a real pseudo-terminal, in a pipe, and from a file."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import pty
import stat
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from active_learner.core.records import SampleSpec
from active_learner.oracles.base import Reply
from active_learner.oracles.lines import Lines
from active_learner.oracles.player import Player
from active_learner.oracles.terminal import PROMPT, Entry, TerminalOracle, parse
from protocol.messages import Action, AnswerReceipt, Question
from tests.unit.long_sound import LongSound

PATIENCE_S = 30.0
SPEC = SampleSpec((2,), "float32", 6)
MELODY = SampleSpec((128,), "uint8", 6, "melody")
Result = TypeVar("Result")


def question(id: str, features: Any = (1.0, 2.0), media: str = "table", classes: int = 6, **fields: Any) -> Question:
    given = {"round": 2, "strategy": "margin", "score": 0.5, "rank": 1, "model_version": 0, "stale": False, "pool": 200}
    given |= fields
    return Question(id=id, key="", features=np.asarray(features), media=media, classes=classes, **given)


class TestWhatIsTyped:
    @pytest.mark.parametrize("line", ["0", "5", " 3 ", "03"])
    def test_a_number_within_the_classes_is_a_label(self, line: str) -> None:
        assert parse(line, 6) == Entry(label=int(line))

    @pytest.mark.parametrize("line", ["s", "-", "u", "r", "q", "?", " Q "])
    def test_commands(self, line: str) -> None:
        assert parse(line, 6) == Entry(command=line.strip().lower())

    @pytest.mark.parametrize("line", ["6", "-1", "3.0", "nan", "1e400", "True", "9" * 5000, "٣", "x"])
    def test_anything_else_is_told_with_what_is_allowed(self, line: str) -> None:
        wrong = parse(line, 6).wrong
        assert wrong.startswith(repr(line[:40]).replace("٣", "٣"))
        assert wrong.endswith("is not a label: allowed are 0 to 5, or s - u r ? q")

    def test_nothing(self) -> None:
        assert parse("  ", 6).wrong.startswith("nothing was typed")


class Person:
    """Sits at the other end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.out = os.fdopen(os.dup(self.slave), "w", encoding="utf-8")
        self.seen = ""
        self._read_to = 0

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    async def sees(self, text: str) -> None:
        """Wait until `text` appears after what was seen before."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()

        def read() -> None:
            self.seen += os.read(self.master, 65536).decode()
            arrived.set()

        loop.add_reader(self.master, read)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while text not in self.seen[self._read_to :]:
                    arrived.clear()
                    await arrived.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} did not appear in {self.seen[self._read_to :]!r}") from None
        finally:
            loop.remove_reader(self.master)
        self._read_to = self.seen.index(text, self._read_to) + len(text)

    def close(self) -> None:
        self.out.close()
        for descriptor in (self.master, self.slave):
            os.close(descriptor)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    monkeypatch.setenv("TERM", "xterm")
    one = Person()
    yield one
    one.close()


def at_terminal(person: Person, scene: Callable[[TerminalOracle], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        given = {"spec": SPEC} | settings
        oracle = TerminalOracle(source=person.slave, out=person.out, **given)
        async with asyncio.timeout(PATIENCE_S):
            await scene(oracle)
        oracle.close()

    asyncio.run(run())


class TestAtATerminal:
    def test_who_cannot_tell_says_so(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 0))
            await person.sees(PROMPT)
            person.type("-\n")
            assert await asking == Reply("q1", Action.CANNOT_TELL, None)
            await oracle.receipt(AnswerReceipt("a", "q1", "stored", ""))
            await person.sees("noted that you can't tell")

        at_terminal(person, scene)

    def test_label_wrong_input_skip_undo_and_quit(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 4))
            await person.sees("round 2, number 1, by margin, score 0.5; 4 more waiting")
            await person.sees(PROMPT)
            person.type("7\n")
            await person.sees("'7' is not a label: allowed are 0 to 5")
            await person.sees(PROMPT)
            person.type("3\n")
            assert await asking == Reply("q1", Action.ANSWER, 3)
            asking = asyncio.ensure_future(oracle.ask(question("q2"), 3))
            await person.sees("3 more waiting, 1 answered, 0 saved")
            await person.sees(PROMPT)
            person.type("u\n")
            assert await asking == Reply("q1", Action.UNDO, None)
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 4))
            await person.sees("0 answered")
            await person.sees(PROMPT)
            person.type("s\n")
            assert await asking == Reply("q1", Action.SKIP, None)
            asking = asyncio.ensure_future(oracle.ask(question("q2"), 3))
            await person.sees(PROMPT)
            person.type("q\n")
            assert await asking is None

        at_terminal(person, scene)

    def test_nothing_to_undo_and_help(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 0))
            await person.sees("s skip it, - can't tell: never ask me again, u undo your last answer")
            await person.sees(PROMPT)
            person.type("u\n")
            await person.sees("there is nothing to undo")
            person.type("?\n")
            await person.sees("labels: 0 to 5")
            person.type("r\n")
            await person.sees("       1        2")
            person.type("\n")
            await person.sees("nothing was typed")
            person.type("0\n")
            assert await asking == Reply("q1", Action.ANSWER, 0)

        at_terminal(person, scene)

    def test_saved_is_said_after_the_receipt_and_the_prompt_comes_again(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            person.type("3\n")
            await oracle.ask(question("q1"), 1)
            asking = asyncio.ensure_future(oracle.ask(question("q2"), 0))
            await person.sees("1 answered, 0 saved")
            await person.sees(PROMPT)
            assert "saved: 3" not in person.seen
            await oracle.receipt(AnswerReceipt("a", "q1", "stored", ""))
            await person.sees("saved: 3 tree\r\n" + PROMPT)
            asking.cancel()
            await asyncio.wait({asking})

        at_terminal(person, scene, spec=SampleSpec((2,), "float32", 6, "table", ("a", "b", "c", "tree", "e", "f")))

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("conflict", "refused: an earlier reply"),
            ("late", "saved, though the question had been closed: 3"),
            ("unknown_question", "refused: the trainer does not know this question"),
            ("bad_value", "refused: the trainer does not allow this label: 3 (0 to 5)"),
            ("storage_full", "not saved yet: the trainer cannot write now"),
        ],
    )
    def test_a_refused_answer_is_told_in_words(self, person: Person, status: str, words: str) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            person.type("3\n")
            await oracle.ask(question("q1"), 1)
            await oracle.receipt(AnswerReceipt("a", "q1", status, "0 to 5"))
            await person.sees(words)

        at_terminal(person, scene)

    def test_while_nothing_is_open_one_can_undo_or_quit_but_not_answer(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            person.type("3\n")
            await oracle.ask(question("q1"), 1)
            resting = asyncio.ensure_future(oracle.rest())
            await person.sees("no question is open")
            person.type("4\n")
            await person.sees("no question is open now: u undoes")
            person.type("u\n")
            assert await resting == Reply("q1", Action.UNDO, None)
            resting = asyncio.ensure_future(oracle.rest())
            await person.sees("no question is open")
            person.type("q\n")
            assert await resting is None

        at_terminal(person, scene)

    def test_what_was_typed_for_a_withdrawn_question_answers_no_other(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 1))
            await person.sees(PROMPT)
            person.type("3")
            await person.sees("3")
            asking.cancel()
            await asyncio.wait({asking})
            oracle.notice("the question was withdrawn: timed_out")
            asking = asyncio.ensure_future(oracle.ask(question("q2"), 0))
            await person.sees("withdrawn")
            await person.sees(PROMPT)
            person.type("\n")
            await person.sees("nothing was typed")
            person.type("5\n")
            assert await asking == Reply("q2", Action.ANSWER, 5)

        at_terminal(person, scene)

    def test_a_terminal_that_goes_away_is_the_end(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 1))
            await person.sees(PROMPT)
            os.close(person.master)
            person.master = os.open(os.devnull, os.O_RDONLY)
            assert await asking is None

        at_terminal(person, scene)

    def test_the_end_of_input_typed_as_control_d_quits(self, person: Person) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q1"), 1))
            await person.sees(PROMPT)
            person.type("\x04")
            assert await asking is None

        at_terminal(person, scene)


class TestWithoutATerminal:
    def test_a_file_of_answers(self, tmp_path: Path) -> None:
        (tmp_path / "answers.txt").write_text("1\n9\n2")
        descriptor, out = os.open(tmp_path / "answers.txt", os.O_RDONLY), io.StringIO()

        async def run() -> list[Reply | None]:
            oracle = TerminalOracle(spec=SPEC, source=descriptor, out=out)
            return [await oracle.ask(question(f"q{i}"), 0) for i in range(3)]

        assert [reply and reply.value for reply in asyncio.run(run())] == [1, 2, None]
        os.close(descriptor)
        assert "'9' is not a label" in out.getvalue()
        assert "\x1b" not in out.getvalue()

    def test_a_piped_answer_waits_for_its_question(self) -> None:
        reader, writer = os.pipe()

        async def run() -> Reply | None:
            oracle = TerminalOracle(spec=SPEC, source=reader, out=io.StringIO())
            os.write(writer, b"4\n")
            resting = asyncio.ensure_future(oracle.rest())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not resting.done()
            resting.cancel()
            await asyncio.wait({resting})
            return await asyncio.wait_for(oracle.ask(question("q"), 0), PATIENCE_S)

        assert asyncio.run(run()) == Reply("q", Action.ANSWER, 4)
        os.close(reader)
        os.close(writer)

    def test_the_end_of_the_pipe_is_noticed_while_resting(self) -> None:
        reader, writer = os.pipe()
        os.close(writer)

        async def run() -> Reply | None:
            return await asyncio.wait_for(
                TerminalOracle(spec=SPEC, source=reader, out=io.StringIO()).rest(), PATIENCE_S
            )

        assert asyncio.run(run()) is None
        os.close(reader)

    def test_a_line_without_end_is_cut_not_collected(self) -> None:
        reader, writer = os.pipe()

        async def run() -> str | None:
            lines = Lines(reader)
            task = asyncio.ensure_future(lines.take())
            for _ in range(8):
                os.write(writer, b"x" * 4096)
                await asyncio.sleep(0)
            os.write(writer, b"\n1\n")
            first = await asyncio.wait_for(task, PATIENCE_S)
            assert len(first or "") == 4096
            return await lines.take()

        assert asyncio.run(run()) == "1"
        os.close(reader)
        os.close(writer)

    def test_a_screen_that_knows_only_ascii_gets_ascii(self) -> None:
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        reader, writer = os.pipe()
        os.write(writer, b"q\n")

        async def run() -> None:
            oracle = TerminalOracle(spec=SPEC, source=reader, out=out)
            await oracle.ask(question("q", [[0, 1], [3, 4]], "image"), 0)
            oracle.notice("世界")

        asyncio.run(run())
        assert b"  **##\n" in raw.getvalue()
        assert b"??\n" in raw.getvalue()
        os.close(reader)
        os.close(writer)


def test_the_notation_of_melodies_is_explained(person: Person) -> None:
    async def scene(oracle: TerminalOracle) -> None:
        asking = asyncio.ensure_future(oracle.ask(question("q", np.zeros(128, np.uint8), "melody"), 0))
        await person.sees("- the note is held, . pause; | ends a bar")
        person.type("?\n")
        await person.sees("- the note is held, . pause; | ends a bar")
        person.type("1\n")
        await asking

    at_terminal(person, scene, spec=MELODY)


class TestPlaying:
    """The player is a script that writes down how it was called and then plays until it is stopped."""

    @pytest.fixture
    def player(self, tmp_path: Path) -> str:
        script = tmp_path / "play er"
        script.write_text(
            f"#!{sys.executable}\nimport signal, sys\n"
            f"print(sys.argv[1:], open(sys.argv[-1], 'rb').read(4), file=open({str(tmp_path / 'log')!r}, 'a'), flush=True)\n"
            "open(sys.argv[1], 'w').write('playing') if sys.argv[1].endswith('fifo') else None\nsignal.pause()\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        os.mkfifo(tmp_path / "fifo")
        return f"'{script}' {tmp_path / 'fifo'} {{}}"

    def test_a_melody_is_played_and_stops_with_the_answer(self, person: Person, player: str, tmp_path: Path) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q", np.zeros(128, np.uint8), "melody"), 0))
            assert await asyncio.to_thread((tmp_path / "fifo").read_text) == "playing"
            await person.sees(PROMPT)
            process = oracle._player._process  # type: ignore[union-attr]
            person.type("r\n")
            assert await asyncio.to_thread((tmp_path / "fifo").read_text) == "playing"
            assert process is not None
            assert process.returncode is not None
            process = oracle._player._process  # type: ignore[union-attr]
            person.type("2\n")
            assert await asking == Reply("q", Action.ANSWER, 2)
            assert process is not None
            assert process.returncode is not None

        at_terminal(person, scene, spec=MELODY, play=player)
        lines = (tmp_path / "log").read_text().splitlines()
        assert len(lines) == 2
        assert all("b'RIFF'" in line for line in lines)
        wavs = [Path(line.split("'")[3]) for line in lines]
        assert [wav.name for wav in wavs] == ["melody-1.wav", "melody-2.wav"]
        assert not any(wav.exists() or wav.parent.exists() for wav in wavs)

    def test_what_was_decided_is_not_lost_when_it_is_withdrawn_while_the_sound_ends(
        self, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sound = LongSound(monkeypatch)

        async def scene(oracle: TerminalOracle) -> None:
            asking = asyncio.ensure_future(oracle.ask(question("q"), 0))
            await person.sees(PROMPT)
            person.type("2\n")
            await sound.ends_behind(asking)
            assert await asking == Reply("q", Action.ANSWER, 2)

        at_terminal(person, scene, spec=MELODY, play="true {}")

    def test_each_playing_has_a_file_of_its_own_and_few_are_kept(self, tmp_path: Path) -> None:
        async def run() -> list[str]:
            player = Player("sleep 60; {}", print)
            for _ in range(5):
                await player.play(np.zeros(128, np.uint8))
            assert player._folder is not None
            found = sorted(os.listdir(player._folder.name))
            player.close()
            return found

        assert asyncio.run(run()) == ["melody-3.wav", "melody-4.wav", "melody-5.wav"]

    def test_a_player_that_is_killed_or_just_ended_leaves_no_word_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def run() -> None:
            for command in ("sleep 60", "true"):
                player = Player(f"sh -c '{command}'", print)
                await player.play(np.zeros(128, np.uint8))
                player.close()
                await asyncio.sleep(0)

        asyncio.run(run(), debug=False)
        gc.collect()
        assert caplog.records == []

    @pytest.mark.parametrize("command", ["/no/such/player {}", "'unclosed", "false", "''"])
    def test_a_player_that_fails_is_told_once_and_ends_nothing(self, person: Person, command: str) -> None:
        async def scene(oracle: TerminalOracle) -> None:
            for number in range(2):
                melody = question(f"q{number}", np.zeros(128, np.uint8), "melody")
                asking = asyncio.ensure_future(oracle.ask(melody, 0))
                if number == 0:
                    await person.sees("the melody cannot be played by")
                await person.sees(PROMPT)
                person.type("1\n")
                assert await asking == Reply(f"q{number}", Action.ANSWER, 1)

        at_terminal(person, scene, spec=MELODY, play=command)
        assert person.seen.count("cannot be played") == 1
