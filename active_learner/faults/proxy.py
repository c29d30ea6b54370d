"""A proxy of bytes in front of one TCP port: cuts, blackholes, throttles and spoils what passes. Knows bytes; no message.

Faults are switched at any time, for all connections. What a link does about single messages is in fates.py: under
encryption a proxy cannot tell where one begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from random import Random

CHUNK_BYTES = 16 * 1024
"""Read at once: a throttled connection stutters no more than that allows."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: close sends RST."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TcpProxy:
    """`async with TcpProxy(host, port) as proxy: connect to 127.0.0.1:proxy.port`."""

    corrupt: float = 0.0
    """Share of the chunks in which one bit is flipped."""
    bytes_per_s: float | None = None
    """Of each direction of each connection; None: as fast as it goes."""

    def __init__(self, host: str, port: int, *, seed: int = 1, own_port: int = 0) -> None:
        """To `host`:`port`, which need not be there yet. `own_port` 0: a free one."""
        self._target, self._own_port = (host, port), own_port
        self._random = Random(f"{seed}/proxy")
        self.counters: Counter[str] = Counter()
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None  # start() comes first
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._own_port)

    async def close(self) -> None:
        """Every connection ends with it. Twice is once."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> TcpProxy:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- faults

    def cut(self) -> None:
        """Both ends of every connection get RST; new connections are taken."""
        self.counters["cut"] += len(self._writers) // 2
        for writer in list(self._writers):
            _reset(writer)
        self._writers.clear()

    def half_open(self) -> None:
        """Nothing passes any more and nobody is told, as when a cable is cut; `heal` lets it pass, late."""
        self._passing.clear()

    def heal(self) -> None:
        """No fault from now on. What was spoilt or cut stays so."""
        self._passing.set()
        self.corrupt, self.bytes_per_s = 0.0, None

    # --- bytes

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection(*self._target)
        except OSError:  # nobody is there: so says the proxy
            _reset(writer)
            return
        self.counters["connections"] += 1
        self._writers |= {writer, other_writer}
        for one in ((reader, other_writer), (other_reader, writer)):
            task = asyncio.create_task(self._carry(*one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until either side ends."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._passing.wait()
                writer.write(self._spoilt(chunk))
                await writer.drain()
                if self.bytes_per_s:
                    await asyncio.sleep(len(chunk) / self.bytes_per_s)
        self._writers.discard(writer)
        with contextlib.suppress(OSError):
            writer.close()

    def _spoilt(self, chunk: bytes) -> bytes:
        if self._random.random() >= self.corrupt:
            return chunk
        self.counters["corrupted"] += 1
        spoilt = bytearray(chunk)
        spoilt[self._random.randrange(len(spoilt))] ^= 1 << self._random.randrange(8)
        return bytes(spoilt)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    found = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
