"""Requests whose body or response is not read to its end: they end, and leave their connection in order."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import bound_socket
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings

from tests.support.served import until

LARGE = 2_000_000


class Hasty:
    """Answers without reading the body: ``/large`` with a long response, ``/fail`` with half of one."""

    def __init__(self):
        self.running = 0

    async def __call__(self, scope, receive, send):
        self.running += 1
        try:
            await asyncio.sleep(0.1)
            await send({"type": "http.response.start", "status": 404, "headers": []})
            if scope["path"] == "/fail":
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
                raise RuntimeError("it always does")
            for _ in range(100 if scope["path"] == "/large" else 0):
                await send({"type": "http.response.body", "body": b"x" * 20_000, "more_body": True})
            await send({"type": "http.response.body", "body": b"no"})
        finally:
            self.running -= 1


@pytest.fixture
def stalls(monkeypatch):
    """Clients that read nothing are disconnected soon."""
    monkeypatch.setattr("addonkit.server.hypercorn_server.STALL_S", 0.3)


@pytest.fixture
async def served():
    app = Hasty()
    listener = bound_socket("127.0.0.1:0")
    http_server = HypercornServer(app, listener)
    await http_server.open()
    http_server.port, http_server.hasty = listener.getsockname()[1], app
    yield http_server
    http_server.close(0)
    await http_server.abort()


@asynccontextmanager
async def connected(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_left(served):
    """Wait until the server has ended all requests and connections."""
    await until(lambda: not served.hasty.running and not served._connections, 10)


HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\n"
CHUNK = b"4e20\r\n" + b"x" * 20_000 + b"\r\n"
BODIES = {
    "small": (HEAD + b"content-length: 100000\r\n\r\n", b"x" * 20_000, 5),
    "large": (HEAD + b"content-length: 2000000\r\n\r\n", b"x" * 20_000, 100),
    "unfinished": (HEAD + b"content-length: 3000000\r\n\r\n", b"x" * 20_000, 100),
    "chunked": (HEAD + b"transfer-encoding: chunked\r\n\r\n", CHUNK, 100),
    "awaited": (HEAD + b"expect: 100-continue\r\ncontent-length: 2000000\r\n\r\n", b"x" * 20_000, 100),
    "of an old client": (b"POST / HTTP/1.0\r\ncontent-length: 2000000\r\n\r\n", b"x" * 20_000, 100),
}


@pytest.mark.parametrize(("head", "piece", "count"), BODIES.values(), ids=BODIES.keys())
async def test_body_that_is_not_read_delays_no_response(served, head, piece, count):
    async with connected(served) as (reader, writer):
        writer.write(head)
        sending = asyncio.create_task(send_all(writer, [piece] * count))
        async with asyncio.timeout(60):
            answer = await reader.readuntil(b"no")
            assert b"HTTP/1.1 404" in answer
            # The server takes the rest, so that the client's sending does not fail before it has read the response.
            await sending
    await is_left(served)


async def send_all(writer, pieces):
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize(("head", "piece", "count"), BODIES.values(), ids=BODIES.keys())
async def test_body_of_a_client_that_disconnects_leaves_nothing(served, head, piece, count):
    async with connected(served) as (_, writer):
        writer.write(head + piece * count)
        await until(lambda: served.hasty.running)
    await is_left(served)


class Client:
    """An HTTP/2 client that notes what it receives."""

    def __init__(self, reader, writer, window=None):
        self.h2 = H2Connection(H2Configuration(client_side=True))
        if window is not None:
            self.h2.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.reader, self.writer = reader, writer
        self.status, self.resets, self.received, self.ended = {}, {}, {}, set()

    def ask(self, path, *, method="GET", has_body=False):
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(stream, pseudo, end_stream=not has_body)
        self.flush()
        return stream

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    async def read_until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                data = await self.reader.read(65536)
                assert data, "the server has closed the connection"
                for event in self.h2.receive_data(data):
                    self._note(event)
                self.flush()

    def _note(self, event):
        if isinstance(event, ResponseReceived):
            self.status[event.stream_id] = dict(event.headers)[b":status"]
        elif isinstance(event, DataReceived):
            self.received[event.stream_id] = self.received.get(event.stream_id, 0) + len(event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
        elif isinstance(event, StreamEnded):
            self.ended.add(event.stream_id)


@pytest.mark.parametrize("size", [1, 1000, 16_000, 30_000])
async def test_http2_body_that_is_not_read_does_not_end_the_connection(served, size):
    async with connected(served) as (reader, writer):
        client = Client(reader, writer)
        large = client.ask("/large")
        posted = client.ask("/", method="POST", has_body=True)
        await client.read_until(lambda: posted in client.ended)
        for _ in range(5):
            await client.read_until(lambda: client.h2.local_flow_control_window(posted) >= size)
            for place in range(0, size, 16_000):
                client.h2.send_data(posted, b"x" * min(16_000, size - place))
            client.flush()
        client.h2.end_stream(posted)
        following = client.ask("/")
        await client.read_until(lambda: {large, following} <= client.ended)
        assert client.received[large] == LARGE + 2
    await is_left(served)


@pytest.mark.parametrize("window", [0, 1, 1000, 65_535])
@pytest.mark.parametrize("path", ["/", "/large"])
@pytest.mark.parametrize("end", ["reset", "abort", "close"])
async def test_http2_response_that_is_not_read_ends_with_its_stream(served, window, path, end):
    async with connected(served) as (reader, writer):
        client = Client(reader, writer, window)
        streams = [client.ask(path) for _ in range(5)]
        await client.read_until(lambda: len(client.status) == 5)
        if end == "reset":
            for stream in streams:
                with suppress(Exception):
                    client.h2.reset_stream(stream)
            client.flush()
            await until(lambda: not served.hasty.running, 10)
        elif end == "close":
            writer.close()
    await is_left(served)


async def test_http2_response_that_fails_after_its_start_is_reset(served):
    async with connected(served) as (reader, writer):
        client = Client(reader, writer)
        failing, following = client.ask("/fail"), client.ask("/")
        await client.read_until(lambda: failing in client.resets and following in client.ended)
        assert client.resets == {failing: ErrorCodes.INTERNAL_ERROR}


@pytest.mark.parametrize(
    ("path", "window"), [("/", 0), ("/large", 0), ("/large", 1), ("/large", 1000), ("/large", 65_535)]
)
async def test_http2_client_that_reads_nothing_is_disconnected(stalls, served, path, window):
    async with connected(served) as (reader, writer):
        client = Client(reader, writer, window)
        asked = [client.ask(path) for _ in range(3)]
        await client.read_until(lambda: len(client.status) == len(asked))
        await is_left(served)


async def test_client_that_reads_nothing_is_disconnected(stalls, served):
    async with connected(served) as (_, writer):
        for _ in range(20):
            writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await until(lambda: served.hasty.running)
        await is_left(served)


async def test_http2_client_that_reads_slowly_is_not_disconnected(stalls, served):
    async with connected(served) as (reader, writer):
        client = Client(reader, writer, 0)
        stream = client.ask("/large")
        await client.read_until(lambda: stream in client.status)
        for number in range(1, 8):
            client.h2.increment_flow_control_window(1000, stream)
            client.flush()
            await client.read_until(lambda target=number * 1000: client.received.get(stream, 0) >= target)
            await asyncio.sleep(0.2)
        assert served.hasty.running


@pytest.mark.parametrize("window", [None, 0, 1000, 65_535])
async def test_client_that_reads_nothing_does_not_delay_an_aborted_shutdown(served, window):
    async with connected(served) as (reader, writer):
        if window is None:
            for _ in range(20):
                writer.write(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        else:
            client = Client(reader, writer, window)
            client.ask("/large")
        await until(lambda: served.hasty.running)
        await asyncio.sleep(0.5)
        served.close(0)
        async with asyncio.timeout(20):
            await served.abort()
        assert not served.hasty.running
