"""Asking an address as the host would: without credentials, proxies or redirects, and each address once."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx2

TIMEOUT_S = 5.0
GRACE_S = 1.0
LARGEST_BODY = 1024 * 1024
# uncompressed, for bytes are compared; as a program, for refusals then say what they are
HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "addonkit-check"}


class Fault(StrEnum):
    """Why an address gave no answer."""

    NAME = "name"
    """Nobody knows the name."""
    REFUSED = "refused"
    """Nothing listens there, or there is no way there."""
    SILENT = "silent"
    """It did not answer in time."""
    CERTIFICATE = "certificate"
    """Its certificate is not to be trusted."""
    TLS = "tls"
    """It does not speak TLS as we do."""
    BROKEN = "broken"
    """It answers with what is no HTTP, or too much of it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """How an answer came over TLS.

    Attributes:
        version: Such as ``TLSv1.3``.
        ends_at: When the certificate ends, Unix time in seconds.
    """

    version: str
    ends_at: float


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """What one address answered, or why it did not.

    Attributes:
        url: What was asked.
        fault: None if there was an answer.
        trouble: The fault in words.
        status: Of the answer.
        headers: Of the answer, names in lower case, in their order.
        body: Of the answer, at most 1 MB.
        channel: None without TLS.
        sent_at: Our clock when the question left, Unix time in seconds.
        received_at: Our clock when the answer came.
    """

    url: str
    fault: Fault | None = None
    trouble: str = ""
    status: int = 0
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = field(default=b"", repr=False)
    channel: Channel | None = None
    sent_at: float = 0.0
    received_at: float = 0.0

    def all(self, name: str) -> list[str]:
        """Each value of a header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        """The first value of a header; empty without one."""
        return next(iter(self.all(name)), "")

    def clock_difference_s(self) -> float | None:
        """By how many seconds the other side's clock is surely ahead of ours; negative behind, None if it tells none.

        Its date has whole seconds and was made at some time between question and answer: within that, it is 0.
        """
        with suppress(ValueError, TypeError):
            told = parsedate_to_datetime(self.header("date")).timestamp() + float(self.header("age") or 0)
            ahead, behind = told - self.received_at, told + 1 - self.sent_at
            return max(ahead, 0.0) or min(behind, 0.0)
        return None


class HttpProbe:
    """Asks addresses; use it as an asynchronous context manager.

    Args:
        trusted: Whose certificates are believed; by default those that this machine believes.
        timeout_s: Longest time for each step of asking one address.
    """

    def __init__(self, trusted: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._trusted, self._timeout_s = trusted, timeout_s
        self._asked: dict[str, asyncio.Task[ProbeResponse]] = {}
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> HttpProbe:
        import httpx2

        # the environment's proxies and certificates are this machine's own, the host knows nothing of them
        trusted = self._trusted or httpx2.create_ssl_context(trust_env=False)
        self._client = httpx2.AsyncClient(
            headers=HEADERS, verify=trusted, follow_redirects=False, timeout=self._timeout_s, trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, url: str) -> ProbeResponse:
        """What the address answers to GET; it is asked when first wanted."""
        if url not in self._asked:
            self._asked[url] = asyncio.create_task(self._visit(url))
        return await asyncio.shield(self._asked[url])

    async def _visit(self, url: str) -> ProbeResponse:
        place = urlsplit(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                await _look_up(place.hostname or "")
            # later than the client's own time is over, which closes what it has opened
            async with asyncio.timeout(self._timeout_s + GRACE_S):
                return await self._answer(url)
        except Exception as problem:
            fault, trouble = _explained(problem, self._timeout_s)
            return ProbeResponse(url, fault, trouble)

    async def _answer(self, url: str) -> ProbeResponse:
        assert self._client is not None, "used outside of 'async with'"  # noqa: S101 - a mistake of ours, not a state
        sent_at = time.time()
        async with self._client.stream("GET", url) as response:
            received_at = time.time()
            channel = _channel(response.extensions["network_stream"].get_extra_info("ssl_object"))
            headers = [(name.lower(), value) for name, value in response.headers.multi_items()]
            body = await _bounded(response)
        return ProbeResponse(url, None, "", response.status_code, headers, body, channel, sent_at, received_at)


class TooLong(Exception):
    """An answer has no end."""


async def _bounded(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLong(f"answers with more than {LARGEST_BODY} bytes")
    return body


def _channel(connection: ssl.SSLObject | None) -> Channel | None:
    if connection is None:
        return None
    certificate: Mapping[str, Any] = connection.getpeercert() or {}
    return Channel(connection.version() or "", ssl.cert_time_to_seconds(certificate["notAfter"]))


async def _look_up(name: str) -> None:
    """Raise ``gaierror`` for a name that nobody knows.

    In a thread that nobody waits for at the end: the system's own patience with name servers is longer than ours.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[BaseException | None] = loop.create_future()

    def tell(problem: BaseException | None) -> None:
        if not found.done():
            found.set_result(problem)

    def resolve() -> None:
        problem: BaseException | None = None
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError as unknown:
            problem = unknown
        with suppress(RuntimeError):  # the loop is closed, nobody waits any more
            loop.call_soon_threadsafe(tell, problem)

    threading.Thread(target=resolve, daemon=True).start()
    if (problem := await found) is not None:
        raise problem


def _explained(problem: BaseException, timeout_s: float) -> tuple[Fault, str]:
    """A failure as one of ours, from what caused it."""
    silence = Fault.SILENT, f"it did not answer within {timeout_s:g} s"
    if isinstance(problem, TimeoutError) or type(problem).__name__.endswith("Timeout"):
        return silence
    for cause in _causes(problem):
        if isinstance(cause, socket.gaierror):
            return Fault.NAME, f"its name cannot be resolved here ({cause.strerror})"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Fault.CERTIFICATE, f"its certificate is refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return Fault.TLS, f"it does not speak TLS as expected ({cause.reason or 'the connection was closed'})"
        if isinstance(cause, TimeoutError):
            return silence
        if isinstance(cause, OSError) and cause.errno:
            return Fault.REFUSED, f"nothing answers there ({os.strerror(cause.errno).lower()})"
    return Fault.BROKEN, f"it {problem}" if isinstance(problem, TooLong) else "its answer is no HTTP"


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """The failure behind each failure, the first cause first."""
    chain: list[BaseException] = []
    step: BaseException | None = problem
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    yield from reversed(chain)
