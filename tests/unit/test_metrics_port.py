"""The metrics port over real sockets: what it tells, whom it refuses, and that nobody can keep it busy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from active_learner.core.measures import Histogram, Reading
from active_learner.errors import AddressInUse, Unreachable
from active_learner.services import metrics_port
from active_learner.services.metrics_port import CONNECTIONS, HEAD_BYTES, MetricsPort, is_loopback, judged

GET = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n"

Story = Callable[[int], Awaitable[None]]


def readings() -> Iterable[Reading]:
    times = Histogram((0.1, 1.0))
    times.observe(0.5)
    yield Reading("shed", ("telemetry",), 3.0)
    yield Reading("backlog_bytes", ('odd "name"\n',), 7.0)
    yield Reading("step_seconds", (), times)


def run(story: Story, read: Callable[[], Iterable[Reading]] = readings) -> None:
    async def told() -> None:
        port = MetricsPort("127.0.0.1", 0, read)
        url = await port.open()
        try:
            async with asyncio.timeout(20):
                await story(int(url.rsplit(":", 1)[1].removesuffix("/metrics")))
        finally:
            await port.close()
        await port.close()

    asyncio.run(told())


async def asked(port: int, said: bytes = GET) -> tuple[bytes, str]:
    """Status line and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body.decode()


def test_readings_come_as_prometheus_reads_them() -> None:
    async def story(port: int) -> None:
        status, body = await asked(port)
        assert status == b"HTTP/1.1 200 OK"
        found = {
            (one.name, tuple(one.labels.values())): one.value
            for family in text_string_to_metric_families(body)
            for one in family.samples
        }
        assert found["active_learner_shed_total", ("telemetry",)] == 3.0
        assert found["active_learner_backlog_bytes", ('odd "name"\n',)] == 7.0
        assert found["active_learner_step_seconds_bucket", ("1.0",)] == 1.0
        assert found["active_learner_step_seconds_sum", ()] == 0.5
        assert found["process_resident_memory_bytes", ()] > 1e6

    run(story)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200 OK"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "200 OK"),
        (b"GET /metrics HTTP/1.1\r\nHost: [::1]:9100\r\n\r\n", "200 OK"),
        (b"GET /secret HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example:9100\r\n\r\n", "403 Forbidden"),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "403 Forbidden"),
        (b"\xff\xfe\x00\r\n\r\n", "400 Bad Request"),
        (b"GET  /metrics  HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"\r\n\r\n", "400 Bad Request"),
    ],
)
def test_only_a_get_of_metrics_by_a_name_of_this_machine_is_answered(said: bytes, status: str) -> None:
    assert judged(said, True) == status


def test_behind_an_address_of_the_network_any_host_may_be_said() -> None:
    assert judged(b"GET /metrics HTTP/1.1\r\nHost: node7:9100\r\n\r\n", False) == "200 OK"
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("node7")


@pytest.mark.parametrize("junk", [b"A" * (3 * HEAD_BYTES), b"GET /metrics HT"], ids=["endless head", "cut off"])
def test_junk_costs_its_sender_the_connection_and_nobody_else(junk: bytes) -> None:
    async def story(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(junk)
        writer.write_eof()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert (await asked(port))[0].endswith(b"200 OK")

    run(story)


def test_idle_connections_do_not_keep_a_scraper_out() -> None:
    async def story(port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS + 4)]
        assert (await asked(port))[0].endswith(b"200 OK")
        for _, writer in idle:
            writer.transport.abort()

    run(story)


def test_a_slow_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "REQUEST_S", 0.05)

    async def story(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    run(story)


def test_who_asks_without_end_gets_the_same_text_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "FRESH_S", 60.0)
    looks: list[int] = []

    def read() -> Iterable[Reading]:
        looks.append(1)
        return ()

    async def story(port: int) -> None:
        for _ in range(20):
            await asked(port)
        assert len(looks) == 1

    run(story, read)


def test_a_port_in_use_and_an_address_that_is_not_ours_are_told() -> None:
    async def story(port: int) -> None:
        with pytest.raises(AddressInUse, match=rf"--metrics-port: 127.0.0.1:{port} is in use by .+; choose another"):
            await MetricsPort("127.0.0.1", port, readings).open()
        with pytest.raises(Unreachable, match=r"cannot serve metrics at 192\.0\.2\.1:0"):
            await MetricsPort("192.0.2.1", 0, readings).open()

    run(story)


def test_an_address_that_others_reach_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        port = MetricsPort("0.0.0.0", 0, readings)
        await port.open()
        await port.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert caplog.messages == ["metrics can be read by everybody who reaches 0.0.0.0"]
