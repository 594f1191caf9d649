"""The yardstick for requests: an ASGI callable that says hello, on the very server that ``addonkit serve`` runs on."""

from __future__ import annotations

import sys
from typing import Any

import uvloop
from addonkit.server.serve import Listeners, ServerOptions, serve
from addonkit.server.shutdown import Shutdown
from addonkit.server.sockets import bound_socket

BODY = b"Hello"
USER = b'{"accountId": "5b10a2844c20165700ede21g", "displayName": "Mia Krystof", "active": true}'
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


class Hello:
    """Answers everything alike, and has nothing to begin or to end."""

    draining = False
    operations = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Say hello."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})

    async def start(self) -> None:
        """Nothing."""

    async def stop(self) -> None:
        """Nothing."""


class Taker(Hello):
    """Reads a body, and has nothing to say to it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 204 once the body is there; say hello where there is none."""
        if scope["method"] == "GET":
            await super().__call__(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Product(Hello):
    """Answers calls as the host's API does: JSON, or on the site ``/exhausted`` that its budget is used up."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Say a user, or 429."""
        tired = scope["path"].startswith("/exhausted/")
        body = b"{}" if tired else USER
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send(
            {
                "type": "http.response.start",
                "status": 429 if tired else 200,
                "headers": [*headers, (b"retry-after", b"1")] if tired else headers,
            }
        )
        await send({"type": "http.response.body", "body": body})


KINDS = {"": Hello, "204": Taker, "product": Product}


async def main(bind: str, kind: str) -> None:
    """Serve until SIGINT."""
    shutdown = Shutdown()
    shutdown.handle_signals()
    await serve(KINDS[kind](), Listeners(bound_socket(bind)), ServerOptions(drain_s=0), shutdown, lambda: None)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], "".join(sys.argv[2:])))
