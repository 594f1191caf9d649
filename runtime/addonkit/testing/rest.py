"""The host's REST API as far as tests want it: it takes signed calls alone, answers what a test says, and remembers."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson

from addonkit.protocol.canonical import query_hash
from addonkit.testing.asgi import Receive, Scope, Send
from addonkit.testing.keys import InstallKeys
from addonkit.testing.resources import Resources
from addonkit.testing.site import Site

USER_TOKEN_LIFE_S = 900
_CLIENT = "urn:atlassian:connect:clientid:"
_SUBJECT = "urn:atlassian:connect:useraccountid:"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that the add-on made.

    Attributes:
        method: In upper case.
        path: Relative to the site's base URL, without the query.
        query: Values by name, each a list.
        headers: By name in lower case.
        body: As it came.
        site: Whose secret signed it.
        account_id: The user that it was made as; None is the add-on itself.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    site: Site
    account_id: str | None = None

    def json(self) -> Any:
        """The body, decoded; None where there is none."""
        return orjson.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Attributes:
        json: The body, as JSON values; None is no body.
        status: The HTTP status.
        headers: Beside the content type.
        content: The body as bytes, in place of ``json``.
    """

    json: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


class CallRefused(Exception):
    """A call is not signed as the product wants it."""


Answering = Callable[[Asked], Reply | dict[str, Any] | list[Any] | None]
"""Makes an answer: a reply, or JSON values that are answered with 200."""


class Rest:
    """The REST API of all sites of one host, and its token server.

    Where a test says nothing, everybody may do everything, accounts have names, properties are kept, and all else is
    404; see ``Resources``.

    Args:
        keys: Served beside it: a test's host has one server.

    Attributes:
        keys: Those.
        url: Where it is served; sites are installed from there.
        sites: Those whose calls are taken.
        calls: What was asked for and well signed, oldest first.
        refused: Why other calls were refused, oldest first.
        granted: For whom tokens were given, oldest first.
        resources: What is there without a test's word.
        status: What every call is answered with while it is set, such as 503.
        refused_users: OAuth errors by account id, for those who get no token: ``{"acc-9": "invalid_grant"}``.
    """

    def __init__(self, keys: InstallKeys) -> None:
        self.url = ""
        self.sites: list[Site] = []
        self.calls: list[Asked] = []
        self.refused: list[str] = []
        self.granted: list[str] = []
        self.refused_users: dict[str, str] = {}
        self.status: int | None = None
        self.resources = Resources()
        self.keys = keys
        self._answers: list[tuple[str, re.Pattern[str], Answering]] = []
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
        by: Answering | None = None,
    ) -> None:
        """Answer calls to a path from now on; what was said last is looked at first.

        Args:
            method: The HTTP method.
            path: Relative to the base URL; ``*`` stands for one part of it.
            json: The body, as JSON values.
            status: The HTTP status.
            headers: Beside the content type.
            content: The body as bytes, in place of ``json``.
            by: Makes the answer, in place of all these.
        """
        reply = Reply(json, status, headers or {}, content)
        self._answers.insert(0, (method.upper(), _pattern(path), by or (lambda _: reply)))

    def asked(self, method: str, path: str) -> list[Asked]:
        """The calls of one method to one path, in which ``*`` stands for one part."""
        pattern = _pattern(path)
        return [call for call in self.calls if call.method == method.upper() and pattern.fullmatch(call.path)]

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve it on a free loopback port, with the installation keys; gives the URL."""
        from addonkit.testing import loopback

        async with loopback.serving(self, loopback.bind()) as url:
            self.url = url
            yield url

    @contextmanager
    def serve_in_thread(self) -> Iterator[str]:
        """Serve it from a thread, while this one waits for something else, such as a command; gives the URL."""
        served: Future[str] = Future()
        ended = threading.Event()

        async def serve() -> None:
            async with self.serve() as url:
                served.set_result(url)
                await asyncio.to_thread(ended.wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        try:
            yield served.result(10)
        finally:
            ended.set()
            thread.join()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan" or scope["path"].removeprefix("/") == self.keys.kid:
            await self.keys(scope, receive, send)
            return
        body = await _body(receive)
        reply = self.token(body) if scope["path"] == "/oauth2/token" else self._reply(scope, body)
        content = (
            reply.content if reply.content is not None else b"" if reply.json is None else orjson.dumps(reply.json)
        )
        headers = {"content-type": "application/json", "content-length": str(len(content)), **reply.headers}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    def _reply(self, scope: Scope, body: bytes) -> Reply:
        try:
            asked = self.verified(scope, body)
        except CallRefused:
            return Reply({"errorMessages": ["the token is not taken"]}, 401)
        self.calls.append(asked)
        if self.status is not None:
            return Reply({"errorMessages": ["the test says so"]}, self.status)
        for method, pattern, by in self._answers:
            if method == asked.method and pattern.fullmatch(asked.path):
                made = by(asked)
                return made if isinstance(made, Reply) else Reply(made)
        found = self.resources.reply(asked.method, asked.path, asked.query, asked.body, asked.site)
        if found is None:
            return Reply({"errorMessages": [f"there is nothing at '{asked.path}'"]}, 404)
        return Reply(found[1], found[0])

    def verified(self, scope: Scope, body: bytes) -> Asked:
        """The call that a request is, now that it is known who signed it.

        Args:
            scope: ASGI's.
            body: The request's.

        Raises:
            CallRefused: It is not signed as the product wants it; ``refused`` says why.
        """
        try:
            return self._verified(scope, body)
        except (jwt.PyJWTError, LookupError, ValueError) as wrong:
            self.refused.append(f"{type(wrong).__name__}: {wrong}")
            raise CallRefused(self.refused[-1]) from wrong

    def _verified(self, scope: Scope, body: bytes) -> Asked:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        kind, _, token = headers.get("authorization", "").partition(" ")
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        account: str | None = None
        if kind == "Bearer":
            site, account, until = self._tokens[token]
            _demand(time.time() < until, "the user's token has ended")
            _demand(site in self.sites, "the site is gone")
        else:
            _demand(kind == "JWT", f"'Authorization' is of the kind '{kind}'")
            site = self._signer(token)
        base = site.context_path
        _demand(path.startswith(base + "/"), f"'{path}' is not below '{base}'")
        if kind == "JWT":
            claims = jwt.decode(token, site.shared_secret, algorithms=["HS256"], audience=site.client_key)
            _demand(claims["qsh"] == query_hash(scope["method"], path, query, base), "the query hash is another's")
            _demand(0 < claims["exp"] - claims["iat"] <= 180, "the token lives too long")
            _demand("sub" not in claims, "an add-on's token names no user")
        _demand(not (body and scope["method"] in ("GET", "HEAD")), "a GET has a body")
        values = parse_qs(query, keep_blank_values=True)
        return Asked(scope["method"], path[len(base) :], values, headers, body, site, account)

    def _signer(self, token: str) -> Site:
        [client_key] = jwt.decode(token, options={"verify_signature": False})["aud"]
        return {site.client_key: site for site in self.sites}[client_key]

    def token(self, body: bytes) -> Reply:
        """What the token server answers to a form."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        try:
            site, account = self._asserted(form["assertion"])
        except (jwt.PyJWTError, LookupError, ValueError) as wrong:
            self.refused.append(f"{type(wrong).__name__}: {wrong}")
            return Reply({"error": "invalid_client"}, 401)
        if error := self.refused_users.get(account):
            return Reply({"error": error, "error_description": f"no token for '{account}'"}, 400)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = (site, account, time.time() + USER_TOKEN_LIFE_S)
        self.granted.append(account)
        return Reply({"access_token": token, "token_type": "Bearer", "expires_in": USER_TOKEN_LIFE_S})

    def _asserted(self, assertion: str) -> tuple[Site, str]:
        said = jwt.decode(assertion, options={"verify_signature": False})
        site = {f"{_CLIENT}{site.oauth_client_id}": site for site in self.sites}[said["iss"]]
        claims = jwt.decode(assertion, site.shared_secret, algorithms=["HS256"], audience=self.url)
        _demand(claims["tnt"] == site.base_url, "the assertion is for another site")
        _demand(claims["exp"] - claims["iat"] <= 60, "the assertion lives too long")
        _demand(claims["sub"].startswith(_SUBJECT), "the assertion names no account")
        return site, claims["sub"].removeprefix(_SUBJECT)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in path.split("*")))


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return body


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
