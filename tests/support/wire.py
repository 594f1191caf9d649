"""Raw ASGI requests and tokens with any claim changed, which an HTTP client library would normalise."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import jwt
from addonkit.app import Addon
from addonkit.protocol.canonical import query_hash
from addonkit.testing import Host, Site
from addonkit.testing.databases import run_sql

Headers = Sequence[tuple[str, str]]
PAGE = "/under_test/page?issue_key=AB-1"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]

    def header(self, name: str) -> str:
        """Return the value of a header that occurs once; empty if it is missing."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else ""


@dataclass(frozen=True, slots=True)
class Wire:
    """An add-on in this process and the host on which it is installed."""

    addon: Addon
    host: Host

    @property
    def site(self) -> Site:
        return self.host.site

    async def ask(
        self, method: str, target: str, headers: Headers = (), body: bytes | Sequence[bytes | None] = b"", **scope: Any
    ) -> Answer:
        """Send one request unchanged; a sequence of bodies is sent in chunks, without a Content-Length.

        Without a header ``host``, the request gets one that names no machine.

        A chunk of None, and those after it, are never sent.
        """
        raw_path, _, query = target.partition("?")
        chunks: list[bytes | None] = [body] if isinstance(body, bytes) else list(body)
        length = [("content-length", str(len(body)))] if isinstance(body, bytes) and body else []
        named = [] if any(name == "host" for name, _ in headers) else [("host", "x")]
        sent = [*named, *headers, *length]
        found: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(raw_path).decode(errors="replace"),
            "raw_path": raw_path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 8000),
            **scope,
        }
        return await _spoken(self.addon, found, chunks)

    def claims(self, method: str, target: str, site: Site | None = None, **changes: Any) -> dict[str, Any]:
        """Return claims for one request, with the path relative to the base URL; None removes a claim."""
        path, _, query = target.partition("?")
        now = int(time.time())
        claims = {
            "iss": (site or self.site).client_key,
            "iat": now,
            "exp": now + 180,
            "sub": "acc-1",
            "qsh": query_hash(method, path, query),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, method: str, target: str, site: Site | None = None, **changes: Any) -> str:
        """Return a token of the site for one request."""
        return self.signed(self.claims(method, target, site, **changes), site)

    def signed(self, claims: Mapping[str, Any], site: Site | None = None) -> str:
        return jwt.encode(dict(claims), (site or self.site).shared_secret, algorithm="HS256")

    async def open(self, target: str, method: str = "GET", site: Site | None = None, **changes: Any) -> Answer:
        """Open a page with a token in the query, as the host's pages do."""
        token = self.token(method, target, site, **changes)
        return await self.ask(method, f"{target}{'&' if '?' in target else '?'}jwt={token}")

    async def send(self, authorization: str, method: str, target: str, body: bytes = b"", kind: str = "") -> Answer:
        """Send one request with an Authorization header."""
        content = [("content-type", kind)] if kind else []
        return await self.ask(method, target, [("authorization", authorization), *content], body)

    async def session(self, issue: str = "AB-1", site: Site | None = None, account: str | None = "acc-1") -> str:
        """Return a session of the plugin under test."""
        opened = await self.host.open(
            "under-test-page", site=site, account=account, issue={"key": issue, "id": "10001"}
        )
        assert opened.session is not None, opened.text
        return opened.session

    def installed(
        self, site: Site | None = None, event: str = "installed", body: Mapping[str, Any] | None = None, **changes: Any
    ) -> tuple[str, bytes]:
        """Return token and body of an install or uninstall request; None removes a claim or a field."""
        site = site or self.site
        claims = self.claims("POST", f"/lifecycle/{event}", site, **{"sub": None, **self.audience(), **changes})
        return self.host.keys.sign(claims), self.payload(site, event, **(body or {}))

    def audience(self) -> dict[str, str]:
        return {"aud": self.host.base_url}

    def payload(self, site: Site, event: str, **changes: Any) -> bytes:
        """Return the body of a lifecycle request."""
        fields = {
            "key": "com.example.test",
            "clientKey": site.client_key,
            "sharedSecret": site.shared_secret,
            "baseUrl": site.base_url,
            "displayUrl": site.display_url,
            "productType": site.product,
            "eventType": event,
            **changes,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()

    def state_request(self, site: Site, event: str, **changes: Any) -> tuple[str, bytes]:
        """Return token and body of ``enabled`` or ``disabled``, signed with the site's secret; tokens are unique."""
        token = self.token("POST", f"/lifecycle/{event}", site, **{"sub": None, "jti": str(uuid.uuid4()), **changes})
        return token, self.payload(site, event, sharedSecret=None)

    def lifecycle_request(self, site: Site, event: str) -> tuple[str, bytes]:
        """Return token and body of any lifecycle request, signed as the host signs it."""
        by_the_host = event in ("installed", "uninstalled")
        return self.installed(site, event) if by_the_host else self.state_request(site, event)

    async def page_status(self, site: Site) -> int:
        """Return the status of a page that the site opens."""
        return (await self.open(PAGE, site=site)).status

    async def is_known(self, site: Site) -> bool:
        """Return whether pages of the site are served."""
        return await self.page_status(site) == 200

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Run a query on a connection of its own and return the rows; ``?`` stands for a value."""
        assert query.startswith(("SELECT ", "PRAGMA ")), "a statement that may wait for a lock: await execute()"
        return run_sql(self.addon.deployment.directory, query, *values)

    async def execute(self, statement: str, *values: Any) -> None:
        """Run a statement that changes data, in another thread.

        The event loop goes on, since a lock that the statement waits for may be held by the add-on on this loop.
        """
        await asyncio.to_thread(run_sql, self.addon.deployment.directory, statement, *values)

    async def send_lifecycle(self, event: str, token: str | None, body: bytes) -> Answer:
        """Send a lifecycle request."""
        headers = [("authorization", f"JWT {token}")] if token else []
        return await self.ask("POST", f"/lifecycle/{event}", [*headers, ("content-type", "application/json")], body)


async def _spoken(app: Any, scope: dict[str, Any], chunks: list[bytes | None]) -> Answer:
    """Send one request through an ASGI application and return the response."""
    waiting = list(chunks)
    ended = asyncio.Event()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if waiting and waiting[0] is not None:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    await app(scope, receive, send)
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert len(starts) == 1, sent
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return Answer(starts[0]["status"], list(starts[0]["headers"]), body)
