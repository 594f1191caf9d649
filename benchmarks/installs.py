"""Benchmark of installs while callers without a signature invent install keys."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from addon import Deployed, deploy
from addonkit.protocol.canonical import query_hash
from addonkit.testing import Host, InstallKeys, RestApi
from machine import Sample
from results import Goal, Result

PER_SECOND = 500
CONNECTIONS = 50
SETTLE_S = 2.0
PATH = "/lifecycle/installed"


async def installs(pairs: int, _: int) -> list[Result]:
    """Measure an install under a flood of tokens with invented key ids.

    The flood is either meant for this add-on, and the host's key is stored; or it is meant for another one, and no key
    is known yet.
    """
    keys = InstallKeys()
    rest = RestApi(keys)
    goal = Goal(2, False)
    with rest.serve_in_thread(), tempfile.TemporaryDirectory() as folder:
        deployed = deploy(Path(folder) / "known", ("bench_page",), f"{rest.url}/")
        with deployed.served():
            await timed_installs(deployed, keys, rest, 1)
        with deployed.served():
            async with flood(deployed, deployed.base_url) as sent:
                known = await timed_installs(deployed, keys, rest, pairs)
                rate = f"{sent.per_second:.0f} invented keys/s"
        new = []
        for number in range(pairs):
            fresh = deploy(Path(folder) / f"new-{number}", ("bench_page",), f"{rest.url}/")
            with fresh.served():
                async with flood(fresh, "https://other.example"):
                    new += await timed_installs(fresh, keys, rest, 1)
    return [
        Result(f"install with a stored key under {rate}", known, (), "s", goal, "clock"),
        Result("install with a new key under a flood for others", new, (), "s", goal, "clock"),
    ]


async def timed_installs(deployed: Deployed, keys: InstallKeys, rest: RestApi, count: int) -> list[Sample]:
    """Install sites, and give the seconds that each took."""
    figures = []
    async with Host(None, keys, deployed.base_url, rest) as host:
        await host.descriptor()
        for _ in range(count):
            began = time.perf_counter()
            await host.install("jira")
            elapsed = time.perf_counter() - began
            figures.append(Sample(elapsed, elapsed))
    return figures


class Sent:
    """How many requests a flood has sent."""

    def __init__(self) -> None:
        self.count, self._began = 0, time.perf_counter()

    @property
    def per_second(self) -> float:
        """The rate so far."""
        return self.count / (time.perf_counter() - self._began)


@asynccontextmanager
async def flood(deployed: Deployed, audience: str) -> AsyncIterator[Sent]:
    """Send requests whose tokens name keys that nobody has, over kept-alive connections."""
    sent = Sent()
    tasks = [asyncio.create_task(_send(deployed, audience, sent)) for _ in range(CONNECTIONS)]
    await asyncio.sleep(SETTLE_S)
    try:
        yield sent
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(deployed: Deployed, audience: str, sent: Sent) -> None:
    pause_s = CONNECTIONS / PER_SECOND
    while True:
        with suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection("127.0.0.1", deployed.port)
            try:
                due = time.perf_counter()
                while True:
                    writer.write(_request(audience))
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(length or 0))
                    sent.count += 1
                    due = max(due + pause_s, time.perf_counter() - 1)
                    await asyncio.sleep(due - time.perf_counter())
            finally:
                writer.close()


def _request(audience: str) -> bytes:
    now, site = int(time.time()), str(uuid.uuid4())
    claims = {"iss": site, "iat": now, "exp": now + 180, "aud": audience, "qsh": query_hash("POST", PATH, "")}
    token = ".".join(
        [
            _segment({"alg": "RS256", "typ": "JWT", "kid": str(uuid.uuid4())}),
            _segment(claims),
            _encoded(os.urandom(256)),
        ]
    )
    body = {
        "key": "com.example.bench",
        "clientKey": site,
        "sharedSecret": "s" * 64,
        "baseUrl": "https://a.atlassian.net",
        "productType": "jira",
        "eventType": "installed",
    }
    sent = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: JWT {token}\r\ncontent-length: {len(sent)}\r\n\r\n"
    return head.encode() + sent


def _segment(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
