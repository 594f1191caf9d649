"""Quart's ASGI connection, which sends a complete response in two messages and needs no task for a GET."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Response
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart.utils import cancel_tasks, encode_headers, raise_task_exceptions
from quart.wrappers import Request
from quart.wrappers.response import DataBody

from addonkit.app.lean_quart import LeanQuart, Message
from addonkit.app.lean_request import BODILESS, LeanRequest
from addonkit.edge.request import Send
from addonkit.edge.response import send_with_headers
from addonkit.time_limit import TimeLimit


class Connection(ASGIHTTPConnection):
    """Handles a request without a body in the calling task, and sends a complete response in two messages.

    Quart itself reads every body in a separate task and sends each response in three messages.
    """

    app: LeanQuart

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request."""
        if self.scope["method"] not in BODILESS:
            await super().__call__(receive, send)
            return
        request = self._create_request_from_scope(send)
        response = await self.app.answer(request)
        if type(response) is Message or _is_whole(response):
            await self._send_response(send, response)
            return
        # A stream is cancelled when the client disconnects.
        sending = asyncio.ensure_future(self._send_response(send, response))
        listening = asyncio.ensure_future(self.handle_messages(request, receive))
        done, pending = await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_tasks(pending)
        raise_task_exceptions(done)

    async def handle_request(self, request: Request, send: ASGISendCallable) -> None:
        """Answer a request whose body is received in another task."""
        response = await self.app.answer(request)
        timeout_s = self.app.config["RESPONSE_TIMEOUT"]
        if isinstance(response, Response) and response.timeout != Ellipsis:
            timeout_s = response.timeout
        with suppress(TimeoutError):
            await asyncio.wait_for(self._send_response(send, response), timeout_s)

    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        if self.app.is_lean:
            return LeanRequest.of(self.app, self.scope, send)
        request = super()._create_request_from_scope(send)
        if self.scope["method"] in BODILESS:
            request.body.set_complete()
        return request

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes | Message) -> None:
        if type(response) is Message:
            status, content_type, body = response
            headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        elif _is_whole(response):
            whole = cast("Response", response)
            body = await whole.get_data(as_text=False)
            status, headers = whole.status_code, encode_headers(whole.headers)
        else:
            await super()._send_response(send, cast("ResponseTypes", response))
            return
        await TimeLimit(self.app.config["RESPONSE_TIMEOUT"]).run(
            send_with_headers(cast("Send", send), status, headers, body)
        )


def _is_whole(response: ResponseTypes | Message) -> bool:
    return isinstance(response, Response) and isinstance(response.response, DataBody)
