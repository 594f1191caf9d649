"""Where a call goes: to the site that it is for, or nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from addonkit.errors import CallForbidden
from addonkit.host import One, Query
from addonkit.protocol.canonical import query_hash

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
