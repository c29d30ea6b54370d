"""What services take from modules and not as an argument - chance, the wall clock, sockets, threads - replaced while a
simulation runs. Knows names; each stand-in belongs to the process in whose loop it is used."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

from active_learner.core.admission import FIRST_ROOM_KIND
from active_learner.core.records import RoundResult
from active_learner.services import engine_lane
from active_learner.services.run_files import RunFiles
from active_learner.simulator.clock import ProcessLoop
from active_learner.simulator.engine import read_checkpoint, write_checkpoint
from active_learner.transport.base import Frame
from protocol import codec
from protocol.envelope import Envelope, pack, peek
from protocol.messages import Message

WORK_S = 0.0005
DECODED = 4096
"""Messages of sessions that are kept as they were read, or written."""


def here() -> ProcessLoop:
    """The process that runs now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ProcessLoop)
    return loop


class Worker:
    """A source's thread: its jobs one after the other, each after a moment."""

    def __init__(self, loop: ProcessLoop, handle: Callable[[Any], None], fail: Callable[[BaseException], None]) -> None:
        self._loop, self._handle, self._fail = loop, handle, fail

    def do(self, job: Callable[[], Any]) -> None:
        self._loop.after(WORK_S, partial(self._run, job))

    def tell(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)

    def stop(self, last: Callable[[], None]) -> None:
        self.do(last)

    def _run(self, job: Callable[[], Any]) -> None:
        try:
            event = job()
        except Exception as error:  # of the source: ends its process, as in the real thread
            self._fail(error)
            return
        if event is not None:
            self._loop.call_soon(self._handle, event)


class Thread:
    """An executor of one thread, of which only the order matters."""

    def __init__(self, *_: object, **__: object) -> None:
        self._loop = here()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> None:
        self._loop.run_in_executor(self, work, *arguments)

    def shutdown(self, *_: object, **__: object) -> None:
        """There is nothing to shut down."""


class Meter:
    """A clock that shows, at every second look, what a piece of work takes in this process."""

    def __init__(self, loop: ProcessLoop) -> None:
        self._loop, self._shown, self._is_end = loop, 0.0, False

    def __call__(self) -> float:
        if self._is_end:
            self._shown += self._loop.seconds_of()
        self._is_end = not self._is_end
        return self._shown


def _lane() -> engine_lane.EngineLane:
    """It decides by its clock where a piece of work runs: in the loop or in a thread."""
    return engine_lane.EngineLane(Meter(here()))


class SilentFiles(RunFiles):
    """A line of metrics is a record on the trainer's disk; nobody reads the report."""

    def _write(self, result: RoundResult, predictions: Any) -> None:
        disk = self._folder.disk  # type: ignore[attr-defined]
        disk.append("metrics", result.round)

    async def report(self) -> str | None:
        return None


def decode_message(envelope: Envelope, frames: Sequence[Frame]) -> Message:
    """As protocol/codec.py, which reads each different message of a session once: two thirds of all are such repeats, cannot be
    changed, and come over wires that change nothing."""
    if envelope.kind >= FIRST_ROOM_KIND:
        return codec.decode_message(envelope, frames)
    known = _session_messages.get(key := (envelope.kind, bytes(frames[0][envelope.header_start :])))
    if known is None:
        if len(_session_messages) >= DECODED:
            _session_messages.clear()
        known = _session_messages[key] = codec.decode_message(envelope, frames)
    return known


def encode(message: Message, **options: Any) -> Sequence[Frame]:
    """As protocol/codec.py, which writes each different message of a session once."""
    if message.KIND >= FIRST_ROOM_KIND:
        return codec.encode(message, **options)
    header = _session_headers.get(message)
    if header is None:
        if len(_session_headers) >= DECODED:
            _session_headers.clear()
        (frame,) = codec.encode(message)
        header = _session_headers[message] = bytes(frame[peek(frame).header_start :])
    options.pop("limit", None)
    return [pack(message.KIND, header, **{"room": "", "session": 0, "sequence": 0, **options})]


_session_messages: dict[tuple[int, bytes], Message] = {}
_session_headers: dict[Message, bytes] = {}

_secrets = SimpleNamespace(
    token_hex=lambda size: here().random.randbytes(size).hex(),
    token_bytes=lambda size: here().random.randbytes(size),
    randbits=lambda bits: here().random.getrandbits(bits),
)
_os = SimpleNamespace(urandom=lambda size: here().random.randbytes(size))
_random = SimpleNamespace(
    uniform=lambda low, high: here().random.uniform(low, high),
    random=lambda: here().random.random(),
)
_time = SimpleNamespace(
    time=lambda: here().wall(),
    monotonic=lambda: here().time(),
    perf_counter=lambda: here().time(),
)

STANDINS: dict[tuple[str, str], Any] = {
    ("active_learner.peer", "secrets"): _secrets,
    ("active_learner.peer", "decode_message"): decode_message,
    ("active_learner.core.membership", "decode_message"): decode_message,
    ("active_learner.peer", "encode"): encode,
    ("active_learner.core.telling", "encode"): encode,
    ("active_learner.peer", "random"): _random,
    ("active_learner.services.broker", "secrets"): _secrets,
    ("active_learner.services.asking_shell", "time"): _time,
    ("active_learner.services.trainer", "os"): _os,
    ("active_learner.services.run_files", "time"): _time,
    ("active_learner.services.evaluator", "EngineLane"): _lane,
    ("active_learner.services.candidate_source", "_Worker"): Worker,
    ("active_learner.services.trainer", "RunFiles"): SilentFiles,
    ("active_learner.services.shell", "random"): _random,
    ("active_learner.services.dead_letters", "replace_file"): lambda path, content: path.write(content),
    ("active_learner.services.checkpoint_folder", "sync_folder"): lambda folder: None,
    ("active_learner.services.outbox_lane", "ThreadPoolExecutor"): Thread,
    ("active_learner.backends.base", "write_checkpoint"): write_checkpoint,
    ("active_learner.backends.base", "read_checkpoint"): read_checkpoint,
}


@contextmanager
def standing_in(link_to: Callable[..., Any], limits: dict[tuple[str, str], Any]) -> Iterator[None]:
    """All stand-ins in place, and the services' logs silent. `link_to`: a link of the simulated network. `limits`: of modules,
    for this run."""
    table = {**STANDINS, **limits, ("active_learner.peer", "link_to"): link_to}
    modules = {name: importlib.import_module(name) for name, _ in table}
    before = {place: getattr(modules[place[0]], place[1]) for place in table}
    was_disabled = logging.root.manager.disable
    for (name, attribute), standin in table.items():
        setattr(modules[name], attribute, standin)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(was_disabled)
        for (name, attribute), original in before.items():
            setattr(modules[name], attribute, original)
