"""One call as it is sent: made of what a plugin says, checked before anything leaves, and kept on its site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx2
import orjson
from pydantic import BaseModel

from addonkit.errors import CallForbidden
from addonkit.host import Bounds, One, Options, Query, Writing
from addonkit.protocol.canonical import query_hash

MAX_BYTES = 8 * 1024 * 1024
KNOWN = frozenset(Options.__annotations__) | frozenset(Writing.__annotations__) | frozenset(Bounds.__annotations__)
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
METHODS = IDEMPOTENT | {"POST", "PATCH"}
OURS = frozenset(
    {
        *("authorization", "host", "cookie", "content-length", "transfer-encoding", "connection", "accept-encoding"),
        *("proxy-authorization", "x-http-method-override", "x-method-override", "te", "upgrade", "expect"),
    }
)
"""Headers that a plugin does not set."""
_NAME, _VALUE = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+"), re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\#]")
# Also behind an escaped slash: whoever decodes the path would walk up there.
_DOTS = re.compile(r"(?:^|/|%2f|%5c)(?:\.|%2e){1,2}(?:/|%2f|%5c|;|%3b|$)", re.IGNORECASE)
_LONGEST = 8000


@dataclass(frozen=True, slots=True)
class RequestUrl:
    """One resource of one site.

    Attributes:
        url: As it goes on the wire.
        path: Relative to the site's base URL, without the query: what scopes are told by, and people.
        query: As it goes on the wire.
    """

    url: httpx2.URL
    path: str
    query: str

    def qsh(self, method: str) -> str:
        """The hash that a token for this very call carries."""
        return query_hash(method, self.path, self.query)


@dataclass(frozen=True, slots=True)
class HostCall:
    """One call, as it is sent again and again.

    Attributes:
        method: In upper case.
        target: Where to.
        headers: The plugin's.
        content: The body.
        max_bytes: Largest answer.
        idempotent: Whether sending it twice does no harm.
        acting: Account id of the user that it is made as; None is the add-on.
        signed: Whether it is made in anybody's name.
    """

    method: str
    target: RequestUrl
    headers: Mapping[str, str]
    content: bytes | None
    max_bytes: int
    idempotent: bool
    acting: str | None
    signed: bool = True

    @property
    def said(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.target.path}"


def call_of(
    base_url: str, method: str, path: str, options: Options, acting: str | None = None, *, signed: bool = True
) -> HostCall:
    """The call that a plugin asks for.

    Args:
        base_url: The site's.
        method: In any case.
        path: Relative to the base URL.
        options: The plugin's.
        acting: Account id of the user that it is made as; None is the add-on.
        signed: Whether it is made in anybody's name.

    Raises:
        CallForbidden: The host would refuse it, or it leads off the site.
        TypeError: An option is none.
    """
    if unknown := sorted(options.keys() - KNOWN):
        raise TypeError(f"'{unknown[0]}' is no option of a call; known are {', '.join(sorted(KNOWN))}")
    method = method.upper()
    if method not in METHODS:
        raise CallForbidden(f"'{method[:20]}' is no method of the host's API; use one of {', '.join(sorted(METHODS))}")
    headers = {name.lower(): value for name, value in options.get("headers", {}).items()}
    if odd := [name for name, value in headers.items() if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value)]:
        raise CallForbidden(f"the header '{odd[0][:40]!a}' is none: names are tokens, values one line of plain ASCII")
    if taken := sorted(headers.keys() & OURS):
        raise CallForbidden(f"the header '{taken[0]}' is set by the runtime; leave it out")
    content = _body(options, headers)
    if content is not None and method in ("GET", "HEAD"):
        # Source: the host's edge answers 403 to a GET with a body
        raise CallForbidden(f"'{method} {path.partition('?')[0]}' has a body, which the host refuses; use params")
    return HostCall(
        method,
        target(base_url, path, options.get("params")),
        headers,
        content,
        options.get("max_bytes", MAX_BYTES),
        options.get("idempotent", method in IDEMPOTENT),
        acting,
        signed,
    )


def _body(options: Options, headers: dict[str, str]) -> bytes | None:
    """The body, and the headers that go with it.

    Raises:
        TypeError: There would be several.
    """
    given = [name for name in ("json", "content", "files") if options.get(name) is not None]
    if len(given) > 1:
        raise TypeError(f"a call has one body, not {' and '.join(given)}; leave one out")
    if given == ["json"]:
        headers.setdefault("content-type", "application/json")
        return orjson.dumps(options["json"], default=_jsonable)
    if given == ["files"]:
        form = httpx2.Request("POST", "http://form", files=dict(options["files"]))
        # Source: without it the host takes a form for one of a browser's and refuses it
        headers.setdefault("x-atlassian-token", "no-check")
        headers["content-type"] = form.headers["content-type"]
        return form.read()
    return options.get("content")


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"a value of type '{type(value).__name__}' is no JSON")


def target(base_url: str, path: str, params: Query | None = None) -> RequestUrl:
    """The resource at a path of a site.

    Args:
        base_url: The site's, canonical.
        path: Relative to it, with or without a query; links that the host gave with the base URL, or with its path,
            are taken as well.
        params: Added to the query.

    Raises:
        CallForbidden: It leads, or could lead, off the site.
    """
    below = _below(base_url, path)
    plain, _, query = below.partition("?")
    query = "&".join(part for part in (query, _encoded(params)) if part)
    if len(plain) + len(query) > _LONGEST:
        raise CallForbidden(f"the address is longer than {_LONGEST} characters; send what makes it long in a body")
    try:
        url = httpx2.URL(base_url + plain + (f"?{query}" if query else ""))
    except httpx2.InvalidURL as wrong:
        raise CallForbidden(f"'{_shown(path)}' is no path of a resource ({wrong}); escape what it is made of") from None
    base_path = urlsplit(base_url).path
    sent, _, sent_query = url.raw_path.decode("latin-1").partition("?")
    return RequestUrl(url, sent[len(base_path) :], sent_query)


def redirected(base_url: str, found: RequestUrl, location: str) -> RequestUrl:
    """Where the site sends on to.

    Raises:
        CallForbidden: It is off the site.
    """
    try:
        return target(base_url, urljoin(str(found.url), location))
    except ValueError:
        raise CallForbidden(f"'{_shown(location)}' is no address") from None


def _below(base_url: str, path: str) -> str:
    """The path relative to the base URL."""
    below, base_path = path, urlsplit(base_url).path
    if _begins(path, base_url):
        below = path[len(base_url) :]
    elif base_path and _begins(path, base_path):
        below = path[len(base_path) :]
    below = below or "/"
    if not below.startswith(("/", "\\")) and "://" not in below and not below.startswith((":", "@", ".")):
        raise CallForbidden(f"'{_shown(path)}' does not begin with '/'; write '/{_shown(path)}'")
    if not below.startswith("/") or below.startswith("//"):
        raise CallForbidden(
            f"'{_shown(path)}' leads off the site '{base_url}', and its token goes nowhere else; write a path that "
            "begins with one '/'"
        )
    plain = below.partition("?")[0]
    if _UNSAFE.search(below) or _DOTS.search(plain) or "//" in plain:
        raise CallForbidden(
            f"'{_shown(path)}' is no plain path of a resource: it has a space, '\\', '#', '//' or dots for a folder; "
            "escape what it is made of with urllib.parse.quote(…, safe='')"
        )
    return below


def _begins(path: str, start: str) -> bool:
    return path.startswith(start) and path[len(start) : len(start) + 1] in ("", "/", "?")


def _encoded(params: Query | None) -> str:
    pairs = []
    for name, value in (params or {}).items():
        many: Iterable[One] = [value] if isinstance(value, str | int | float) else value or []
        pairs += [f"{quote(name, safe='')}={quote(_text(one), safe='')}" for one in many]
    return "&".join(pairs)


def _text(value: One) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(path: str) -> str:
    """A path for a message: without its query, which is nobody's business, and not too long."""
    return path.partition("?")[0][:200]
