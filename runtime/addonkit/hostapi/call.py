"""One call as it is sent: made of what a plugin says, checked before anything leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson
from pydantic import BaseModel

from addonkit.errors import CallForbidden
from addonkit.host import Bounds, Options, Writing
from addonkit.hostapi.url import RequestUrl, target

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
