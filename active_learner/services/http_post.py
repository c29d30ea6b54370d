"""One POST over HTTP/1.1. Knows one address and the head of the answer; follows nothing, retries nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEAD_BYTES = 16 * 1024
"""Of an answer; its body is not read."""


@dataclass(frozen=True, slots=True)
class Address:
    """Nothing but this is ever connected to; proxies of the environment are not asked."""

    host: str
    port: int
    authority: str
    path: str
    tls: ssl.SSLContext | None = field(repr=False)


def address_of(url: str) -> Address:
    """Raises: ValueError."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    port = parts.port or (443 if secure else 80)
    if not parts.hostname:
        raise ValueError("names no host")
    return Address(parts.hostname, port, parts.netloc, path, ssl.create_default_context() if secure else None)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after_s: float
    """0: it does not say."""


async def post(address: Address, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
    """`timeout_s` for all of it. Raises: OSError (TimeoutError among them), EOFError, ValueError."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.tls, limit=HEAD_BYTES)
        try:
            writer.write(_request(address, headers, body))
            await writer.drain()
            return _answer(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            raise ValueError("the head of its answer is too long") from None
        finally:
            writer.transport.abort()


def _request(address: Address, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {"Host": address.authority, **headers, "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {address.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _answer(head: bytes) -> Answer:
    """Raises: ValueError."""
    line, *fields = head.decode("latin-1").split("\r\n")
    version, _, rest = line.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit() and len(status) == 3):
        raise ValueError("it does not speak HTTP/1.1")
    told = (value.strip() for name, _, value in (one.partition(":") for one in fields) if name.lower() == "retry-after")
    seconds = next(told, "")
    return Answer(int(status), float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 else 0.0)
