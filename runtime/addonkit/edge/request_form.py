"""The form of an inbound request: what no server checks for the edge, and what servers hand on differently."""

from __future__ import annotations

import re
from urllib.parse import unquote

from addonkit.edge.request import InboundRequest, Scope
from addonkit.errors import Refused, RequestMalformed

_ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://[a-z0-9._~%!$&'()*+,;=:@\[\]-]+(?=[/?]|$)", re.IGNORECASE)


def with_origin_form(scope: Scope) -> Scope:
    """Return the scope with the path of an absolute-form target, ``GET http://kit.example/path``.

    HTTP/1.1 requires servers to accept that form (RFC 9112, 3.2.2). granian passes on the path alone, hypercorn the
    whole target. Scheme and authority are ignored, as ``Host`` is.
    """
    raw_path: bytes = scope.get("raw_path") or b""
    if raw_path.startswith(b"/") or scope.get("http_version", "1.1")[:1] != "1":
        return scope
    found = _ABSOLUTE.match(raw_path)
    if found is None:
        return scope
    path = raw_path[found.end() :]
    path = path if path.startswith(b"/") else b"/" + path
    return {**scope, "raw_path": path, "path": unquote(path.partition(b"?")[0].decode("latin-1"))}


def problem_of(scope: Scope) -> Refused | None:
    """Return why a request is refused for its form, whoever has sent it; None if it is not.

    With both Content-Length and Transfer-Encoding, a proxy may have read another body than this server. Without a path,
    the target is that of a proxy's tunnel (``CONNECT``), or malformed.
    """
    if not scope["path"].startswith(("/", "*")) and not scope.get("root_path"):
        return RequestMalformed("the target of the request has no path that begins with '/'")
    framing = 0
    for name, _ in scope["headers"]:
        if name == b"content-length":
            framing |= 1
        elif name == b"transfer-encoding":
            framing |= 2
    if framing == 3:
        return RequestMalformed("the request has both Content-Length and Transfer-Encoding, expected one of them")
    return None


def check_query(query: bytes) -> None:
    """Check that the application can read a query.

    Raises:
        RequestMalformed: It is not UTF-8.
    """
    try:
        query.decode()
    except UnicodeDecodeError:
        raise RequestMalformed("the query is not UTF-8; percent-encode its values") from None


def path_problem(request: InboundRequest) -> str | None:
    """Return why no route can have the path of a request; None if one can."""
    if not request.in_base_path:
        return "the path is not below that of [addon] base_url"
    if not request.is_unambiguous():
        return "servers read this path in different ways: it has an empty or a dot segment, or a backslash"
    return None
