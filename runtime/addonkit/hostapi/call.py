"""One host call before it is sent: its method, URL, headers and body, validated.

``build_url`` guarantees that a call goes to the site that it is made for, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx2
import orjson
from pydantic import BaseModel

from addonkit.context import Tenant
from addonkit.errors import CallForbidden
from addonkit.host import BodyOptions, CallOptions, Query, QueryValue, RequestOptions
from addonkit.protocol.canonical import query_hash

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
MAX_URL_LENGTH = 8000
OPTIONS = frozenset().union(*(each.__annotations__ for each in (RequestOptions, BodyOptions, CallOptions)))
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
METHODS = IDEMPOTENT | {"POST", "PATCH"}
RESERVED_HEADERS = frozenset(
    {
        *("authorization", "host", "cookie", "content-length", "transfer-encoding", "connection", "accept-encoding"),
        *("proxy-authorization", "x-method-override", "te", "upgrade", "expect"),
    }
)
"""Headers that a plugin may not set."""
RESERVED_PREFIXES = ("x-http-method", "proxy-")
"""What the names of further such headers begin with: they would replace the method that was signed and checked."""
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\#]")
# Dot segments after an escaped slash are included, because a server that decodes the path would resolve them.
_DOT_SEGMENT = re.compile(r"(?:^|/|%2f|%5c)(?:\.|%2e){1,2}(?:/|%2f|%5c|;|%3b|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestUrl:
    """The URL of one resource of one site.

    Attributes:
        full: The absolute URL as it is sent.
        path: The path as it is sent, relative to the site's base URL, without the query.
        query: The query as it is sent.
    """

    full: httpx2.URL
    path: str
    query: str

    def qsh(self, method: str) -> str:
        """Return the query-string hash for the token of a request to this URL."""
        return query_hash(method, self.path, self.query)


@dataclass(frozen=True, slots=True)
class HostCall:
    """One host call; retries send it unchanged.

    Attributes:
        tenant: The site.
        method: In upper case.
        url: The resource.
        headers: Headers set by the plugin, and the body's content type; names in lower case.
        content: The body.
        max_bytes: Maximum size of the response body, in bytes.
        idempotent: Whether the request may safely be sent twice.
        acting: Account id of the user whom the call acts as; None is the add-on.
        signed: Whether the call carries a token; without one it is anonymous.
        streamed: Whether the body of a response with status 200 is left unread, and a redirect off the site is
            returned instead of refused.
    """

    tenant: Tenant
    method: str
    url: RequestUrl
    headers: Mapping[str, str]
    content: bytes | None
    max_bytes: int
    idempotent: bool
    acting: str | None
    signed: bool = True
    streamed: bool = False

    @property
    def label(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.url.path}"


@dataclass(slots=True)
class CallProgress:
    """The progress of a host call over all attempts: ``signing`` and ``retry`` write it, the metrics read it.

    Attributes:
        requests: Number of requests that were handed to the transport.
        in_flight: Whether the latest request was handed to the transport and has no response.
        is_renewed: Whether the token was renewed because the host had refused it.
        stream: The response of a streamed call, whose body is not read; whoever made the call closes it.
    """

    requests: int = 0
    in_flight: bool = False
    is_renewed: bool = False
    stream: httpx2.Response | None = None


def build_call(
    tenant: Tenant, method: str, path: str, options: RequestOptions, acting: str | None = None, *, signed: bool = True
) -> HostCall:
    """Validate what a plugin passes and build the call.

    Args:
        tenant: The site.
        method: In any case.
        path: Relative to the site's base URL.
        options: Options from the plugin.
        acting: Account id of the user whom the call acts as; None is the add-on.
        signed: Whether the call carries a token.

    Raises:
        CallForbidden: The host would refuse the request, or the path leads off the site.
        TypeError: An option is unknown, or there is more than one body.
    """
    if unknown := options.keys() - OPTIONS:
        raise TypeError(f"unknown option '{min(unknown)}' of a host call, expected {', '.join(sorted(OPTIONS))}")
    method = method.upper()
    if method not in METHODS:
        raise CallForbidden(
            f"'{method[:20]}' is not a method of the host's API; use one of {', '.join(sorted(METHODS))}"
        )
    headers = _headers(options)
    content = _body(options, headers)
    if content is not None and method in ("GET", "HEAD"):
        # Source: the host's edge answers 403 to a GET with a body.
        raise CallForbidden(f"'{method} {path.partition('?')[0]}' has a body, which the host refuses; use params")
    return HostCall(
        tenant=tenant,
        method=method,
        url=build_url(tenant.base_url, path, options.get("params")),
        headers=headers,
        content=content,
        max_bytes=options.get("max_bytes", MAX_RESPONSE_BYTES),
        idempotent=options.get("idempotent", method in IDEMPOTENT),
        acting=acting,
        signed=signed,
    )


def build_url(base_url: str, path: str, params: Query | None = None) -> RequestUrl:
    """Build the URL of a path of a site.

    Args:
        base_url: The site's base URL, canonical.
        path: Relative to the base URL, with or without a query. Links from the host's responses, which begin with the
            base URL or with its path, are accepted as well.
        params: Added to the query.

    Raises:
        CallForbidden: The path leads off the site, or is ambiguous.
    """
    relative = _relative_path(base_url, path)
    plain, _, query = relative.partition("?")
    query = "&".join(part for part in (query, _encode(params)) if part)
    if len(plain) + len(query) > MAX_URL_LENGTH:
        raise CallForbidden(f"the URL is longer than {MAX_URL_LENGTH} characters; send long values in a body")
    try:
        url = httpx2.URL(base_url + plain + (f"?{query}" if query else ""))
    except httpx2.InvalidURL as error:
        raise CallForbidden(f"'{_shorten(path)}' is not a valid path ({error}); escape its parts") from None
    base_path = urlsplit(base_url).path
    sent, _, sent_query = url.raw_path.decode("latin-1").partition("?")
    return RequestUrl(url, sent[len(base_path) :], sent_query)


def build_redirect_url(base_url: str, found: RequestUrl, location: str) -> RequestUrl:
    """Build the URL that a ``Location`` header redirects to.

    Args:
        base_url: The site's base URL.
        found: The URL of the redirected request.
        location: The header's value.

    Raises:
        CallForbidden: It is off the site.
    """
    try:
        return build_url(base_url, urljoin(str(found.full), location))
    except ValueError:
        raise CallForbidden(f"'{_shorten(location)}' is not a URL") from None


def _headers(options: RequestOptions) -> dict[str, str]:
    headers = {name.lower(): value for name, value in options.get("headers", {}).items()}
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise CallForbidden(
                f"the header '{name[:40]!a}' is invalid; its name has to be a token, its value one line of ASCII"
            )
    if reserved := {name for name in headers if name in RESERVED_HEADERS or name.startswith(RESERVED_PREFIXES)}:
        raise CallForbidden(f"the header '{min(reserved)}' is set by the runtime; omit it")
    return headers


def _body(options: RequestOptions, headers: dict[str, str]) -> bytes | None:
    """Encode the body and add its headers.

    Raises:
        TypeError: There is more than one body.
    """
    given = [name for name in ("json", "content", "files") if options.get(name) is not None]
    if len(given) > 1:
        raise TypeError(f"a host call has one body, found {' and '.join(given)}; pass one of them")
    if given == ["json"]:
        headers.setdefault("content-type", "application/json")
        return orjson.dumps(options["json"], default=_to_json)
    if given == ["files"]:
        form = httpx2.Request("POST", "http://form", files=dict(options["files"]))
        # Source: without this header the host refuses the form, as protection against cross-site requests.
        headers.setdefault("x-atlassian-token", "no-check")
        headers["content-type"] = form.headers["content-type"]
        return form.read()
    return options.get("content")


def _to_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"a value of type '{type(value).__name__}' cannot be encoded as JSON")


def _relative_path(base_url: str, path: str) -> str:
    """Return the path relative to the base URL.

    Raises:
        CallForbidden: The path leads off the site, or is ambiguous.
    """
    relative, base_path = path, urlsplit(base_url).path
    if _has_prefix(path, base_url):
        relative = path[len(base_url) :]
    elif base_path and _has_prefix(path, base_path):
        relative = path[len(base_path) :]
    relative = relative or "/"
    shown = _shorten(path)
    if not relative.startswith(("/", "\\")) and "://" not in relative and not relative.startswith((":", "@", ".")):
        raise CallForbidden(f"'{shown}' does not begin with '/'; write '/{shown}'")
    if not relative.startswith("/") or relative.startswith("//"):
        raise CallForbidden(
            f"'{shown}' leads off the site '{base_url}', and its token is sent nowhere else; write a path that begins "
            "with one '/'"
        )
    plain = relative.partition("?")[0]
    if _UNSAFE.search(relative) or _DOT_SEGMENT.search(plain) or "//" in plain:
        raise CallForbidden(
            f"'{shown}' is not a plain path: it contains a space, '\\', '#', '//' or a dot segment; escape its parts "
            "with urllib.parse.quote(…, safe='')"
        )
    return relative


def _has_prefix(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/", "?")


def _encode(params: Query | None) -> str:
    pairs = []
    for name, value in (params or {}).items():
        values: Iterable[QueryValue] = [value] if isinstance(value, str | int | float) else value or []
        pairs += [f"{quote(name, safe='')}={quote(_to_text(each), safe='')}" for each in values]
    return "&".join(pairs)


def _to_text(value: QueryValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shorten(path: str) -> str:
    """Return a path for a message: at most 200 characters, without the query, which may hold personal data."""
    return path.partition("?")[0][:200]
