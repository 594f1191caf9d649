"""Send requests to an add-on in this process, without an HTTP server: ``in_process.py addon.toml GET|POST < LINES``.

A line is a path, or a path, a tab and the value of ``Authorization``. Requests with GET are sent one after the other,
those with POST, which are webhooks, 32 at once. Event loop and garbage collector are those of ``addonkit serve``.
Prints the µs of one request as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from addonkit.app import Addon, Deployment
from addonkit.cli.process import fast_loop

REQUESTS, WARM_UP = 2_000, 1_000
AT_ONCE = {"GET": 1, "POST": 32}
BODY = json.dumps(
    {"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "AB-1"}, "text": "x" * 2000}
).encode()


class Requests:
    """The requests of one run, sent to an add-on; each has a response of its own.

    Args:
        addon: The add-on.
        method: ``GET`` or ``POST``.
        lines: The requests, used in turn.
    """

    def __init__(self, addon: Addon, method: str, lines: Sequence[str]) -> None:
        self._addon, self._method, self._lines = addon, method, lines
        self._sent = 0

    async def send(self, count: int) -> tuple[float, float]:
        """Send a number of requests; return the µs of one by clock and by CPU time."""
        left = iter(range(count))
        clock, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self._send_while(left) for _ in range(AT_ONCE[self._method])))
        return (time.perf_counter() - clock) / count * 1e6, (time.process_time() - cpu) / count * 1e6

    async def _send_while(self, left: Any) -> None:
        for _ in left:
            self._sent += 1
            await self._send_one(self._lines[self._sent % len(self._lines)], self._sent)
            # A server's event loop runs between two requests too: it frees what a request has cancelled.
            await asyncio.sleep(0)

    async def _send_one(self, line: str, number: int) -> None:
        messages = iter([{"type": "http.request", "body": BODY if self._method == "POST" else b"", "more_body": False}])
        status = 0

        async def receive() -> dict[str, Any]:
            if (message := next(messages, None)) is not None:
                return message
            return await asyncio.Future()

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        await self._addon(scope_of(self._method, line, number), receive, send)
        if not 200 <= status < 300:
            raise SystemExit(f"a request was answered with {status}, expected 2xx")


def scope_of(method: str, line: str, number: int) -> dict[str, Any]:
    """Return the ASGI scope of a request, as hypercorn makes it."""
    url, _, authorization = line.partition("\t")
    path, _, query = url.partition("?")
    headers = [(b"host", b"127.0.0.1:8080")]
    if authorization:
        headers.append((b"authorization", authorization.encode()))
    if method == "POST":
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
        headers.append((b"x-atlassian-webhook-identifier", f"{time.time_ns()}-{number}".encode()))
    return {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"spec_version": "2.3", "version": "3.0"},
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        "state": {},
        "extensions": {},
    }


async def measure(addon: Addon, method: str, lines: Sequence[str]) -> dict[str, float]:
    """Return the µs of one request."""
    await addon.start()
    try:
        requests = Requests(addon, method, lines)
        await requests.send(WARM_UP)
        clock, cpu = await requests.send(REQUESTS)
    finally:
        await addon.stop()
    return {"clock": clock, "cpu": cpu}


if __name__ == "__main__":
    served = Addon(Deployment.read(Path(sys.argv[1])))
    with fast_loop() as runner:
        measured = runner.run(measure(served, sys.argv[2], sys.stdin.read().splitlines()))
    sys.stdout.write("\n" + json.dumps(measured))
