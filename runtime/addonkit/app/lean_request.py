"""Quart's request, whose headers, body and locks are made when something reads them.

A request that the constructor makes is Quart's own in every respect; one that ``LeanRequest.of`` makes from an ASGI
scope has the same attributes. Those made on first use are cached properties, which Quart may still assign.
"""

from __future__ import annotations

from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlparse

from quart.asgi import ASGIHTTPConnection
from quart.wrappers import Request
from quart.wrappers.request import Body
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from addonkit.app.quart_internals import _normalise_path, _split_blueprint_path

if TYPE_CHECKING:
    from hypercorn.typing import ASGISendCallable, HTTPScope
    from quart import Quart

BODILESS = ("GET", "HEAD")
"""Methods whose requests are answered without reading a body, spelled as HTTP spells them."""


class BoundedBody(Body):
    """A request body whose size limit can be set later, when the route is known."""

    def limit(self, largest: int) -> None:
        """Refuse more than ``largest`` bytes, including those received already."""
        self._max_content_length = largest
        if len(self._data) > largest:
            self._must_raise = RequestEntityTooLarge()
            self.set_complete()


class LeanRequest(Request):
    """A request with a :class:`BoundedBody`, most parts of which are made on first use."""

    body_class = BoundedBody
    _form = None
    _files = None
    _largest_body: int | None = None
    _app: Quart
    _send: ASGISendCallable

    @classmethod
    def of(cls, app: Quart, scope: HTTPScope, send: ASGISendCallable) -> Self:
        """Return the request of a scope, with the attributes of one that Quart's connection creates."""
        self = cls.__new__(cls)
        path = scope["path"]
        path = path if path[0] == "/" else urlparse(path).path
        root_path = scope.get("root_path", "")
        if root_path != "":
            path = _normalise_path(path, root_path)
        vars(self).update(
            method=scope["method"].upper(),
            scheme=scope["scheme"],
            server=scope.get("server"),
            root_path=root_path.rstrip("/"),
            path="/" + path.lstrip("/"),
            query_string=scope["query_string"],
            http_version=scope["http_version"],
            scope=scope,
            _app=app,
            _send=send,
        )
        return self

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]
        """The headers, with the caller's address as the first ``Remote-Addr``."""
        headers = Headers()
        headers["Remote-Addr"] = (self.scope.get("client") or ["<local>"])[0]
        for name, value in self.scope["headers"]:
            headers.add(name.decode("latin1").title(), value.decode("latin1"))
        if self.http_version < "1.1":
            headers.setdefault("Host", self._app.config["SERVER_NAME"] or "")
        return headers

    @cached_property
    def host(self) -> str:
        """The host that the caller names; empty for what is no domain name, which cannot be routed by."""
        host: str = super().host
        try:
            host.lower().partition(":")[0].encode("idna")
        except UnicodeError:
            return ""
        return host

    @cached_property
    def remote_addr(self) -> str | None:  # type: ignore[override]
        """The caller's address."""
        return self.headers.get("Remote-Addr")

    @cached_property
    def body(self) -> Body:  # type: ignore[override]
        """The body; that of a GET or HEAD is empty."""
        body = self.body_class(self.content_length, self._app.config["MAX_CONTENT_LENGTH"])
        if self._largest_body is not None:
            body.limit(self._largest_body)
        if cast("HTTPScope", self.scope)["method"] in BODILESS:
            body.set_complete()
        return body

    @cached_property
    def body_timeout(self) -> int | None:  # type: ignore[override]
        """Longest time to receive the body, in seconds."""
        timeout: int | None = self._app.config["BODY_TIMEOUT"]
        return timeout

    @cached_property
    def _cached_json(self) -> dict[bool, Any]:  # type: ignore[override]
        return {False: Ellipsis, True: Ellipsis}

    @cached_property
    def _parsing_lock(self) -> Any:  # type: ignore[override]
        return self.lock_class()

    @cached_property
    def _send_push_promise(self) -> Any:  # type: ignore[override]
        connection = ASGIHTTPConnection(self._app, cast("HTTPScope", self.scope))
        return partial(connection._send_push_promise, self._send)  # noqa: SLF001 - there is no public way to push

    @property
    def blueprints(self) -> list[str]:
        """Names of the blueprints of the route, from the innermost to the outermost."""
        rule = self.url_rule
        return [] if rule is None else list(_blueprints_of(rule.endpoint))

    def limit_body(self, largest: int) -> None:
        """Refuse a body of more than ``largest`` bytes."""
        if "body" in vars(self):
            cast("BoundedBody", self.body).limit(largest)
        else:
            self._largest_body = largest


@lru_cache(4096)
def _blueprints_of(endpoint: str) -> tuple[str, ...]:
    return tuple(_split_blueprint_path(endpoint.rpartition(".")[0])) if "." in endpoint else ()
