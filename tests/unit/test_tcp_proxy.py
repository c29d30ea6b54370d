"""The proxy of bytes: what passes, and each of its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from active_learner.faults.proxy import CHUNK_BYTES, TcpProxy

WORD = b"what is said comes back\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
    writer.close()


@asynccontextmanager
async def house(seed: int = 1) -> AsyncIterator[tuple[TcpProxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """An echo, a proxy in front of it, and a connection through both."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with TcpProxy("127.0.0.1", server.sockets[0].getsockname()[1], seed=seed) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield proxy, reader, writer
        writer.close()
    server.close()


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await story()

    asyncio.run(bounded())


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes = WORD) -> bytes:
    writer.write(word)
    return await reader.readexactly(len(word))


def test_without_faults_every_byte_passes() -> None:
    async def story() -> None:
        async with house() as (_, reader, writer):
            large = bytes(range(256)) * 1000
            assert await said(reader, writer, large) == large

    run(story)


def test_a_cut_resets_every_connection_and_takes_new_ones() -> None:
    async def story() -> None:
        async with house() as (proxy, reader, writer):
            assert await said(reader, writer) == WORD
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                await said(reader, writer)
            assert proxy.counters["cut"] == 1
            again = await asyncio.open_connection("127.0.0.1", proxy.port)
            assert await said(*again) == WORD
            again[1].close()

    run(story)


def test_half_open_nothing_passes_and_nobody_is_told_until_it_heals() -> None:
    async def story() -> None:
        async with house() as (proxy, reader, writer):
            assert await said(reader, writer) == WORD
            proxy.half_open()
            waiting = asyncio.create_task(said(reader, writer))
            done, _ = await asyncio.wait({waiting}, timeout=0.2)
            assert not done
            proxy.heal()
            assert await waiting == WORD

    run(story)


def test_corrupt_flips_one_bit_of_a_piece_and_a_seed_flips_the_same_again() -> None:
    async def story() -> None:
        spoilt = []
        for _ in range(2):
            async with house(seed=5) as (proxy, reader, writer):
                proxy.corrupt = 0.5
                spoilt.append([await said(reader, writer) for _ in range(20)])
                assert proxy.counters["corrupted"] > 0
        assert spoilt[0] == spoilt[1]
        flips = [sum((one ^ two).bit_count() for one, two in zip(WORD, word, strict=True)) for word in spoilt[0]]
        assert set(flips) == {0, 1, 2}  # on the way there, and on the way back

    run(story)


def test_a_throttled_connection_takes_its_time() -> None:
    async def story() -> None:
        async with house() as (proxy, reader, writer):
            proxy.bytes_per_s = 200_000
            began = asyncio.get_running_loop().time()
            await said(reader, writer, bytes(4 * CHUNK_BYTES))
            assert asyncio.get_running_loop().time() - began > 3 * CHUNK_BYTES / 200_000

    run(story)


def test_where_nobody_listens_a_connection_ends() -> None:
    async def story() -> None:
        async with TcpProxy("127.0.0.1", 1) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            with pytest.raises(ConnectionResetError):
                await said(reader, writer)

    run(story)
