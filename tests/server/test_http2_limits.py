"""HTTP/2 connections whose client floods them with frames, or stays silent."""

import asyncio
import base64
from contextlib import asynccontextmanager, suppress

import pytest
from addonkit.server.http2_limits import DATA_PER_WINDOW_UPDATE, OWN_REASONS, Flood, FrameLimits
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import bound_socket
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ResponseReceived
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

FRAME_HEAD = 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Counting:
    """An application that counts its requests, and answers each after its body."""

    def __init__(self):
        self.requests = 0
        self.is_slow = False

    async def __call__(self, scope, receive, send):
        self.requests += 1
        if self.is_slow:
            await asyncio.sleep(0.1)
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def app():
    return Counting()


@pytest.fixture
async def port(app, monkeypatch):
    monkeypatch.setattr("addonkit.server.hypercorn_server.KEEP_ALIVE_S", 0.3)
    listener = bound_socket("127.0.0.1:0")
    http_server = HypercornServer(app, listener)
    await http_server.open()
    yield listener.getsockname()[1]
    http_server.close(0)
    await http_server.abort()


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def client():
    made = H2Connection(H2Configuration(client_side=True))
    made.initiate_connection()
    return made


def opened(made):
    """Open a stream with a whole request."""
    stream = made.get_next_available_stream_id()
    made.send_headers(
        stream,
        [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")],
        end_stream=True,
    )
    return stream


def reset_streams(made, number):
    sent = []
    for _ in range(number):
        made.reset_stream(opened(made), error_code=ErrorCodes.CANCEL)
        sent.append(made.data_to_send())
    return b"".join(sent)


FLOODS = {
    "settings": SettingsFrame(0).serialize(),
    "settings that change": SettingsFrame(0, settings={4: 70_000}).serialize(),
    "acknowledged settings": SettingsFrame(0, flags=["ACK"]).serialize(),
    "pings": PingFrame(0, b"12345678").serialize(),
    "pongs": PingFrame(0, b"12345678", flags=["ACK"]).serialize(),
    "priorities": PriorityFrame(101, stream_weight=5).serialize(),
    "window updates": WindowUpdateFrame(0, window_increment=1).serialize(),
    "unknown frames": ExtensionFrame(0xEE, 0, body=b"").serialize(),
    "resets of no stream": RstStreamFrame(1, error_code=8).serialize(),
}


@pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS.keys())
async def test_http2_flood_is_answered_with_goaway(port, app, frame):
    made = client()
    async with connected(port) as (reader, writer):
        opened(made)
        assert await goaway_error(reader, writer, [made.data_to_send(), frame * 20_000]) == ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("together", [2000, 100, 10, 1])
async def test_http2_rapid_reset_is_answered_with_goaway(port, app, together):
    made = client()
    async with connected(port) as (reader, writer):
        chunks = (reset_streams(made, together) for _ in range(2000 // together))
        assert await goaway_error(reader, writer, chunks) == ErrorCodes.ENHANCE_YOUR_CALM
    assert app.requests <= 150


@pytest.mark.parametrize(
    "frame",
    [
        DataFrame(1, data=b""),
        DataFrame(1, data=b"x"),
        DataFrame(1, data=b"x" * 100),
        DataFrame(1, data=b"", pad_length=50, flags=["PADDED"]),
    ],
    ids=["empty", "one byte", "small", "padding"],
)
async def test_http2_flood_of_small_data_is_answered_with_goaway(port, frame):
    made = client()
    stream = made.get_next_available_stream_id()
    request = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")]
    made.send_headers(stream, request)
    async with connected(port) as (reader, writer):
        chunks = [made.data_to_send(), frame.serialize() * 1000]
        assert await goaway_error(reader, writer, chunks) == ErrorCodes.ENHANCE_YOUR_CALM


MISUSES = {
    "data after the end": DataFrame(1, data=b"x" * 300),
    "end after the end": DataFrame(1, data=b"", flags=["END_STREAM"]),
    "headers after the end": HeadersFrame(1, data=b"\x82", flags=["END_HEADERS", "END_STREAM"]),
    "window beyond its limit": WindowUpdateFrame(1, window_increment=2**31 - 1),
    "window update of zero": b"\0\0\4\x08\0" + bytes(8),
    "priority of a wrong length": b"\0\0\3\2\0" + bytes(7),
}


@pytest.mark.parametrize("together", [1000, 30, 1])
@pytest.mark.parametrize("frame", MISUSES.values(), ids=MISUSES.keys())
async def test_http2_client_that_makes_the_server_reset_streams_gets_goaway(port, app, frame, together):
    """CVE-2025-8671: the server's own resets free the place of a stream, but not what its request costs."""
    made, chunk, chunks = client(), [], []
    first = made.data_to_send()
    for _ in range(1000):
        stream = opened(made)
        chunk.append(made.data_to_send() + on_stream(frame, stream))
        if len(chunk) == together:
            chunks.append(b"".join(chunk))
            chunk = []
    app.is_slow = True
    async with connected(port) as (reader, writer):
        assert await goaway_error(reader, writer, [first, *chunks]) in (
            ErrorCodes.ENHANCE_YOUR_CALM,
            ErrorCodes.PROTOCOL_ERROR,
            ErrorCodes.FRAME_SIZE_ERROR,
        )
    assert app.requests <= 600


def on_stream(frame, stream):
    if isinstance(frame, bytes):
        return frame[:5] + stream.to_bytes(4) + frame[9:]
    frame.stream_id = stream
    return frame.serialize()


@pytest.mark.parametrize("size", [0, 1, 300, 16_000])
async def test_http2_data_for_streams_that_were_reset_is_answered_with_goaway(port, size):
    made = client()
    stream = opened(made)
    made.reset_stream(stream)
    data = DataFrame(stream, data=b"x" * size).serialize()
    async with connected(port) as (reader, writer):
        chunks = [made.data_to_send(), *[data] * 2000]
        assert await goaway_error(reader, writer, chunks) == ErrorCodes.ENHANCE_YOUR_CALM


async def goaway_error(reader, writer, chunks):
    """Send chunks, and return the error of the GOAWAY that came meanwhile; None without one.

    It is read while the chunks are sent: a server that closes the connection on unread data resets it, and the
    GOAWAY in the client's buffer would be lost.
    """
    reading = asyncio.create_task(_read_goaway(reader))
    await asyncio.sleep(0)
    for chunk in chunks:
        if reading.done():
            break
        writer.write(chunk)
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        return await reading


async def _read_goaway(reader):
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(FRAME_HEAD)
            payload = await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == GoAwayFrame.type:
                return int.from_bytes(payload[4:8])
    return None


async def test_http2_client_that_resets_some_streams_is_served(port):
    made = client()
    async with connected(port) as (reader, writer):
        writer.write(made.data_to_send() + reset_streams(made, 60))
        stream = opened(made)
        writer.write(made.data_to_send() + PingFrame(0, b"12345678").serialize() * 100)
        async with asyncio.timeout(60):
            while not await _is_answered(reader, made, stream):
                continue


async def _is_answered(reader, made, stream):
    data = await reader.read(65536)
    assert data
    return any(isinstance(event, ResponseReceived) and event.stream_id == stream for event in made.receive_data(data))


@pytest.mark.parametrize("step", [1, 2, 7, 9, 64, 100_000])
def test_frame_limits_count_frames_however_they_are_cut(step):
    limits = FrameLimits(lambda: 0.0)
    frame = PingFrame(0, b"12345678").serialize()
    whole = PREFACE + (frame + DataFrame(1, data=b"x" * 300).serialize()) * 500
    for place in range(0, len(whole), step):
        limits.received(whole[place : place + step])
    with pytest.raises(Flood, match="too many control frames"):
        limits.received(frame)


def test_frame_limits_recover_with_time():
    now = [0.0]
    limits = FrameLimits(lambda: now[0])
    limits.received(PREFACE)
    for _ in range(10):
        limits.received(RstStreamFrame(1).serialize() * 100)
        now[0] += 10
    limits.received(RstStreamFrame(1).serialize() * 100)
    with pytest.raises(Flood, match="too many resets"):
        limits.received(RstStreamFrame(1).serialize())


def test_frame_limits_allow_a_proxy_to_reset_some_of_its_requests():
    limits = FrameLimits(lambda: 0.0)
    limits.received(PREFACE)
    for number in range(1000):
        limits.received(b"".join(request(number * 20 + one) for one in range(20)) + RstStreamFrame(1).serialize())


def request(number, *flags):
    return HeadersFrame(2 * number + 1, data=b"x" * 40, flags=["END_HEADERS", *flags]).serialize()


@pytest.mark.parametrize(("size", "updates"), [(100, 2), (DATA_PER_WINDOW_UPDATE, 3), (16_384, 18)])
def test_frame_limits_allow_the_window_updates_of_a_download(size, updates):
    limits = FrameLimits(lambda: 0.0)
    limits.received(PREFACE)
    for _ in range(10_000):
        limits.sent(DataFrame(1, data=b"x" * size).serialize())
        limits.received(WindowUpdateFrame(0, window_increment=1).serialize() * updates)


def test_frame_limits_allow_a_ping_for_each_frame_of_a_download():
    limits = FrameLimits(lambda: 0.0)
    limits.received(PREFACE)
    for _ in range(10_000):
        limits.sent(DataFrame(1, data=b"x" * 100).serialize())
        limits.received(PingFrame(0, b"12345678").serialize())


@pytest.mark.parametrize(
    "more",
    [
        DataFrame(1, data=b"x" * 1000),
        DataFrame(1, data=b"", flags=["END_STREAM"]),
        DataFrame(1, data=b"x" * 20, flags=["END_STREAM"]),
        PriorityFrame(1, stream_weight=5),
        ExtensionFrame(0x10, 0, body=b"1234"),
        HeadersFrame(1, data=b"x", flags=["END_HEADERS", "END_STREAM"]),
    ],
    ids=["data", "end", "short body", "priority", "priority update", "trailers"],
)
def test_frame_limits_do_not_count_requests(more):
    limits = FrameLimits(lambda: 0.0)
    limits.received(PREFACE)
    for number in range(10_000):
        limits.received(request(number) + more.serialize())
    limits.received(ContinuationFrame(1, data=b"x").serialize() * 400)


def test_frame_limits_do_not_count_resets_for_the_servers_own_reasons():
    limits = FrameLimits(lambda: 0.0)
    limits.received(PREFACE)
    for code in OWN_REASONS:
        limits.sent(RstStreamFrame(1, error_code=code).serialize() * 1000)
    limits.received(request(1))
    limits.sent(RstStreamFrame(1, error_code=ErrorCodes.STREAM_CLOSED).serialize() * 101)
    with pytest.raises(Flood, match="had to reset"):
        limits.received(request(2))


SETTINGS = SettingsFrame(0).serialize()
UPGRADE = b"\r\n".join(
    [
        b"OPTIONS * HTTP/1.1",
        b"host: localhost",
        b"connection: upgrade, http2-settings",
        b"upgrade: h2c",
        b"http2-settings: " + base64.urlsafe_b64encode(b"").rstrip(b"="),
        b"",
        b"",
    ]
)


@pytest.mark.parametrize(
    "sent",
    [
        PREFACE,
        PREFACE + SETTINGS,
        PREFACE + SETTINGS + b"\0\0",
        PREFACE + SETTINGS + HeadersFrame(1, data=b"\x82").serialize(),
        PREFACE + SETTINGS + PingFrame(0, b"12345678").serialize(),
        PREFACE[:18],
        UPGRADE,
        UPGRADE + PREFACE + SETTINGS,
    ],
    ids=["preface", "settings", "half a frame", "half a header block", "ping", "half a preface", "upgrade", "upgraded"],
)
async def test_http2_connection_that_stays_silent_is_closed(port, sent):
    async with connected(port) as (reader, writer):
        writer.write(sent)
        async with asyncio.timeout(60):
            while await reader.read(65536):
                continue


async def test_http2_connection_with_a_request_in_progress_is_not_idle(port):
    made = client()
    stream = made.get_next_available_stream_id()
    made.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")])
    async with connected(port) as (reader, writer):
        writer.write(made.data_to_send())
        await asyncio.sleep(0.8)
        made.end_stream(stream)
        writer.write(made.data_to_send())
        async with asyncio.timeout(60):
            while not await _is_answered(reader, made, stream):
                continue
