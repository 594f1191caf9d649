"""hypercorn's HTTP/1.1 protocol with less work for each request: one write for a response, and one event for it."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any
from urllib.parse import unquote
from wsgiref.handlers import format_date_time

import h11
from h11._headers import Headers
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ConnectionState, H11SendableEvent
from hypercorn.utils import suppress_body

from addonkit.edge.request import Message
from addonkit.server.plain_protocol import arguments_of
from addonkit.server.response_headers import validated, with_header

FIRST_FINAL_STATUS = 200


class LeanH11Protocol(H11Protocol):
    """hypercorn's class, still on h11's parser and state machine, with three differences.

    - The head of a response waits for the first bytes of its body, and both are written together. ASGI asks for that.
    - Headers are searched for an upgrade once, and those that many responses have are validated once.
    - An ordinary request gets a ``LeanStream``.

    Args:
        plain: The protocol that hypercorn has made for the connection.
    """

    def __init__(self, plain: H11Protocol) -> None:
        super().__init__(*arguments_of(plain))
        self._head = b""

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what the stream of the request has for the client."""
        if isinstance(event, Response) and event.status_code >= FIRST_FINAL_STATUS:
            self._head = self._serialize_head(event)
        elif isinstance(event, Body):
            await self._send_body(h11.Data(data=event.data))
        elif isinstance(event, EndBody):
            await self._send_body(h11.EndOfMessage())
        else:
            await self._send_head()
            await super().stream_send(event)

    async def _send_head(self) -> None:
        """Send a head whose body will not come, because the application has failed."""
        if self._head:
            head, self._head = self._head, b""
            await self.send(RawData(head))

    def _serialize_head(self, response: Response) -> bytes:
        given = response.headers
        headers = with_header(
            given if isinstance(given, Headers) else validated(given), b"date", _date(int(time.time()))
        )
        if self.keep_alive_requests >= self.config.keep_alive_max_requests:
            headers = with_header(headers, b"connection", b"close")
        return self._serialize(h11.Response(headers=headers, status_code=response.status_code))

    async def _send_body(self, event: h11.Data | h11.EndOfMessage) -> None:
        data = self._serialize(event)
        data, self._head = self._head + data, b""
        if data:
            await self.send(RawData(data))

    def _serialize(self, event: H11SendableEvent) -> bytes:
        try:
            return self.connection.send(event) or b""
        except h11.LocalProtocolError:
            # As in hypercorn: after a malformed request, the client has had its answer.
            if self.connection.their_state != h11.ERROR:
                raise
            return b""

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.method == b"PRI" or _is_upgrade(event):
            await super()._check_protocol(event)

    async def _create_stream(self, request: h11.Request) -> None:
        if _is_upgrade(request):
            await super()._create_stream(request)
            return
        self.stream = LeanStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.start(request)
        self.keep_alive_requests += 1


class LeanStream(HTTPStream):
    """hypercorn's class for one request, which begins with h11's request and not with a copy of it as an event."""

    async def start(self, request: h11.Request) -> None:
        """Start the application for a request."""
        path, _, query_string = request.target.partition(b"?")
        text = path.decode("ascii")
        self.start_time = 0.0
        self.scope = {
            "type": "http",
            "http_version": request.http_version.decode(),
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": request.method.decode("ascii").upper(),
            "scheme": self.scheme,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query_string,
            "root_path": "",
            "headers": list(request.headers),
            "client": self.client,
            "server": self.server,
            "state": ConnectionState({}),
            "extensions": {},
        }
        self.app_put = await self.task_group.spawn_app(self.app, self.config, self.scope, self.app_send)

    async def app_send(self, message: Any) -> None:
        """Send a message of the application to the client; None: the application has ended."""
        kind = message["type"] if message else None
        if kind == "http.response.start" and self.state is ASGIHTTPState.REQUEST:
            self.response = message
            headers = validated(message.get("headers", []))
            await self.send(Response(STREAM_ID, headers, int(message["status"])))  # type: ignore[arg-type]
            self.state = ASGIHTTPState.RESPONSE
        elif kind == "http.response.body" and self.state is ASGIHTTPState.RESPONSE:
            await self._send_part(message)
        else:
            await super().app_send(message)

    async def _send_part(self, message: Message) -> None:
        body = message.get("body", b"")
        if body and suppress_body(self.scope["method"], int(self.response["status"])):
            body = b""
        has_more = message.get("more_body", False)
        # A first part without bytes sends the head.
        if body or has_more:
            await self.send(Body(STREAM_ID, bytes(body)))
        if not has_more:
            await self.send(EndBody(STREAM_ID))
            self.state = ASGIHTTPState.CLOSED
            await self.send(StreamClosed(STREAM_ID))


def _is_upgrade(request: h11.Request) -> bool:
    return any(name == b"upgrade" for name, _ in request.headers)


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return format_date_time(second).encode()
