"""Quart's ASGI connection with a fast path for requests without a body and responses of one part."""

from __future__ import annotations

import asyncio
from typing import cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Response
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart.utils import cancel_tasks, encode_headers, raise_task_exceptions
from quart.wrappers.response import DataBody

BODILESS = ("GET", "HEAD")


class Connection(ASGIHTTPConnection):
    """Handles a request without a body in the calling task, and sends a complete response in two messages.

    Quart itself reads every body in a separate task and sends each response in three messages.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer the request."""
        if self.scope["method"] not in BODILESS:
            await super().__call__(receive, send)
            return
        request = self._create_request_from_scope(send)
        request.body.set_complete()
        response = await self.app.handle_request(request)
        if _is_whole(response):
            await self._send_response(send, response)
            return
        # A stream is cancelled when the client disconnects.
        sending = asyncio.ensure_future(self._send_response(send, response))
        listening = asyncio.ensure_future(self.handle_messages(request, receive))
        done, pending = await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        await cancel_tasks(pending)
        raise_task_exceptions(done)

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if not _is_whole(response):
            await super()._send_response(send, response)
            return
        whole = cast("Response", response)
        body = await whole.get_data(as_text=False)
        async with asyncio.timeout(self.app.config["RESPONSE_TIMEOUT"]):
            await send(
                {"type": "http.response.start", "status": whole.status_code, "headers": encode_headers(whole.headers)}
            )
            await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_whole(response: ResponseTypes) -> bool:
    return isinstance(response, Response) and isinstance(response.response, DataBody)
