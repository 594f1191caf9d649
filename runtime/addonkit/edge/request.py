"""One HTTP request as the edge sees it: the bytes of the wire, before anything is believed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from addonkit.edge.request_record import RequestRecord
from addonkit.errors import PayloadOverdue, PayloadTooLarge
from addonkit.log import structlog
from addonkit.text import masked, shortened

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

UNCLEAR = re.compile(r"//|/\.{1,2}(?:/|$)|[\\\x00-\x1f\x7f]")
FORM = "application/x-www-form-urlencoded"
FORM_METHODS = ("POST", "PUT")
LARGEST_FORM = 64 * 1024
BODY_TIMEOUT_S = 10.0
LONGEST_SHOWN = 500
ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c|00)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A request, relative to the base path.

    Attributes:
        method: Upper case.
        path: The raw path as sent, percent-escapes and all, beginning with ``/``; below the base path if it is ours.
        query: The raw query as sent, without ``?``.
        headers: Names in lower case, as ASGI gives them.
        request_id: Ours, for the log and for refusals; nothing of it is the caller's.
        is_ours: Whether the path lies below the base path.
        client: The caller's address, for the log; ``unix`` for one that came by a Unix socket.
        outcome: What becomes of it, filled in on the way.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    request_id: str
    is_ours: bool = True
    client: str = ""
    outcome: RequestRecord = field(default_factory=RequestRecord, compare=False, repr=False)

    def note_site(self, client_key: str) -> None:
        """Note the site that was proven, for all that is logged from here on."""
        self.outcome.client_key = client_key
        structlog.contextvars.bind_contextvars(client_key=client_key)

    @property
    def shown_path(self) -> str:
        """The path for the log: bounded, on one line, without what looks like a token."""
        return shortened(masked(self.path), LONGEST_SHOWN)

    def header(self, name: bytes) -> str | None:
        """The value of a header; None unless it stands there exactly once."""
        values = [value for key, value in self.headers if key == name]
        return values[0].decode("latin-1") if len(values) == 1 else None

    def wants_json(self) -> bool:
        """Whether the caller would rather have JSON than a page."""
        return "application/json" in (self.header(b"accept") or "")

    def may_be_signed_form(self) -> bool:
        """Whether the host may have moved the parameters that it signed into the body."""
        if self.method not in FORM_METHODS or self.query:
            return False
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower() == FORM

    def is_clear(self) -> bool:
        """Whether the path means one thing to everybody: no empty or dot segments, raw or decoded."""
        if not self.path.startswith("/"):
            return False
        if "%" not in self.path:
            return UNCLEAR.search(self.path) is None
        if ENCODED_SEPARATOR.search(self.path):
            return False
        return UNCLEAR.search(self.path) is None and UNCLEAR.search(unquote(self.path)) is None


@dataclass(slots=True)
class FormBody:
    """The body of a form: read where a signature may lie over it, and handed on to whoever reads it next.

    Attributes:
        receive: The server's; nothing is taken from it until ``read`` is called.
        timeout_s: Longest time that ``read`` may take.
    """

    receive: Receive
    timeout_s: float = BODY_TIMEOUT_S
    _held: bytes | None = None

    async def read(self) -> str:
        """The whole form as latin-1 text.

        Raises:
            PayloadTooLarge: It is longer than 64 KB.
            PayloadOverdue: It did not come in time.
        """
        self._held = await read_body(self.receive, LARGEST_FORM, self.timeout_s)
        return self._held.decode("latin-1")

    async def __call__(self) -> Message:
        """The next message, as ASGI applications ask for it."""
        if self._held is None:
            return await self.receive()
        body, self._held = self._held, None
        return {"type": "http.request", "body": body, "more_body": False}


def raw_path_of(scope: Scope) -> str:
    """The path as sent; servers that do not keep it give the decoded one, which is then encoded anew."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe="/!$&'()*+,;=:@~").encode()
    return raw.partition(b"?")[0].decode("latin-1")


async def read_body(
    receive: Receive, limit: int, timeout_s: float = BODY_TIMEOUT_S, take: Callable[[int], None] = lambda _: None
) -> bytes:
    """The whole body.

    Args:
        receive: The server's.
        limit: Longest body, in bytes.
        timeout_s: Longest time for all of it: whoever sends a byte now and then gets no more than that.
        take: Told the bytes of each part that came; may refuse it.

    Raises:
        PayloadTooLarge: It is longer than ``limit`` bytes; the rest is not read.
        PayloadOverdue: It did not come whole in time; the rest is not waited for.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _collected(receive, limit, take)
    except TimeoutError:
        raise PayloadOverdue(f"the body did not come whole within {timeout_s:g} s") from None


async def _collected(receive: Receive, limit: int, take: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise PayloadOverdue("the caller left before its body was whole")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"the body is longer than {limit} bytes")
        take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
