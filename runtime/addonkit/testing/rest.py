"""The simulated REST API of a host: verifies signatures, records requests, and responds as a test configures it."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson

from addonkit.protocol.canonical import query_hash
from addonkit.testing.asgi import Receive, Scope, Send
from addonkit.testing.exchange import RecordedRequest, Reply, ReplyFactory
from addonkit.testing.keys import InstallKeys
from addonkit.testing.resources import Resources
from addonkit.testing.site import Site

USER_TOKEN_LIFETIME_S = 900
TENANT_INFO = "/_edge/tenant_info"
"""Path at which a site states its cloud id to anybody."""
_CLIENT_PREFIX = "urn:atlassian:connect:clientid:"
_ACCOUNT_PREFIX = "urn:atlassian:connect:useraccountid:"


class SignatureRejected(Exception):
    """The authentication of a request does not meet the product's rules; the message says why."""


class RestApi:
    """The REST API of all sites of one host, with its token server and install keys.

    By default all permissions are granted, all accounts exist, properties are stored, issues and pages exist that a
    test has opened, and every other resource is 404; see ``resources``. A site states its cloud id to anybody.

    Args:
        keys: Install keys, served at the same URL.

    Attributes:
        keys: The install keys.
        url: The URL of the server; sites are installed from there.
        sites: The sites whose requests are accepted.
        requests: Correctly authenticated requests, and those for ``/_edge/tenant_info``, oldest first.
        rejected: Reasons for which other requests were rejected, oldest first.
        token_grants: Account ids for which user tokens were issued, oldest first.
        resources: The default responses and their state.
        status: While it is set, such as to 503, the status of every response.
        token_errors: OAuth errors by account id for which no token is issued: ``{"acc-9": "invalid_grant"}``.
    """

    def __init__(self, keys: InstallKeys) -> None:
        self.url = ""
        self.sites: list[Site] = []
        self.requests: list[RecordedRequest] = []
        self.rejected: list[str] = []
        self.token_grants: list[str] = []
        self.token_errors: dict[str, str] = {}
        self.status: int | None = None
        self.resources = Resources()
        self.keys = keys
        self._replies: list[tuple[str, re.Pattern[str], ReplyFactory]] = []
        self._tokens: dict[str, tuple[Site, str, float]] = {}

    def answer(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        by: ReplyFactory | None = None,
    ) -> None:
        """Set the response for a method and path; a later call takes precedence over earlier ones.

        Args:
            method: The HTTP method.
            path: Path relative to the site's base URL; ``*`` matches one segment.
            json: The body as JSON values.
            status: The HTTP status.
            headers: Headers besides the content type.
            content: The body as bytes, instead of ``json``.
            by: Function that returns the response, instead of all these.
        """
        reply = Reply(json, status, headers or {}, content)
        self._replies.insert(0, (method.upper(), _pattern(path), by or (lambda _: reply)))

    def remove_last_answer(self) -> None:
        """Remove the response that was set last."""
        self._replies.pop(0)

    def requests_to(self, method: str, path: str) -> list[RecordedRequest]:
        """Return the recorded requests with this method and path, in which ``*`` matches one segment."""
        pattern = _pattern(path)
        return [sent for sent in self.requests if sent.method == method.upper() and pattern.fullmatch(sent.path)]

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve the API and the install keys on a free loopback port; yields the URL."""
        from addonkit.testing import loopback

        async with loopback.serving(self, loopback.bind()) as url:
            self.url = url
            yield url

    @contextmanager
    def serve_in_thread(self) -> Iterator[str]:
        """Serve the API from a thread, for tests that block their own, for example with a command; yields the URL."""
        served: Future[str] = Future()
        stopped = threading.Event()

        async def serve() -> None:
            async with self.serve() as url:
                served.set_result(url)
                await asyncio.to_thread(stopped.wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        try:
            yield served.result(10)
        finally:
            stopped.set()
            thread.join()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one ASGI request."""
        if scope["type"] == "lifespan" or scope["path"].removeprefix("/") == self.keys.kid:
            await self.keys(scope, receive, send)
            return
        body = await _read_body(receive)
        if scope["path"] == TENANT_INFO:
            reply = self._tenant_info(scope)
        else:
            reply = self.issue_token(body) if scope["path"] == "/oauth2/token" else self._reply(scope, body)
        content = (
            reply.content if reply.content is not None else b"" if reply.json is None else orjson.dumps(reply.json)
        )
        headers = {"content-type": "application/json", "content-length": str(len(content)), **reply.headers}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    def _reply(self, scope: Scope, body: bytes) -> Reply:
        try:
            sent = self.authenticate(scope, body)
        except SignatureRejected:
            return Reply({"errorMessages": ["the token was rejected"]}, 401)
        self.requests.append(sent)
        if (configured := self._configured(sent)) is not None:
            return configured
        found = self.resources.reply(sent.method, sent.path, sent.query, sent.body, sent.site)
        if found is None:
            return Reply({"errorMessages": [f"no resource at '{sent.path}'"]}, 404)
        return Reply(found[1], found[0])

    def _configured(self, sent: RecordedRequest) -> Reply | None:
        """Return the response that a test has set for a request; None if there is none."""
        if self.status is not None:
            return Reply({"errorMessages": ["status set by the test"]}, self.status)
        for method, pattern, by in self._replies:
            if method == sent.method and pattern.fullmatch(sent.path):
                reply = by(sent)
                return reply if isinstance(reply, Reply) else Reply(reply)
        return None

    def _tenant_info(self, scope: Scope) -> Reply:
        """Respond with the cloud id of the site at the requested origin; of the first one, if there are several."""
        headers = _headers(scope)
        origin = f"{scope['scheme']}://{headers.get('host', '')}"
        site = next((site for site in self.sites if site.origin == origin), None)
        if site is None:
            return Reply({"errorMessages": [f"no site at '{origin}'"]}, 404)
        sent = RecordedRequest(scope["method"], TENANT_INFO, {}, headers, b"", site)
        self.requests.append(sent)
        return self._configured(sent) or Reply({"cloudId": site.cloud_id})

    def authenticate(self, scope: Scope, body: bytes) -> RecordedRequest:
        """Verify a request's token and return the request.

        Args:
            scope: The ASGI scope.
            body: The request's body.

        Raises:
            SignatureRejected: The token does not meet the product's rules; the reason is added to ``rejected``.
        """
        try:
            return self._authenticated(scope, body)
        except (jwt.PyJWTError, LookupError, ValueError) as error:
            self.rejected.append(f"{type(error).__name__}: {error}")
            raise SignatureRejected(self.rejected[-1]) from error

    def _authenticated(self, scope: Scope, body: bytes) -> RecordedRequest:
        headers = _headers(scope)
        kind, _, token = headers.get("authorization", "").partition(" ")
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        account: str | None = None
        if kind == "Bearer":
            site, account, until = self._tokens[token]
            _require(time.time() < until, "the user's token has expired")
            _require(site in self.sites, "the site does not exist")
        else:
            _require(kind == "JWT", f"the scheme of 'Authorization' is '{kind}', expected 'JWT' or 'Bearer'")
            site = self._signer(token)
        base = site.context_path
        _require(path.startswith(base + "/"), f"'{path}' is not below '{base}'")
        if kind == "JWT":
            claims = jwt.decode(token, site.shared_secret, algorithms=["HS256"], audience=site.client_key)
            _require(
                claims["qsh"] == query_hash(scope["method"], path, query, base),
                "the query hash does not match",
            )
            _require(0 < claims["exp"] - claims["iat"] <= 180, "the token's lifetime is over 180 s")
            _require("sub" not in claims, "a token of an add-on must not have a subject")
        _require(not (body and scope["method"] in ("GET", "HEAD")), "a GET request must not have a body")
        values = parse_qs(query, keep_blank_values=True)
        return RecordedRequest(scope["method"], path[len(base) :], values, headers, body, site, account)

    def _signer(self, token: str) -> Site:
        [client_key] = jwt.decode(token, options={"verify_signature": False})["aud"]
        return {site.client_key: site for site in self.sites}[client_key]

    def issue_token(self, body: bytes) -> Reply:
        """Return the token server's response to a form with an assertion."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        try:
            site, account = self._asserted(form["assertion"])
        except (jwt.PyJWTError, LookupError, ValueError) as error:
            self.rejected.append(f"{type(error).__name__}: {error}")
            return Reply({"error": "invalid_client"}, 401)
        if denied := self.token_errors.get(account):
            return Reply({"error": denied, "error_description": f"no token for '{account}'"}, 400)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = (site, account, time.time() + USER_TOKEN_LIFETIME_S)
        self.token_grants.append(account)
        return Reply({"access_token": token, "token_type": "Bearer", "expires_in": USER_TOKEN_LIFETIME_S})

    def _asserted(self, assertion: str) -> tuple[Site, str]:
        unverified = jwt.decode(assertion, options={"verify_signature": False})
        site = {f"{_CLIENT_PREFIX}{site.oauth_client_id}": site for site in self.sites}[unverified["iss"]]
        claims = jwt.decode(assertion, site.shared_secret, algorithms=["HS256"], audience=self.url)
        _require(claims["tnt"] == site.base_url, "the assertion is for another site")
        _require(claims["exp"] - claims["iat"] <= 60, "the assertion's lifetime is over 60 s")
        _require(claims["sub"].startswith(_ACCOUNT_PREFIX), "the subject of the assertion is not an account")
        return site, claims["sub"].removeprefix(_ACCOUNT_PREFIX)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in path.split("*")))


async def _read_body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return body


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
