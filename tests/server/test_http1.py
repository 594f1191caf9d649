"""HTTP/1.1 on ``LeanH11Protocol``: the same answers, scopes and connections as with hypercorn's own protocol."""

import asyncio
import re

import pytest
from addonkit.server.app_messages import AppTasks
from addonkit.server.http1_protocol import LeanH11Protocol
from addonkit.server.hypercorn_server import _config
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError, H11Protocol
from hypercorn.typing import ConnectionState

GET = b"GET /page?jwt=a%20b HTTP/1.1\r\nhost: localhost\r\n"
REQUESTS = {
    "page": GET + b"\r\n",
    "page of HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "page of HTTP/1.0 that stays open": b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    "page that closes": GET + b"connection: close\r\n\r\n",
    "head": GET.replace(b"GET", b"HEAD") + b"\r\n",
    "two requests at once": GET + b"\r\n" + GET + b"\r\n",
    "escaped path": b"GET /a%2Fb%00%C3%A9?x=%20 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "headers in capitals": b"GET / HTTP/1.1\r\nHOST: localhost\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "absolute form": b"GET http://elsewhere/page HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "body": b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello",
    "chunked body": b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "expected body": b"POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    "half a body": b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\nhello",
    "body and length twice": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "length and chunks": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n",
    "no request": b"nonsense\r\n\r\n",
    "null byte": b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n",
    "path that is not ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n",
    "head without an end": b"GET / HTTP/1.1\r\nx: " + b"y" * 30_000,
    "websocket": GET + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n",
    "other upgrade": GET + b"connection: upgrade\r\nupgrade: other\r\n\r\n",
    "upgrade to HTTP/2": GET + b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\n\r\n",
    "upgrade to HTTP/2 with a body": b"POST / HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\ncontent-length: 1\r\n\r\nx",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


def start(status=200, headers=()):
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content=b"", more=False):
    return {"type": "http.response.body", "body": content, "more_body": more}


CONSTANT_HEADERS = [
    *((b"x-a", b"1"), (b"content-type", b"text/html"), (b"x-b", b"2"), (b"cache-control", b"no-store")),
    *((b"content-length", b"2"), (b"content-security-policy", b"default-src 'none'"), (b"x-a", b"3")),
]
ANSWERS = {
    "complete": [start(headers=[(b"content-length", b"2")]), body(b"ok")],
    "without a length": [start(), body(b"ok")],
    "in parts": [start(), body(b"a", True), body(b"", True), body(b"b")],
    "empty": [start(204), body()],
    "not modified": [start(304, [(b"etag", b'"1"')]), body(b"is not sent")],
    "closing": [start(headers=[(b"connection", b"close"), (b"content-length", b"2")]), body(b"ok")],
    "bytearray": [start(headers=[(b"content-length", b"2")]), body(bytearray(b"ok"))],
    "spaces around a value": [start(headers=[(b" x ", b" 1 "), (b"content-length", b"0")]), body()],
    "status as text": [start("201"), body(b"ok")],
    "pseudo header": [start(headers=[(b":status", b"200")]), body(b"ok")],
    "line feed in a header": [start(headers=[(b"x", b"1\r\nset-cookie: a=b")]), body(b"ok")],
    "two lengths": [start(headers=[(b"content-length", b"1"), (b"content-length", b"2")]), body(b"ok")],
    "too long": [start(headers=[(b"content-length", b"1")]), body(b"ok")],
    "too short": [start(headers=[(b"content-length", b"9")]), body(b"ok")],
    "constant headers among others": [start(headers=CONSTANT_HEADERS), body(b"ok")],
    "constant headers in capitals": [start(headers=[(b"Content-Type", b"a"), (b"content-type", b"b")]), body()],
    "line feed in a constant header": [start(headers=[(b"content-type", b"a\r\nx: y")]), body(b"ok")],
    "not ASCII in a constant header": [start(headers=[(b"content-type", b"\xe9 \x00")]), body(b"ok")],
    "spaces around a constant value": [start(headers=[(b"vary", b" origin "), (b"content-length", b"0")]), body()],
    "bytearray as a constant value": [start(headers=[(b"vary", bytearray(b"origin"))]), body()],
    "text as a constant value": [start(headers=[(b"vary", "origin")]), body()],
    "long constant value": [start(headers=[(b"content-security-policy", b"x" * 5000)]), body()],
    "equal lengths among constant headers": [
        start(headers=[(b"vary", b"a"), *[(b"content-length", b"2")] * 2, (b"etag", b"b")]),
        body(b"ok"),
    ],
    "tuple of headers": [
        {"type": "http.response.start", "status": 200, "headers": tuple(CONSTANT_HEADERS)},
        body(b"ok"),
    ],
    "tuple with a bytearray": [
        {"type": "http.response.start", "status": 200, "headers": ((b"x-a", bytearray(b"1")), (b"vary", b"a"))},
        body(b"ok"),
    ],
    "tuple with a pseudo header": [
        {"type": "http.response.start", "status": 200, "headers": ((b":status", b"1"), (b"vary", b"a"))},
        body(b"ok"),
    ],
    "tuple with text": [{"type": "http.response.start", "status": 200, "headers": (("x-a", "1"),)}, body(b"ok")],
    "two encodings": [start(headers=[(b"vary", b"a"), *[(b"transfer-encoding", b"chunked")] * 2]), body(b"ok")],
    "nothing": [],
    "half": [start(headers=[(b"content-length", b"9")]), body(b"ok", True)],
    "body first": [body(b"ok")],
    "start twice": [start(), start(), body(b"ok")],
    "after the end": [start(), body(b"ok"), body(b"more")],
    "unknown message": [{"type": "http.response.other"}],
}


class Connection:
    """A connection without a socket, and the application behind it."""

    def __init__(self, kind, messages):
        self.kind, self.messages = kind, messages
        self.written, self.events, self.scopes, self.received, self.errors = [], [], [], [], []

    async def __call__(self, scope, receive, send, sync_spawn, call_soon):
        self.scopes.append(dict(scope))
        if scope["type"] == "http" and scope["method"] == "POST":
            self.received.append(await receive())
        try:
            for message in self.messages if scope["type"] == "http" else [{"type": "websocket.close"}]:
                await send(dict(message))
        except Exception as error:
            self.errors.append(type(error).__name__)
            raise

    async def send(self, event):
        if isinstance(event, RawData):
            self.written.append(event.data)
        else:
            self.events.append(("idle", event.idle) if isinstance(event, Updated) else type(event).__name__)

    async def run(self, raw):
        """Give the protocol these bytes, then the end of the connection, and return what can be seen of it."""
        loop = asyncio.get_running_loop()
        fault = None
        async with AppTasks(loop) as tasks:
            state = ConnectionState({})
            plain = H11Protocol(
                self, _config(), WorkerContext(None), tasks, state, False, ("1.2.3.4", 5), ("6.7.8.9", 10), self.send
            )
            protocol = LeanH11Protocol(plain) if self.kind == "lean" else plain
            try:
                await asyncio.wait_for(protocol.handle(RawData(raw)), 60)
            except (H2CProtocolRequiredError, H2ProtocolAssumedError) as error:
                fault = (type(error).__name__, vars(error))
            for _ in range(20):
                await asyncio.sleep(0)
            await protocol.handle(Closed())
        return {
            "bytes": re.sub(rb"date: [^\r]+ GMT", b"date: now", b"".join(self.written)),
            "events": self.events,
            "scopes": self.scopes,
            "received": self.received,
            "errors": self.errors,
            "fault": fault,
        }


async def test_response_with_a_length_is_written_at_once():
    connection = Connection("lean", ANSWERS["complete"])
    await connection.run(REQUESTS["two requests at once"])
    assert [data.endswith(b"\r\n\r\nok") for data in connection.written] == [True, True]


@pytest.mark.parametrize("raw", REQUESTS.values(), ids=REQUESTS.keys())
async def test_lean_protocol_handles_a_request_as_hypercorn_does(raw):
    messages = ANSWERS["complete"]
    assert await Connection("lean", messages).run(raw) == await Connection("stock", messages).run(raw)


@pytest.mark.parametrize(
    "raw", [REQUESTS["page"], REQUESTS["head"], REQUESTS["page of HTTP/1.0"]], ids=["GET", "HEAD", "1.0"]
)
@pytest.mark.parametrize("messages", ANSWERS.values(), ids=ANSWERS.keys())
async def test_lean_protocol_sends_an_answer_as_hypercorn_does(raw, messages):
    lean, stock = [await Connection(kind, messages).run(raw) for kind in ("lean", "stock")]
    assert lean == stock
