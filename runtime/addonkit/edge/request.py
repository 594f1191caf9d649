"""One inbound HTTP request as the edge sees it, before it is authenticated, and the record of what happened to it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from addonkit.errors import PayloadOverdue, PayloadTooLarge
from addonkit.log import TENANT
from addonkit.text import masked, shortened
from addonkit.time_limit import TimeLimit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RUNTIME = "addonkit"
"""The plugin's name in records of requests that the runtime itself answers; no plugin can have this name."""

AMBIGUOUS = re.compile(r"//|/\.{1,2}(?:/|$)|[\\\x00-\x1f\x7f]")
ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c|00)", re.IGNORECASE)
FORM = "application/x-www-form-urlencoded"
FORM_METHODS = ("POST", "PUT")
MAX_FORM_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0
MAX_LOGGED_PATH = 500
MAX_LOGGED_METHOD = 16


@dataclass(slots=True)
class RequestRecord:
    """What happened to one request: who answered, with which status, how many bytes.

    The edge and the application fill it in; the access log and the metrics read it. Names come from the code, never
    from the caller, which limits the number of different names.

    Attributes:
        plugin: The plugin that answered, ``addonkit`` for the runtime, or ``""`` if nobody did.
        route: Name of the endpoint, such as ``issue_panel.panel``, or ``""`` if there is none.
        template: The endpoint's path with its placeholders, or ``""`` if there is none.
        tenant: The tenant's key, set only after it was verified.
        host_request: Kind and event of a lifecycle request or webhook, such as ``("lifecycle", "installed")``.
        refused: The ``kind`` of the refusal, if the request was refused.
        reason: Why the request is refused, for the log; None while nobody has stated a reason.
        error: Name of the class of the exception that the request failed with, if it failed.
        is_logged: Whether an event of the log tells that the request failed; there is one for each failed request.
        status: Status of the response; 0 until it starts.
        size: Bytes of the response's body that were sent.
    """

    plugin: str = ""
    route: str = ""
    template: str = ""
    tenant: str | None = None
    host_request: tuple[str, str] | None = None
    refused: str | None = None
    reason: str | None = None
    error: str | None = None
    is_logged: bool = False
    status: int = 0
    size: int = 0

    def answered_by(self, plugin: str, route: str, template: str = "") -> None:
        """Record the plugin and the endpoint that answer, and the endpoint's path with its placeholders."""
        self.plugin, self.route, self.template = plugin, route, template


@dataclass(slots=True)
class InboundRequest:
    """A request, relative to the base path.

    Attributes:
        method: In upper case.
        path: The raw path with its percent-escapes, beginning with ``/``; without the base path if it is below it.
        query: The raw query without ``?``.
        headers: Pairs of name and value; names are in lower case, as ASGI requires.
        request_id: Random id made by the edge, for the log and for refusals.
        in_base_path: Whether the path is below the base path.
        client: The caller's address for the log; ``unix`` for a connection over a Unix socket.
        is_local: Whether caller and add-on are on this machine, so that a refusal may show its reason.
        record: What happened to the request, filled in while it is processed.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    request_id: str
    in_base_path: bool = True
    client: str = ""
    is_local: bool = False
    record: RequestRecord = field(default_factory=RequestRecord, compare=False, repr=False)
    _single: dict[bytes, bytes | None] | None = field(default=None, init=False, compare=False, repr=False)

    def bind_tenant(self, key: str) -> None:
        """Record the key of the verified tenant and add it to all log lines from here on."""
        self.record.tenant = key
        TENANT.set(key)

    @property
    def logged_path(self) -> str:
        """The path for the log: shortened, on one line, with everything that looks like a token masked."""
        return shortened(masked(self.path), MAX_LOGGED_PATH)

    @property
    def logged_method(self) -> str:
        """The method for the log, shortened."""
        return shortened(self.method, MAX_LOGGED_METHOD)

    def header(self, name: bytes) -> str | None:
        """The value of a header, or None unless the header occurs exactly once."""
        found = self._single
        if found is None:
            found = self._single = {}
            for key, value in self.headers:
                found[key] = None if key in found else value
        value_of_one = found.get(name)
        return None if value_of_one is None else value_of_one.decode("latin-1")

    def accepts_json(self) -> bool:
        """Whether the Accept header names JSON."""
        return "application/json" in (self.header(b"accept") or "")

    def may_be_signed_form(self) -> bool:
        """Whether the host may have moved the signed parameters from the query into a form body."""
        if self.method not in FORM_METHODS or self.query:
            return False
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower() == FORM

    def is_unambiguous(self) -> bool:
        """Whether all servers read the path in the same way: it has no empty or dot segments and no backslashes.

        The decoded path must not have them either.
        """
        if not self.path.startswith("/"):
            return False
        if "%" not in self.path:
            return AMBIGUOUS.search(self.path) is None
        if ENCODED_SEPARATOR.search(self.path):
            return False
        return AMBIGUOUS.search(self.path) is None and AMBIGUOUS.search(unquote(self.path)) is None


@dataclass(slots=True)
class FormBody:
    """A form body that is read once to check its signature, and then passed to the application as one message.

    An instance is an ASGI ``receive`` callable. If ``read`` was not called, it passes the server's messages on.

    Attributes:
        receive: The server's ``receive``.
        timeout_s: Longest time for ``read``, in seconds.
    """

    receive: Receive
    timeout_s: float = BODY_TIMEOUT_S
    _body: bytes | None = None

    async def read(self) -> str:
        """Read the whole form and return it as latin-1 text.

        Raises:
            PayloadTooLarge: The form is larger than 64 KB.
            PayloadOverdue: The form did not arrive in time.
        """
        self._body = await read_body(self.receive, MAX_FORM_BYTES, self.timeout_s)
        return self._body.decode("latin-1")

    async def __call__(self) -> Message:
        """Return the next ASGI message: the body that was read, or the server's next message."""
        if self._body is None:
            return await self.receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def raw_path_of(scope: Scope) -> str:
    """Return the path as the caller sent it; if the server provides only the decoded path, encode that again."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe="/!$&'()*+,;=:@~").encode()
    return raw.partition(b"?")[0].decode("latin-1")


def below(raw_path: str, prefix: str) -> str | None:
    """Return a raw path relative to a prefix such as ``/kit``, or None if it is not below the prefix."""
    if raw_path == prefix:
        return "/"
    return raw_path.removeprefix(prefix) if raw_path.startswith(f"{prefix}/") else None


def mount_of(scope: Scope) -> str:
    """Return the raw path at which another application has mounted this one; empty if it is not mounted."""
    root_path = scope.get("root_path")
    return quote(root_path.rstrip("/"), safe="/!$&'()*+,;=:@~") if root_path else ""


async def read_body(
    receive: Receive, limit: int, timeout_s: float = BODY_TIMEOUT_S, reserve: Callable[[int], None] = lambda _: None
) -> bytes:
    """Read the whole body of a request, limited in size and time.

    Args:
        receive: The server's ``receive``.
        limit: Largest body, in bytes.
        timeout_s: Longest time for the whole body, so that a slow sender cannot hold the request open.
        reserve: Called with the size of each chunk before it is kept; may raise to refuse it.

    Raises:
        PayloadTooLarge: The body is larger than ``limit`` bytes; the rest is not read.
        PayloadOverdue: The body did not arrive in time, or the caller disconnected.
    """
    try:
        return await TimeLimit(timeout_s).run(_collect(receive, limit, reserve))
    except TimeoutError:
        raise PayloadOverdue(f"the body did not arrive within {timeout_s:g} s") from None


async def _collect(receive: Receive, limit: int, reserve: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise PayloadOverdue("the caller disconnected before its body was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"the body is larger than {limit} bytes")
        reserve(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
