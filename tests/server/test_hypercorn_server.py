"""Connections of the hypercorn server: keep-alive, ``Connection: close``, and how they close at shutdown."""

import asyncio
import socket
import time

import httpx2
import pytest
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import address_of, bound_socket

from tests.support.https import https_server
from tests.support.load import Load
from tests.support.served import until


class Quick:
    """An application that answers immediately."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def http_server():
    listener = bound_socket("127.0.0.1:0")
    http_server = HypercornServer(Quick(), listener)
    http_server.address = address_of(listener)
    await http_server.open()
    yield http_server
    http_server.close(0)
    await http_server.abort()


async def test_keep_alive_clients_lose_no_request_at_shutdown(http_server):
    load = Load(http_server.address, ("/",))
    async with load.running():
        await load.answered(200)
        http_server.drain()
        await load.answered(200)
        await load.connected()
        http_server.close(1.0)
        await http_server.wait_closed()
    assert (set(load.statuses), load.failures) == ({200}, [])


async def test_connection_is_closed_when_its_client_closes_it(http_server):
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{http_server.address}/")).status_code == 200
        assert len(http_server._connections) == 1
    await until(lambda: not http_server._connections, 2)


async def test_response_before_the_whole_body_has_connection_close(http_server):
    host, _, port = http_server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf of it")
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b"\r\nconnection: close\r\n" in head
    assert await reader.read() == b"ok"
    writer.close()


async def test_connections_that_are_idle_close_after_the_grace_period(http_server):
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{http_server.address}/")).status_code == 200
        began = time.monotonic()
        http_server.close(0.5)
        await asyncio.wait_for(http_server.wait_closed(), 60)
        assert time.monotonic() - began >= 0.5


async def test_response_to_a_request_whose_body_is_not_read_has_connection_close(http_server):
    host, _, port = http_server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    writer.close()
    await writer.wait_closed()
    assert b"connection: close" in head.lower()


async def test_established_connections_are_answered_when_the_listener_closes(http_server):
    load = Load(http_server.address, ("/",))
    async with load.running(visitors=4):
        await load.answered(20)
        http_server.close(1.0, refuse=True)
        await http_server.wait_closed()
    assert set(load.statuses) == {200}
    # After the end, visitors are refused before they have sent anything.
    assert {failure.partition(":")[0] for failure in load.failures} <= {"ConnectionRefusedError"}


async def test_requests_that_nobody_has_accepted_are_answered_when_the_listener_closes(http_server):
    """The process is busy while clients connect and send, and closes its listener before it has seen them."""
    host, _, port = http_server.address.rpartition(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(20)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    http_server.close(1.0, refuse=True)
    answers = await asyncio.gather(*(asyncio.to_thread(client.recv, 100) for client in clients))
    for client in clients:
        client.close()
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 "}


async def aborts(http_server):
    assert await http_server.abort() == 0


async def closes(http_server):
    http_server.close(0.1)
    await http_server.wait_closed()


async def drains_and_closes(http_server):
    http_server.drain()
    await asyncio.sleep(0.1)
    closed = asyncio.Event()
    http_server.close(0.1, refuse=True, on_closed=closed.set)
    await http_server.wait_closed()
    assert closed.is_set()


async def closes_after_the_handshake(http_server):
    """The client ends its handshake after the listener is closed."""
    http_server.close(30)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01"], ids=["nothing", "one-byte", "a-head"])
@pytest.mark.parametrize("ends", [aborts, closes, drains_and_closes, closes_after_the_handshake])
async def test_connection_in_its_tls_handshake_does_not_disturb_the_shutdown(tmp_path, ends, sent):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with https_server(Quick(), tmp_path) as (http_server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await until(lambda: len(http_server._connections) == 1)
        await ends(http_server)
        writer.close()
        await until(lambda: not http_server._connections)
        assert not http_server._closing or not http_server._closing.done() or not http_server._closing.exception()
    assert failures == []
