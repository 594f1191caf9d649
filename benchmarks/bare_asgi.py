"""The baseline for requests: minimal ASGI applications on the servers that ``addonkit serve`` uses.

``bare_asgi.py ADDRESS [hello|204|product] [hypercorn|granian]``
"""

from __future__ import annotations

import sys
from typing import Any

import uvloop
from addonkit.server.serve import Listeners, ServerName, ServerOptions, serve
from addonkit.server.shutdown import Shutdown
from addonkit.server.sockets import bound_socket

BODY = b"Hello"
USER = b'{"accountId": "5b10a2844c20165700ede21g", "displayName": "Mia Krystof", "active": true}'
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


class Hello:
    """Responds to every request with ``Hello``."""

    draining = False
    operations = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})

    async def start(self) -> None:
        """Do nothing; the server requires this method."""

    async def stop(self) -> None:
        """Do nothing; the server requires this method."""


class Sink(Hello):
    """Reads the body of a request and responds 204."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond 204 after the body is read; respond to GET with ``Hello``."""
        if scope["method"] == "GET":
            await super().__call__(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Product(Hello):
    """Responds like the host's REST API: with JSON, or with 429 for the site ``/exhausted``."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send a user, or 429."""
        exhausted = scope["path"].startswith("/exhausted/")
        body = b"{}" if exhausted else USER
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send(
            {
                "type": "http.response.start",
                "status": 429 if exhausted else 200,
                "headers": [*headers, (b"retry-after", b"1")] if exhausted else headers,
            }
        )
        await send({"type": "http.response.body", "body": body})


KINDS = {"hello": Hello, "204": Sink, "product": Product}


async def main(bind: str, kind: str = "hello", server: ServerName = "hypercorn") -> None:
    """Serve until SIGINT."""
    shutdown = Shutdown()
    shutdown.handle_signals()
    options = ServerOptions(server=server, drain_s=0)
    await serve(KINDS[kind](), Listeners(bound_socket(bind)), options, shutdown, lambda: None)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))  # type: ignore[arg-type]  # the caller names a server
