"""The yardstick for requests: an ASGI callable that says hello, on the very server that ``addonkit serve`` runs on."""

from __future__ import annotations

import sys
from typing import Any

import uvloop
from addonkit.app.server import bound_socket, serve_hypercorn

BODY = b"Hello"
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything alike."""
    if scope["type"] == "lifespan":
        while (phase := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{phase}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvloop.run(serve_hypercorn(hello, bound_socket(sys.argv[1]), lambda: None))
