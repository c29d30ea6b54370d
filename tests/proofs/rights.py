"""Proof `rights`: real keys on a real broker; every role says every kind everywhere, then a hostile key says anything.

What counts is what a listener in all rooms hears: nothing that the table does not allow, and all that it does.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import ClassVar

from active_learner.bench.outcome import Goal
from active_learner.core.keys import Keys
from active_learner.core.rights import TABLE, Rights, rights_of
from active_learner.security.allow_list import AllowList, Entry
from active_learner.security.folder import KeyFolder
from active_learner.transport.zmq_curve import new_pair
from active_learner.transport.zmq_link import ZmqLink
from protocol.codec import decode, encode
from protocol.envelope import MAGIC, Envelope, inspect, pack
from protocol.errors import RemoteProtocolError
from protocol.messages import Control, Hello, Join, Joined, Message, Ping, Pong, Refused, Welcome
from protocol.schema import KINDS
from tests.broker_process import Process, broker
from tests.proofs.base import Proof, Say, Tally

ROLES = (*TABLE, "front")
TO_BROKER = frozenset({1, 4, 6, 10, 13})
"""HELLO, JOIN, LEAVE, PING, BYE: everybody's, and never relayed."""
KIND_NUMBERS = tuple(sorted({*KINDS, 0, 14, 15, 99, 255} - TO_BROKER))

JOINED, DIRECT = "digits/control", "@digits/listener-digits"
PLACES = (
    JOINED,
    "digits/user",  # it may join it, and has not
    "digits/evolution",  # its key may not join it
    "melody/control",
    DIRECT,
    "@digits/nobody",
    "@melody/listener-melody",
    "",
)
CASES = tuple(product(ROLES, PLACES, KIND_NUMBERS))
LISTENS = {"digits": ("digits/control", "digits/user", "digits/evolution"), "melody": ("melody/control",)}

BURST = 200
"""Messages of a hostile key: most of them after it was suspended, as a flooder's would be."""
HEARTBEATS = 20
"""Bursts between two looks at the honest peers."""
MEMORY_KIB = 256 * 1024
PATIENCE_S = 20.0


class Member:
    """A session on a bare link: no re-sends, nothing forgiven."""

    def __init__(self, address: str, keys: Keys) -> None:
        self.keys = keys
        self.link = ZmqLink(address, keys)
        self.heard: list[tuple[Envelope, list[bytes]]] = []
        self.session, self.sequence, self.offences = 0, 0, 0
        self._came = asyncio.Event()

    async def enter(self, experiment: str, rooms: Iterable[str]) -> None:
        await self.link.open(self._hear)
        name = self.keys.name
        welcome = await self.ask(Hello(1, 1, experiment, name, self.keys.role, False, name, "proof"))
        assert isinstance(welcome, Welcome), welcome
        self.session = welcome.session
        for room in rooms:
            joined = await self.ask(Join(room))
            assert isinstance(joined, Joined), joined

    def _hear(self, frames: list[memoryview]) -> None:
        self.heard.append((inspect(frames), [bytes(frame) for frame in frames]))
        self._came.set()

    async def send(self, frames: list[bytes]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.link.send(frames):  # noqa: ASYNC110 - a link tells nobody that it takes more
                await asyncio.sleep(0.001)

    async def ask(self, message: Message) -> Message:
        """The broker's answer."""
        self.sequence += 1
        number = self.sequence
        await self.send([bytes(frame) for frame in encode(message, session=self.session, sequence=number)])
        return await self.answer(number)

    async def answer(self, number: int) -> Message:
        def is_it(envelope: Envelope) -> bool:
            return envelope.sequence == number and envelope.session == 0

        return decode(await self.until(is_it)).message

    async def until(self, is_it: Callable[[Envelope], bool]) -> list[bytes]:
        """The first message heard, earlier or from now on, for which that is true."""
        seen = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for envelope, frames in self.heard[seen:]:
                    seen += 1
                    if is_it(envelope):
                        return frames
                self._came.clear()
                await self._came.wait()


class Place:
    """A broker with a list of many keys, the listeners, and a peer that says when all before it was heard."""

    def __init__(self, address: str, keys: dict[str, Keys], process: Process) -> None:
        self.address, self.keys, self.process = address, keys, process
        self.listeners: dict[str, Member] = {}
        self._spare = {role: [one for one in keys.values() if one.name.startswith(f"{role}-")] for role in ROLES}
        self._marks = 0

    async def open(self) -> None:
        for experiment, rooms in LISTENS.items():
            self.listeners[experiment] = Member(self.address, self.keys[f"listener-{experiment}"])
            await self.listeners[experiment].enter(experiment, rooms)
        self.marker = Member(self.address, self.keys["marker"])
        await self.marker.enter("digits", LISTENS["digits"])

    async def speaker(self, role: str) -> Member:
        """A session of a key that nobody has used."""
        member = Member(self.address, self._spare[role].pop())
        await member.enter("digits", (JOINED,))
        return member

    async def settled(self) -> None:
        """Returns when the listener has heard all that the broker took before."""
        self._marks += 1
        number = 10**6 + self._marks
        mark = encode(Control("all", "mark"), room=JOINED, session=self.marker.session, sequence=number)
        await self.marker.send([bytes(frame) for frame in mark])
        await self.listeners["digits"].until(lambda envelope: envelope.sequence == number)
        pong = await self.listeners["melody"].ask(Ping("x"))
        assert isinstance(pong, Pong)

    def memory_kib(self) -> int:
        status = Path(f"/proc/{self.process.popen.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0])

    async def close(self) -> None:
        for member in (*self.listeners.values(), self.marker):
            await member.link.close()


def made_keys(folder: KeyFolder, spare: dict[str, int]) -> dict[str, Keys]:
    """So many keys of each role, bound to rooms of one experiment, and those of the listeners; all on the list at once."""
    folder.new("first", "monitor", new_pair)  # makes the broker's own
    server, since = folder.broker_pair().public, datetime.now(UTC).isoformat()
    keys: dict[str, Keys] = {}
    entries: list[Entry] = []

    def make(name: str, role: str, experiments: tuple[str, ...] = (), rooms: tuple[str, ...] = ()) -> None:
        keys[name] = Keys(name, role, new_pair(), server)
        entries.append(Entry(name, role, keys[name].pair.public, since, None, None, experiments, rooms))

    for role, number in spare.items():
        for place in range(number):
            make(f"{role}-{place}", role, ("digits",), ("digits/control", "user"))
    for experiment in LISTENS:
        make(f"listener-{experiment}", "monitor")
    make("marker", "operator")
    folder.list_file.write_text(AllowList(entries).to_text(), encoding="utf-8")
    return keys


@asynccontextmanager
async def place_with(spare: dict[str, int]) -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory(prefix="rights-") as temporary:
        folder = KeyFolder(Path(temporary) / "keys")
        keys = made_keys(folder, spare)
        with broker("tcp://127.0.0.1:0", "--keys", str(folder.path)) as (process, address):
            place = Place(address, keys, process)
            await place.open()
            try:
                yield place
            finally:
                await place.close()


# --- the whole table ----------------------------------------------------------------------------------------------


async def whole_table(place: Place, tally: Tally) -> None:
    await asyncio.gather(*(one_role(place, role, tally) for role in ROLES))
    for role in ROLES:
        await forged(place, role, tally)
    await place.settled()


async def one_role(place: Place, role: str, tally: Tally) -> None:
    speaker = await place.speaker(role)
    said: dict[tuple[int, int], tuple[str, int]] = {}
    for room, kind in product(PLACES, KIND_NUMBERS):
        if speaker.offences == 2:  # the third would suspend the key, and hide what it may say
            await speaker.link.close()
            speaker = await place.speaker(role)
        speaker.sequence += 1
        said[speaker.session, speaker.sequence] = room, kind
        frame = pack(kind, b"\x80", room=room, session=speaker.session, sequence=speaker.sequence)
        await speaker.send([frame])
        pong = await speaker.ask(Ping("x"))
        assert isinstance(pong, Pong), pong
        speaker.offences += sum(is_offence(*heard) for heard in speaker.heard)
        speaker.heard.clear()
    await place.settled()
    await speaker.link.close()
    judge(place, role, said, tally)


def is_offence(envelope: Envelope, frames: list[bytes]) -> bool:
    if envelope.kind != Refused.KIND or envelope.session:
        return False
    refused = decode(frames).message
    return isinstance(refused, Refused) and refused.code in ("forbidden", "malformed")


def judge(place: Place, role: str, said: dict[tuple[int, int], tuple[str, int]], tally: Tally) -> None:
    """What was heard of what was said, against the table."""
    rights = rights_of(role, keyed=True)
    heard = {(envelope.session, envelope.sequence) for one in place.listeners.values() for envelope, _ in one.heard}
    for number, (room, kind) in said.items():
        allowed = {JOINED: rights.in_rooms, DIRECT: rights.direct}.get(room, frozenset())
        tally.count("relayed" if number in heard else "stopped")
        if (number in heard) != (kind in allowed):
            what = "escaped" if number in heard else "was stopped"
            tally.fail(f"kind {kind} of a {role} to {room!r} {what}")


async def forged(place: Place, role: str, tally: Tally) -> None:
    """A key says that it is somebody else, or wants a room that is not on its list."""
    own = place._spare[role].pop()
    other = "source" if role != "source" else "labeler"
    lies = (
        Hello(1, 1, "digits", own.name, other, False, "i", "proof"),
        Hello(1, 1, "melody", own.name, role, False, "i", "proof"),
        Hello(1, 1, "digits", "listener-digits", role, False, "i", "proof"),
    )
    for lie in lies:
        member = Member(place.address, place._spare[role].pop())
        await member.link.open(member._hear)
        tally.count("forged")
        answer = await member.ask(lie)
        if not (isinstance(answer, Refused) and answer.code == "forbidden"):
            tally.fail(f"a {role}'s key said {lie} and was told {answer}")
        await member.link.close()
    member = await place.speaker(role)
    for room in ("digits/evolution", "melody/control"):
        answer = await member.ask(Join(room))
        if not isinstance(answer, Refused):
            tally.fail(f"a {role}'s key joined {room}")
    await member.link.close()


# --- a hostile key ------------------------------------------------------------------------------------------------


class Hostile:
    """Says anything: kinds, rooms, sessions and sizes by chance, halves of messages, and what it has heard from others."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def message(self, speaker: Member, victims: list[int], rights: Rights) -> list[bytes]:
        draw = self._random
        if draw.randrange(2):  # what it may say: a key that only offends is silent after three messages
            room, kinds = draw.choice(((JOINED, rights.in_rooms), (DIRECT, rights.direct)))
            kind = draw.choice(sorted(kinds))
            return [pack(kind, draw.randbytes(9), room=room, session=speaker.session, sequence=draw.getrandbits(32))]
        kind = draw.choice((*KIND_NUMBERS, *TO_BROKER, draw.randrange(256)))
        session = draw.choice((speaker.session, speaker.session, 0, *victims, draw.getrandbits(63)))
        header = draw.choice((b"\x80", b"", b"\xc1", draw.randbytes(draw.choice((10, 500, 30_000)))))
        frame = pack(kind, header, room=draw.choice(PLACES), session=session, sequence=draw.getrandbits(32))
        way = draw.randrange(10)
        if way == 0:
            return [frame[: draw.randrange(len(frame))] or MAGIC]
        if way == 1:
            return [frame, *[draw.randbytes(draw.choice((0, 100, 70_000)))] * draw.randrange(1, 18)]
        if way == 2 and speaker.heard:
            return draw.choice(speaker.heard)[1]
        return [frame]


async def hostile(place: Place, number: int, seed: int, tally: Tally) -> None:
    attacker = Hostile(seed)
    sessions: dict[int, str] = {}
    victims = [place.marker.session, *(one.session for one in place.listeners.values())]
    left, burst = number, 0
    while left > 0:
        role = ROLES[burst % len(ROLES)]
        speaker = await place.speaker(role)
        sessions[speaker.session] = role
        for _ in range(min(BURST, left)):
            await speaker.send(attacker.message(speaker, victims, rights_of(role, keyed=True)))
        left -= BURST
        await speaker.link.close()
        burst += 1
        if burst % HEARTBEATS == 0 or left <= 0:
            await place.settled()
            escapes(place, sessions, set(victims), tally)
    tally.count("hostile messages", number)
    tally.measured("broker KiB", place.memory_kib())


def escapes(place: Place, sessions: dict[int, str], honest: set[int], tally: Tally) -> None:
    """All that the listeners heard since the last look: of the broker, of honest peers, or allowed to who said it."""
    for experiment, listener in place.listeners.items():
        for envelope, frames in listener.heard:
            role = sessions.get(envelope.session)
            if role is None and envelope.session not in {0, *honest}:
                tally.fail(f"{experiment} heard session {envelope.session}, which nobody has")
            if role is not None:
                tally.count("hostile relayed")
                rights = rights_of(role, keyed=True)
                allowed = {JOINED: rights.in_rooms, DIRECT: rights.direct}.get(envelope.room, frozenset())
                if envelope.kind not in allowed:
                    tally.fail(f"kind {envelope.kind} of a hostile {role} to {envelope.room!r} escaped")
            if envelope.session in honest and not _is_mark(frames):
                tally.fail(f"something was heard in the name of session {envelope.session}")
        listener.heard.clear()


def _is_mark(frames: list[bytes]) -> bool:
    try:
        return decode(frames).message == Control("all", "mark")
    except RemoteProtocolError:
        return False


class RightsProof(Proof):
    title: ClassVar[str] = "rights: every role, room and kind with real keys, and a hostile key that says anything"
    unit: ClassVar[str] = "messages"
    short: ClassVar[int] = len(CASES)
    long: ClassVar[int] = 1_000_000
    chunk: ClassVar[int] = 50_000
    timeout_s: ClassVar[float] = 600.0

    def run(self, units: int, seed: int, say: Say) -> Tally:
        tally = Tally()
        attacks = max(0, units - len(CASES))
        asyncio.run(_run(attacks, seed, tally))
        say(", ".join(f"{name} {number:,}" for name, number in sorted(tally.counts.items())))
        return tally

    def goals(self, total: Tally, units: int) -> list[Goal]:
        met = total.counts["relayed"] + total.counts["stopped"] >= len(CASES)
        found = [Goal("every role, room and kind", f"{total.counts['relayed'] + total.counts['stopped']:,}", met)]
        if "broker KiB" in total.highest:
            most = total.highest["broker KiB"]
            found.append(Goal("broker below 256 MiB", f"{most / 1024:.0f} MiB", most < MEMORY_KIB))
        return found


async def _run(attacks: int, seed: int, tally: Tally) -> None:
    each = len(PLACES) * len(KIND_NUMBERS) // 2 + 10 + attacks // BURST // len(ROLES)
    async with place_with(dict.fromkeys(ROLES, each)) as place:
        await whole_table(place, tally)
        for listener in place.listeners.values():
            listener.heard.clear()
        if attacks:
            await hostile(place, attacks, seed, tally)
