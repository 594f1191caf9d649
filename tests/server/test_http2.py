"""HTTP/2: tokens, paths and bodies, limits of a connection, and GOAWAY."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from addonkit.server import hypercorn_server
from addonkit.server.hypercorn_server import _Connection
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.support.https import Plain, https_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


WITHOUT = "/under_test/overview"


class Talk:
    """One HTTP/2 client connection that sends and receives single frames with h2."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=False))
        self.answers = {}
        self.ended = set()
        self.is_over = False
        self.h2.initiate_connection()

    def ask(self, path, *headers, method="GET", body=b""):
        """Queue a request, and return the number of its stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(stream, [*pseudo, *headers], end_stream=not body)
        for place in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[place : place + 16_000], end_stream=place + 16_000 >= len(body))
        return stream

    async def answer(self, stream):
        """Wait for a response, and return its status and body; the status is 0 if there was no response."""
        while stream not in self.ended and not await self._read():
            continue
        return self.answers.get(stream, (0, b""))

    async def receive_goaway(self):
        """Wait for GOAWAY: the server accepts no more requests on this connection."""
        while not self.is_over:
            assert not await self._read()

    async def _read(self):
        """Send queued frames and process received ones; return whether the connection is closed."""
        self._writer.write(self.h2.data_to_send())
        async with asyncio.timeout(60):
            data = await self._reader.read(65536)
        for event in self.h2.receive_data(data) if data else ():
            self._note(event)
        return not data

    def _note(self, event):
        if isinstance(event, ResponseReceived):
            self.answers[event.stream_id] = (int(dict(event.headers)[b":status"]), b"")
        elif isinstance(event, DataReceived):
            status, body = self.answers[event.stream_id]
            self.answers[event.stream_id] = (status, body + event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded | StreamReset):
            self.ended.add(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self.is_over = True


@asynccontextmanager
async def talking(directory, port):
    context = ssl.create_default_context(cafile=directory / "localhost.pem")
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        yield Talk(reader, writer)
    finally:
        writer.transport.abort()


@pytest_asyncio.fixture(loop_scope="module")
async def talk(wire, tmp_path):
    async with https_server(wire.addon, tmp_path) as (_, port), talking(tmp_path, port) as talk:
        yield talk


async def test_http2_serves_a_signed_page(wire, talk):
    token = wire.token("GET", WITHOUT)
    status, body = await talk.answer(talk.ask(f"{WITHOUT}?jwt={token}"))
    assert (status, body.partition(b" ")[0]) == (200, b"overview")


async def test_http2_accepts_a_token_in_the_header(wire, talk):
    token = wire.token("GET", WITHOUT)
    assert (await talk.answer(talk.ask(WITHOUT, ("authorization", f"JWT {token}"))))[0] == 200


async def test_http2_refuses_two_credentials(wire, talk):
    token = wire.token("GET", WITHOUT)
    twice = [("authorization", f"JWT {token}")] * 2
    assert (await talk.answer(talk.ask(WITHOUT, *twice)))[0] == 401
    assert (await talk.answer(talk.ask(f"{WITHOUT}?jwt={token}", twice[0])))[0] == 401


@pytest.mark.parametrize("path", ["//under_test/overview", "/under_test/../under_test/overview", "/under_test/%2e/x"])
async def test_http2_does_not_find_ambiguous_paths(talk, path):
    assert (await talk.answer(talk.ask(path)))[0] == 404


async def test_http2_transfers_a_whole_body(wire, talk):
    session = await wire.session()
    headers = [("authorization", f"Session {session}"), ("content-type", "application/json")]
    body = b'{"note": {"text": "' + b"x" * 50_000 + b'"}}'
    status, result = await talk.answer(talk.ask("/under_test/notes", *headers, method="POST", body=body))
    assert (status, result.strip()) == (200, b'{"length":50000}')


@pytest.mark.parametrize(
    "path", [b"/\xff\xfe", "*", "", "http://localhost/under_test/overview"], ids=["bytes", "star", "empty", "absolute"]
)
async def test_http2_with_a_malformed_path_does_not_affect_other_connections(tmp_path, wire, path):
    async with https_server(wire.addon, tmp_path) as (_, port):
        async with talking(tmp_path, port) as strange:
            assert (await strange.answer(strange.ask(path)))[0] in (0, 400, 404)
        async with talking(tmp_path, port) as talk:
            assert (await talk.answer(talk.ask("/atlassian-connect.json")))[0] == 200


async def test_http2_headers_that_are_too_large_are_refused(talk):
    status, _ = await talk.answer(talk.ask("/atlassian-connect.json", ("x-large", "a" * 25_000)))
    assert status == 431


async def test_http2_refuses_websockets(talk):
    stream = talk.ask(WITHOUT, (":protocol", "websocket"), method="CONNECT")
    assert (await talk.answer(stream))[0] in (0, 400, 403)


async def test_http2_connection_serves_many_requests(talk):
    for _ in range(1100):
        assert (await talk.answer(talk.ask("/atlassian-connect.json")))[0] == 200


async def test_goaway_is_sent_before_a_connection_reaches_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("addonkit.server.hypercorn_server.MAX_REQUESTS", 20)
    async with https_server(Plain(), tmp_path) as (_, port), talking(tmp_path, port) as talk:
        for _ in range(20):
            assert await talk.answer(talk.ask("/")) == (200, b"ok")
        await talk.receive_goaway()


async def test_goaway_is_sent_to_idle_connections_at_shutdown(tmp_path):
    async with https_server(Plain(), tmp_path) as (http_server, port), talking(tmp_path, port) as talk:
        assert await talk.answer(talk.ask("/")) == (200, b"ok")
        http_server.drain()
        await talk.receive_goaway()


async def test_http2_requests_in_progress_are_completed_at_shutdown(tmp_path):
    door = asyncio.Event()

    class Slow(Plain):
        async def __call__(self, scope, receive, send):
            door.reached.set()
            await door.wait()
            await super().__call__(scope, receive, send)

    door.reached = asyncio.Event()
    async with https_server(Slow(), tmp_path) as (http_server, port), talking(tmp_path, port) as talk:
        stream = talk.ask("/")
        answering = asyncio.create_task(talk.answer(stream))
        await door.reached.wait()
        http_server.drain()
        door.set()
        assert await answering == (200, b"ok")


@pytest_asyncio.fixture(loop_scope="module")
async def busy(tmp_path):
    """A server, a client with one request in progress, and the event that lets the server answer it."""
    door, reached = asyncio.Event(), asyncio.Event()

    class Slow(Plain):
        async def __call__(self, scope, receive, send):
            if scope["path"] == "/slow":
                reached.set()
                await door.wait()
            await super().__call__(scope, receive, send)

    async with https_server(Slow(), tmp_path) as (http_server, port), talking(tmp_path, port) as talk:
        answering = asyncio.create_task(talk.answer(talk.ask("/slow")))
        await reached.wait()
        yield http_server, talk, answering, door
        door.set()
        answering.cancel()


async def test_goaway_is_not_scheduled_while_a_request_is_in_progress(busy, monkeypatch):
    http_server, _, answering, door = busy
    in_progress = []
    monkeypatch.setattr(hypercorn_server, "RESPONSE_END_S", 0)
    monkeypatch.setattr(_Connection, "_send_goaway_if_idle", lambda self: in_progress.append(self.in_progress))
    http_server.drain()
    await asyncio.sleep(0.01)
    assert in_progress == []
    door.set()
    assert await answering == (200, b"ok")
    async with asyncio.timeout(60):
        while not in_progress:  # noqa: ASYNC110 - plainer than an event
            await asyncio.sleep(0.005)
    assert in_progress == [0]


async def test_goaway_is_not_sent_when_a_request_has_arrived_meanwhile(busy):
    """The connection was idle when GOAWAY was scheduled, and no longer is when its time comes."""
    http_server, talk, answering, door = busy
    [connection] = http_server._connections.values()
    assert connection.in_progress == 1
    connection._send_goaway_if_idle()
    door.set()
    assert await answering == (200, b"ok")
    assert not talk.is_over
    connection._send_goaway_if_idle()
    await talk.receive_goaway()
