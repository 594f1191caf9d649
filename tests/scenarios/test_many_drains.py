"""SIGTERM while requests of all kinds are in progress: everything is answered, and no line of the log is an error."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import orjson
import pytest
from addonkit.testing.databases import database_settings

from tests.support.mixed_load import DISTRIBUTION, MixedLoad, mixed_load, prepare, simulated_host
from tests.support.process_group import ProcessGroup, free_ports, until_served
from tests.support.served import until

pytestmark = pytest.mark.crash

CLIENTS = {"page": 4, "updated": 4, "commented": 2, "created": 4, "install": 1}
ACKNOWLEDGED = 100
DRAIN_S, STOP_S, LONG_STOP_S = 1, 4, 40
LEVELS = ("error", "critical")


async def send(load: MixedLoad, data: bytes) -> asyncio.StreamWriter:
    """Open a connection and send something."""
    host, _, port = load.address.removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    return writer


async def idle(load: MixedLoad) -> asyncio.StreamWriter:
    return await send(load, b"")


async def kept_after_a_response(load: MixedLoad) -> asyncio.StreamWriter:
    return await send(load, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")


async def half_a_head(load: MixedLoad) -> asyncio.StreamWriter:
    return await send(load, b"GET /healthz HTTP/1.1\r\nhost: loc")


async def half_a_body(load: MixedLoad) -> asyncio.StreamWriter:
    method, url, headers, _ = load.webhook("updated", "half")
    lines = [f"{method} {url.removeprefix(load.address)} HTTP/1.1", "host: localhost", "content-length: 100"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return await send(load, "\r\n".join([*lines, "", '{"half":']).encode())


async def half_a_body_without_token(load: MixedLoad) -> asyncio.StreamWriter:
    head = "POST /stranger_mixed/notes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"
    return await send(load, head.encode())


async def half_a_chunk(load: MixedLoad) -> asyncio.StreamWriter:
    head = "POST /stranger_mixed/notes HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{"
    return await send(load, head.encode())


async def client_that_has_left(load: MixedLoad) -> asyncio.StreamWriter:
    writer = await half_a_body(load)
    writer.transport.abort()
    return writer


async def half_closed(load: MixedLoad) -> asyncio.StreamWriter:
    writer = await kept_after_a_response(load)
    writer.write_eof()
    return writer


def http2(load: MixedLoad, *, ends: bool) -> bytes:
    """HTTP/2 without TLS: a preface and one request."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    path = load.page_url().removeprefix(load.address)
    method = "GET" if ends else "POST"
    pseudo = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    connection.send_headers(1, pseudo, end_stream=ends)
    return connection.data_to_send()


async def http2_without_a_stream(load: MixedLoad) -> asyncio.StreamWriter:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    return await send(load, connection.data_to_send())


async def http2_after_a_response(load: MixedLoad) -> asyncio.StreamWriter:
    return await send(load, http2(load, ends=True))


async def http2_with_half_a_body(load: MixedLoad) -> asyncio.StreamWriter:
    return await send(load, http2(load, ends=False))


async def http2_that_is_aborted(load: MixedLoad) -> asyncio.StreamWriter:
    writer = await http2_after_a_response(load)
    writer.transport.abort()
    return writer


KINDS = (
    idle,
    kept_after_a_response,
    half_a_head,
    half_a_body,
    half_a_body_without_token,
    half_a_chunk,
    client_that_has_left,
    half_closed,
    http2_without_a_stream,
    http2_after_a_response,
    http2_with_half_a_body,
    http2_that_is_aborted,
)


@asynccontextmanager
async def open_connections(load: MixedLoad, copies: int = 2) -> AsyncIterator[None]:
    """Connections in all states in which a shutdown may meet them."""
    writers = [await kind(load) for kind in KINDS for _ in range(copies)]
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


@asynccontextmanager
async def served(
    folder: Path, commands: Sequence[Sequence[str]], port: int, stop_s: int, **tables: Any
) -> AsyncIterator[Any]:
    """Processes of one deployment, and a load on the first of them."""
    group = ProcessGroup(folder, commands, distribution=DISTRIBUTION)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(simulated_host())
        server = {"drain_s": DRAIN_S, "stop_s": stop_s}
        prepare(folder, rest.url, database_settings(folder), server=server, **tables)
        stack.push_async_callback(group.destroy)
        for number in range(len(commands)):
            await group.start(number)
        address = f"http://127.0.0.1:{port}"
        await until_served(address)
        yield group, await stack.enter_async_context(mixed_load(address, rest, 0.01))


def faults(text: str) -> list[str]:
    """The lines of a log that an alert on errors would find, and output that is not in its form."""
    lines = [line for line in text.splitlines() if not line.startswith(("Slow", "Descriptor: "))]
    return [line for line in lines if not line.startswith("{") or orjson.loads(line)["level"] in LEVELS]


@pytest.mark.parametrize(
    ("workers", "kind", "clients"),
    [
        (1, "hypercorn", "leave"),
        (1, "hypercorn", "stay"),
        (1, "granian", "leave"),
        (1, "granian", "stay"),
        pytest.param(2, "hypercorn", "leave", marks=pytest.mark.postgresql),
        pytest.param(3, "hypercorn", "stay", marks=pytest.mark.postgresql),
        pytest.param(2, "granian", "leave", marks=pytest.mark.postgresql),
    ],
)
async def test_drain_under_load_logs_no_error(tmp_path: Path, workers: int, kind: str, clients: str) -> None:
    """Clients that leave half a request let the drain be clean; those that stay are disconnected after ``stop_s``."""
    if kind == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    [port] = free_ports(1)
    words = ["serve", "--no-migrate", "--workers", str(workers), "--server", kind, "--bind", f"127.0.0.1:{port}"]
    stop_s = LONG_STOP_S if clients == "leave" else STOP_S
    async with served(tmp_path, [words], port, stop_s) as (group, load), AsyncExitStack() as stack:
        async with load.running(**CLIENTS):
            await stack.enter_async_context(open_connections(load))
            await until(lambda: len(load.acknowledged) > ACKNOWLEDGED, 120)
            group.send(0, signal.SIGTERM)
            await until(lambda: is_refused(port), 60)
        if clients == "leave":
            await stack.aclose()
        code = await group.wait(0)
        log = group.log(0)
    assert faults(log) == []
    assert "shutdown.started" in log
    if clients == "leave":
        assert code == 0, log[-3000:]
        assert {status for (_, status) in load.answers} - {"ConnectError"} == {200, 204}


async def is_refused(port: int) -> bool:
    """Whether a process has closed its listener."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


@pytest.mark.parametrize(
    ("kind", "signals"),
    [
        ("hypercorn", (signal.SIGINT,)),
        ("hypercorn", (signal.SIGTERM, signal.SIGTERM)),
        ("hypercorn", (signal.SIGTERM, signal.SIGINT)),
        ("granian", (signal.SIGINT,)),
        ("granian", (signal.SIGTERM, signal.SIGTERM)),
    ],
    ids=["hypercorn-int", "hypercorn-term-term", "hypercorn-term-int", "granian-int", "granian-term-term"],
)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.postgresql)])
async def test_fast_shutdown_and_abortion_under_load_log_no_error(
    tmp_path: Path, workers: int, kind: str, signals: Sequence[signal.Signals]
) -> None:
    if kind == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    [port] = free_ports(1)
    words = ["serve", "--no-migrate", "--workers", str(workers), "--server", kind, "--bind", f"127.0.0.1:{port}"]
    async with served(tmp_path, [words], port, STOP_S) as (group, load):
        async with load.running(**CLIENTS), open_connections(load):
            await until(lambda: len(load.acknowledged) > ACKNOWLEDGED, 120)
            for number in signals:
                group.send(0, number)
                await until(lambda: "shutdown.started" in group.log(0), 60)
            await group.wait(0)
        log = group.log(0)
    assert faults(log) == []


@pytest.mark.postgresql
async def test_drain_of_a_working_process_logs_no_error(tmp_path: Path) -> None:
    [port] = free_ports(1)
    commands = [["serve", "--no-migrate", "--bind", f"127.0.0.1:{port}"], *[["work", "--no-migrate"]] * 2]
    async with served(tmp_path, commands, port, LONG_STOP_S, jobs={"in_server": False}) as (group, load):
        async with load.running(**CLIENTS):
            for number in (1, 2, 1, 2):
                await until_working(group, number)
                acknowledged = len(load.acknowledged)
                await until(lambda least=acknowledged: len(load.acknowledged) > least + ACKNOWLEDGED, 120)
                group.send(number, signal.SIGTERM)
                assert await group.wait(number) == 0, group.log(number)[-3000:]
                await group.start(number)
            for number in (1, 2):
                await until_working(group, number)
        codes = await group.end()
        logs = [group.log(number) for number in range(len(commands))]
    assert [faults(log) for log in logs] == [[]] * len(logs)
    assert codes == [0] * len(commands)


async def until_working(group: ProcessGroup, number: int) -> None:
    """Wait until the newest process with this number runs jobs."""
    starts = group.starts[number]
    await until(lambda: group.log(number).count("runs jobs of") == starts, 120)
