"""The ASGI layer in front of Quart: it authenticates requests, and answers those that need no plugin.

The descriptor, lifecycle requests, webhooks, static files, session renewal and the operator's paths are answered here.
Any other request goes to Quart with a ``Context`` in its scope, or is refused.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

from addonkit.context import SCOPE_KEY, Inbound
from addonkit.descriptor.document import Descriptor
from addonkit.edge.access_log import Observer, RecordingSend
from addonkit.edge.authentication import Authenticator
from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.failed_request import log_failed_request
from addonkit.edge.forwarded import TrustedProxies, is_local, peer_of
from addonkit.edge.lifecycle import LIFECYCLE_EVENTS, Lifecycle
from addonkit.edge.operations import PATHS as OPERATIONS
from addonkit.edge.operations import Operations
from addonkit.edge.refusal_log import log_refusal
from addonkit.edge.refusals import RETRY_AFTER_S, send_refusal
from addonkit.edge.request import (
    BODY_TIMEOUT_S,
    RUNTIME,
    FormBody,
    InboundRequest,
    Receive,
    Scope,
    Send,
    below,
    mount_of,
    raw_path_of,
)
from addonkit.edge.request_form import check_query, path_problem, problem_of, with_origin_form
from addonkit.edge.request_scope import RequestScope
from addonkit.edge.response import NO_STORE, ResponseSender, SecurityHeaders, send_response
from addonkit.edge.session_renewal import RENEWAL_PATH, SessionRenewal
from addonkit.edge.static import asset_at, send_asset, send_descriptor
from addonkit.edge.webhooks import Webhooks
from addonkit.errors import PayloadInvalid, Refused, StorageUnavailable, VaultLocked
from addonkit.extension.assets import Assets
from addonkit.log import structlog
from addonkit.protocol.urls import is_loopback
from addonkit.random_id import new_id

Answer = Callable[[InboundRequest, Scope, Receive, Send], Awaitable[None]]
DESCRIPTOR_PATH = "/atlassian-connect.json"
FAILED = "the runtime failed; the log has the traceback"

log = structlog.get_logger()


class Endpoint(NamedTuple):
    """A path that the edge answers itself, with POST only.

    Attributes:
        plugin: Name of the plugin that answers, ``addonkit`` for the runtime; for the request record.
        route: Name of the endpoint, for the request record.
        handle: Processes a request; returns a JSON body for a 200, or None for a 204.
        host_request: Kind and event of a lifecycle request or webhook, for the metrics.
    """

    plugin: str
    route: str
    handle: Callable[[InboundRequest, Receive], Awaitable[bytes | None]]
    host_request: tuple[str, str] | None = None


@dataclass(slots=True, kw_only=True)
class Edge:
    """The ASGI application for all HTTP requests.

    Attributes:
        app: The ASGI application behind the edge: Quart's.
        descriptor: The merged descriptor.
        authenticator: Turns credentials into contexts.
        lifecycle: Handles the host's lifecycle requests.
        webhooks: Stores the host's webhooks.
        renewal: Renews sessions of open pages.
        assets: Static files by plugin; the runtime's own under ``addonkit``.
        security: Builds the security headers.
        base_path: The path of the base URL, such as ``/kit``; empty if it has none.
        base_path_stripped: Whether a proxy removes the base path from requests.
        operations: Answers health, readiness and metrics requests.
        proxies: The proxies whose X-Forwarded-For is trusted; None trusts no proxy.
        observers: Called with each finished request: metrics, access log.
        scope_of: Makes the scope of a request; with a span, if tracing is on.
        body_timeout_s: Longest time to receive a form whose signature is checked here, in seconds.
    """

    app: Any
    descriptor: Descriptor
    authenticator: Authenticator
    lifecycle: Lifecycle
    webhooks: Webhooks
    renewal: SessionRenewal
    assets: Mapping[str, Assets]
    security: SecurityHeaders
    base_path: str
    base_path_stripped: bool
    operations: Operations
    proxies: TrustedProxies | None = None
    observers: tuple[Observer, ...] = ()
    scope_of: Callable[[InboundRequest], AbstractContextManager[None]] = RequestScope
    body_timeout_s: float = BODY_TIMEOUT_S
    _endpoints: dict[str, Endpoint] = field(init=False, repr=False)
    _may_be_local: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._may_be_local = self.proxies is None and is_loopback(self.lifecycle.registry.settings.addon.base_url)
        self._endpoints = {RENEWAL_PATH: Endpoint(RUNTIME, "session", self.renewal.handle)}
        for event in LIFECYCLE_EVENTS:
            handle = partial(self.lifecycle.handle, event)
            self._endpoints[f"/lifecycle/{event}"] = Endpoint(RUNTIME, event, handle, ("lifecycle", event))
        for path, spec in self.webhooks.specs.items():
            handle, kind = partial(self.webhooks.handle, spec), ("webhook", spec.event or "")
            self._endpoints[path] = Endpoint(spec.plugin, f"{spec.plugin}.{spec.name}", handle, kind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; WebSockets are closed."""
        if scope["type"] == "websocket":
            await self._close_websocket(scope, receive, send)
            return
        scope = with_origin_form(scope)
        problem = problem_of(scope)
        raw_path = raw_path_of(scope)
        path = self._relative(scope, raw_path)
        if path == DESCRIPTOR_PATH and scope["method"] in ("GET", "HEAD") and problem is None and not self.observers:
            # Fast path for a frequent request that concerns no site and writes no log line.
            await send_descriptor(scope, send, self.descriptor, self.security)
            return
        if self.proxies is not None:
            scope = {**scope, "client": self.proxies.client_of(scope)}
        request = self._inbound(scope, raw_path, path)
        with self.scope_of(request):
            if self.observers:
                await self._observe(partial(self._answer, problem=problem), request, scope, receive, send)
            else:
                await self._answer(request, scope, receive, send, problem)

    async def _close_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close a WebSocket before it is accepted, which servers answer with 403."""
        raw_path = raw_path_of(scope)
        scope = {"query_string": b"", **scope, "method": "GET"}
        request = self._inbound(scope, raw_path, self._relative(scope, raw_path))
        request.record.reason = "the add-on has no WebSockets"
        await receive()
        log_refusal(request, 403)
        await send({"type": "websocket.close", "code": 1008})

    def _inbound(self, scope: Scope, raw_path: str, path: str | None) -> InboundRequest:
        """Return the request of a scope, with the path that ``_relative`` has returned."""
        return InboundRequest(
            scope["method"],
            raw_path if path is None else path,
            scope["query_string"].decode("latin-1"),
            list(scope["headers"]),
            new_id(),
            in_base_path=path is not None,
            client=peer_of(scope),
            is_local=self._may_be_local and is_local(scope),
        )

    def _relative(self, scope: Scope, path: str) -> str | None:
        """Return the path relative to the base path, or None if it is not below the base path.

        If another application has mounted this one, the path is relative to the mount instead. The ASGI specification
        includes the mount in ``path``. Some applications remove it; they must mount this one at the base path.
        """
        mount = mount_of(scope)
        if mount and (found := below(path, mount)) is not None:
            return found
        if not self.base_path or self.base_path_stripped:
            return path or "/"
        found = below(path, self.base_path)
        return path or "/" if found is None and mount == self.base_path else found

    async def _observe(
        self, answer: Answer, request: InboundRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer the request, then call the observers, even if the caller has disconnected."""
        started = time.perf_counter()
        try:
            await answer(request, scope, receive, RecordingSend(send, request.record))
        finally:
            seconds = time.perf_counter() - started
            for observer in self.observers:
                observer(request, seconds)

    async def _answer(
        self, request: InboundRequest, scope: Scope, receive: Receive, send: Send, problem: Refused | None
    ) -> None:
        if problem is not None:
            # Only HTTP/1.1 has two lengths, and this header.
            await self._refuse(send, request, problem.status, problem, problem.kind, (b"connection", b"close"))
            return
        try:
            await self._route(request, scope, receive, send)
        except Refused as refused:
            await self._refuse(send, request, refused.status, refused, refused.kind)
        except (StorageUnavailable, VaultLocked) as unavailable:
            await self._refuse(send, request, 503, unavailable, "storage")
        except Exception as error:
            log_failed_request(request, error)
            if not request.record.status:
                await send_refusal(send, request, 500, self.security.plain(), reason=FAILED)

    async def _route(self, request: InboundRequest, scope: Scope, receive: Receive, send: Send) -> None:
        if request.path in OPERATIONS:
            await self.operations.answer(request, send)
        elif (problem := path_problem(request)) is not None:
            await send_refusal(send, request, 404, self.security.plain(), reason=problem)
        elif request.path == DESCRIPTOR_PATH and request.method in ("GET", "HEAD"):
            request.record.answered_by(RUNTIME, "descriptor", DESCRIPTOR_PATH)
            await send_descriptor(scope, send, self.descriptor, self.security)
        elif (endpoint := self._endpoints.get(request.path)) is not None:
            await self._handle(endpoint, request, receive, send)
        elif "/static/" in request.path and (asset := asset_at(request, self.assets)) is not None:
            plugin = request.path[1:].partition("/")[0]
            request.record.answered_by(plugin, "static", f"/{plugin}/static/<path>")
            await send_asset(send, request, asset, self.security)
        else:
            await self._forward(request, scope, receive, send)

    async def _handle(self, endpoint: Endpoint, request: InboundRequest, receive: Receive, send: Send) -> None:
        """Answer a request for one of the edge's own endpoints."""
        request.record.answered_by(endpoint.plugin, endpoint.route, request.path)
        request.record.host_request = endpoint.host_request
        if request.method != "POST":
            reason = f"'{request.path}' takes POST only"
            await send_refusal(send, request, 405, self.security.plain(), reason=reason, allow="POST")
            return
        body = await endpoint.handle(request, receive)
        headers = [NO_STORE, *self.security.plain(), (b"x-request-id", request.request_id.encode())]
        if body is None:
            await send_response(send, 204, headers)
        else:
            await send_response(send, 200, [(b"content-type", b"application/json"), *headers], body)

    async def _forward(self, request: InboundRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate the request if it has a credential, and pass it to Quart with the context."""
        credential = find_credential(request.query, request.headers)
        context = None
        if credential is not None:
            may_be_form = credential.place is Place.HEADER and request.may_be_signed_form()
            form = FormBody(receive, self.body_timeout_s) if may_be_form else None
            context = await self.authenticator.authenticate(request, credential, form)
            receive = form or receive
            request.bind_tenant(context.tenant.key)
        check_query(scope["query_string"])
        inner = {**scope, SCOPE_KEY: Inbound(context, request.request_id, request.record, request.is_local)}
        inner["root_path"] = self.base_path
        if scope.get("root_path"):
            inner["path"] = self.base_path + unquote(request.path)
        elif self.base_path_stripped:
            inner["path"] = self.base_path + scope["path"]
        security = self.security.for_page(context.tenant if context else None)
        await self.app(inner, receive, ResponseSender(send, security, request))

    async def _refuse(
        self,
        send: Send,
        request: InboundRequest,
        status: int,
        reason: Exception,
        kind: str,
        *extra: tuple[bytes, bytes],
    ) -> None:
        """Record the reason and its kind, and send a refusal."""
        record = request.record
        record.refused = kind
        plugin = request.path[1:].partition("/")[0]
        if not record.plugin and plugin in self.assets:
            record.answered_by(plugin, "refused")
        await send_refusal(
            send,
            request,
            status,
            self.security.plain(),
            *extra,
            reason=str(reason),
            # Only a caller whose signature was verified may know which field is invalid.
            detail=str(reason) if isinstance(reason, PayloadInvalid) and record.tenant is not None else None,
            retry_after_s=RETRY_AFTER_S if status == 503 else None,
        )
