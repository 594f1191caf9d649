"""Traces of ``addonkit serve`` as an operator starts it: several workers, the end of a process, a lost collector."""

from __future__ import annotations

import asyncio
import signal

import httpx2
import pytest

from tests.support.collector import collecting
from tests.support.served import configure, serving, until

ON = {"tracing": True}
COUNT = 40


async def ask(served, count=COUNT):
    """Send requests, each on a connection of its own, so that all workers get some."""
    for _ in range(count):
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"{served.url}/atlassian-connect.json")
            assert answer.status_code == 200


@pytest.mark.postgresql
@pytest.mark.parametrize("server", ["hypercorn", "granian"])
async def test_spans_of_each_worker_arrive_by_its_end(tmp_path, server):
    configure(tmp_path, operations=ON)
    with collecting() as collector:
        options = ["--workers", "2", "--server", server]
        async with serving(tmp_path, *options, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as served:

            async def both_have_answered():
                await ask(served, 10)
                served.sent = getattr(served, "sent", 0) + 10
                return len(collector.by_process()) == 2

            await until(both_have_answered, 60)
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
            assert "Traceback" not in served.errors()
    names = [name for found in collector.by_process().values() for name in found]
    assert names.count("GET /atlassian-connect.json") == served.sent


async def test_spans_that_wait_are_sent_when_the_process_ends(tmp_path):
    configure(tmp_path, operations=ON)
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
        async with serving(tmp_path, **variables) as served:
            await ask(served)
            assert collector.spans() == []
            served.send(signal.SIGTERM)
            assert await served.ended() == 0
    assert len(collector.spans()) == COUNT


async def test_process_ends_although_the_collector_is_lost(tmp_path):
    configure(tmp_path, operations=ON)
    # It accepts connections and never answers.
    accepted = []
    server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="3600000") as served:
            await ask(served)
            served.send(signal.SIGTERM)
            assert await served.ended(within_s=20) == 0
            assert [line["event"] for line in served.log() if "tracing" in line["event"]] == ["tracing.not_flushed"]
            assert "Traceback" not in served.errors()
        assert accepted
        for writer in accepted:
            writer.close()
            await writer.wait_closed()


async def test_start_without_a_usable_environment_says_what_to_set(tmp_path):
    configure(tmp_path, operations=ON)
    async with serving(tmp_path, ready=False, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") as served:
        assert await served.ended() == 1
        assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'" in served.errors()
