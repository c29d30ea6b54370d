"""Serves a process's readings as Prometheus text over HTTP. Knows one path and how to refuse; measures nothing.

It runs in the event loop of the service, so that it reads what the loop alone writes. Whoever connects costs a bounded
amount: a short head, a short time, few connections, and a text that is made anew at most five times a second.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from active_learner.core.measures import MEASURES, PREFIX, Histogram, Kind, Reading, added_up
from active_learner.errors import AddressInUse, Unreachable
from active_learner.transport.ports import holder_of

HEAD_BYTES = 8 * 1024
"""Of a request: a scraper sends 200."""

REQUEST_S = 5.0
"""For a request and its answer; then the connection is cut."""

CONNECTIONS = 16
"""At once; one more costs the oldest its place, so that idle ones keep nobody out."""

FRESH_S = 0.2
"""A text is good for that long: whoever asks without end must not take the loop's time."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"

LOG = logging.getLogger(__name__)

Read = Callable[[], Iterable[Reading]]


class MetricsPort:
    """http://HOST:PORT/metrics. There are no keys: whoever reaches the port may read."""

    def __init__(self, host: str, port: int, read: Read) -> None:
        self._host, self._port = host, port
        self._text = Exposition(read)
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}

    async def open(self) -> str:
        """Bind; returns the URL. Raises: AddressInUse, Unreachable."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=HEAD_BYTES)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Unreachable(f"cannot serve metrics at {self._host}:{self._port}: {error}") from None
            by = holder_of(self._port) or "another process"
            raise AddressInUse(
                f"--metrics-port: {self._host}:{self._port} is in use by {by}; choose another (0: a free one)"
            ) from None
        if not is_loopback(self._host):
            LOG.warning("metrics can be read by everybody who reaches %s", self._host)
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}/metrics"

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS:
            next(iter(self._open)).transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            del self._open[writer]

    def _answer(self, head: bytes) -> bytes:
        status = judged(head, is_loopback(self._host))
        if status != "200 OK":
            return _response(status, "text/plain", f"{status}\n".encode())
        return _response(status, TEXT, self._text.at(asyncio.get_running_loop().time()))


class Exposition:
    """The text of all readings, as prometheus_client writes it; that is imported with the first port."""

    def __init__(self, read: Read) -> None:
        from prometheus_client import CollectorRegistry
        from prometheus_client.process_collector import ProcessCollector

        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(read))
        ProcessCollector(registry=self._registry)
        self._made_at = float("-inf")
        self._text = b""

    def at(self, time: float) -> bytes:
        from prometheus_client.exposition import generate_latest

        if time - self._made_at >= FRESH_S:
            self._text, self._made_at = generate_latest(self._registry), time
        return self._text


class _Collector:
    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Any]:
        for name, values in added_up(self._read()).items():
            family = _family(name)
            for labels, value in values.items():
                if isinstance(value, Histogram):
                    family.add_metric(labels, value.cumulative(), value.total)
                else:
                    family.add_metric(labels, value)
            yield family


def _family(name: str) -> Any:
    from prometheus_client import core

    measure = MEASURES[name]
    kinds = {
        Kind.COUNTER: core.CounterMetricFamily,
        Kind.GAUGE: core.GaugeMetricFamily,
        Kind.HISTOGRAM: core.HistogramMetricFamily,
    }
    return kinds[measure.kind](PREFIX + name, measure.words, labels=measure.labels)


def judged(head: bytes, only_loopback: bool) -> str:
    """The status that a request deserves. `only_loopback`: a page in a browser that was led here by a name of its own (DNS
    rebinding) says that name as Host, and is refused."""
    request, *fields = head.decode("latin-1").split("\r\n")
    parts = request.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return "400 Bad Request"
    if parts[0] != "GET":
        return "405 Method Not Allowed"
    hosts = [value.strip() for name, _, value in (one.partition(":") for one in fields) if name.lower() == "host"]
    if len(hosts) > 1 or (only_loopback and not all(is_loopback(_without_port(host)) for host in hosts)):
        return "403 Forbidden"
    return "200 OK" if parts[1].partition("?")[0] in ("/", "/metrics") else "404 Not Found"


def _without_port(host: str) -> str:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.strip("[]")


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
