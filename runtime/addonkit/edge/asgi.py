"""The ASGI layer in front of Quart: it decides who is speaking, and answers what needs no plugin.

``descriptor``, ``lifecycle``, webhooks, static files, the renewal of sessions and the operator's paths end here. All
else goes on with a ``Context`` in the scope, or ends here with a refusal.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.descriptor.document import Descriptor
from addonkit.edge.authentication import Authenticator, claimed_site
from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.forwarded import TrustedProxies, peer_of
from addonkit.edge.headers import SecurityHeaders
from addonkit.edge.lifecycle import PATHS, Lifecycle
from addonkit.edge.operations import PATHS as OPERATIONS
from addonkit.edge.operations import Operations
from addonkit.edge.request import BODY_TIMEOUT_S, FormBody, InboundRequest, Receive, Scope, Send, raw_path_of
from addonkit.edge.request_record import RECORD_KEY, RUNTIME, RecordingSend
from addonkit.edge.response import RETRY_AFTER_S, send_refusal, send_response
from addonkit.edge.sender import ResponseSender
from addonkit.edge.session_renewal import RENEWAL_PATH, SessionRenewal
from addonkit.edge.static import asset_at, send_asset, send_descriptor
from addonkit.edge.webhooks import Webhooks
from addonkit.errors import PayloadInvalid, Refused, StorageUnavailable, VaultLocked
from addonkit.extension.assets import Assets
from addonkit.extension.handlers import CONTEXT_KEY
from addonkit.log import structlog
from addonkit.work import JobSpec

DESCRIPTOR_PATH = "/atlassian-connect.json"
REQUEST_ID_KEY = "addonkit.request_id"
Observer = Callable[[InboundRequest, float], None]
"""Is shown each request that is over, with the seconds that it took."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Edge:
    """One callable for all HTTP.

    Attributes:
        app: What stands behind: Quart's own ASGI application.
        descriptor: The merged descriptor, as bytes.
        authenticator: Who is speaking.
        lifecycle: The host's lifecycle calls.
        webhooks: What the host tells.
        renewal: Fresh sessions for pages that are open for long.
        assets: Static files, by plugin name; the runtime's own under ``addonkit``.
        security: The headers of each answer.
        base_path: The path of the base URL, ``""`` or such as ``/kit``.
        base_path_stripped: Whether a proxy has taken it off before us.
        operations: What operators look at.
        proxies: Who is believed about whom a request comes from; None believes nobody.
        watchers: Those who count requests, or write them down.
        body_timeout_s: Longest time that a form may take to come where its signature is checked here.
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
    watchers: tuple[Observer, ...] = ()
    body_timeout_s: float = BODY_TIMEOUT_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; WebSockets are closed."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if not self.watchers and self._is_descriptor(scope):
            # asked for again and again, of nobody's site, and nothing to log
            await send_descriptor(scope, send, self.descriptor, self.security)
            return
        if self.proxies is not None:
            scope = {**scope, "client": self.proxies.client_of(scope)}
        request = self._inbound(scope)
        # whatever is logged until the end says whose request it belongs to; the dots are for what is not known yet
        facts = structlog.contextvars.bind_contextvars(
            request_id=request.request_id, client_key=..., plugin=..., endpoint=...
        )
        try:
            await (self._watched if self.watchers else self._answer)(request, scope, receive, send)
        finally:
            structlog.contextvars.reset_contextvars(**facts)

    def _is_descriptor(self, scope: Scope) -> bool:
        return self._relative(raw_path_of(scope)) == DESCRIPTOR_PATH and scope["method"] in ("GET", "HEAD")

    def _inbound(self, scope: Scope) -> InboundRequest:
        raw_path = raw_path_of(scope)
        path = self._relative(raw_path)
        return InboundRequest(
            scope["method"],
            raw_path if path is None else path,
            scope["query_string"].decode("latin-1"),
            list(scope["headers"]),
            secrets.token_hex(8),
            is_ours=path is not None,
            client=peer_of(scope),
        )

    async def _watched(self, request: InboundRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and tell those who watch; also of a caller that left before the end."""
        began = time.perf_counter()
        try:
            await self._answer(request, scope, receive, RecordingSend(send, request.outcome))
        finally:
            seconds = time.perf_counter() - began
            for watcher in self.watchers:
                watcher(request, seconds)

    async def _answer(self, request: InboundRequest, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._route(request, scope, receive, send)
        except Refused as refused:
            await self._refuse(send, request, refused.status, refused, refused.kind)
        except (StorageUnavailable, VaultLocked) as down:
            await self._refuse(send, request, 503, down, "storage")
        except Exception:
            log.exception("failed", path=request.shown_path, method=request.method[:16], request_id=request.request_id)
            await send_refusal(send, request, 500, self.security.plain())

    async def _route(self, request: InboundRequest, scope: Scope, receive: Receive, send: Send) -> None:
        if request.path in OPERATIONS:
            await self.operations.answer(request, send)
        elif not request.is_ours or not request.is_clear():
            await send_refusal(send, request, 404, self.security.plain())
        elif request.path == DESCRIPTOR_PATH and request.method in ("GET", "HEAD"):
            request.outcome.answered_by(RUNTIME, "descriptor")
            await send_descriptor(scope, send, self.descriptor, self.security)
        elif (event := PATHS.get(request.path)) is not None:
            await self._lifecycle(event, request, receive, send)
        elif (spec := self.webhooks.specs.get(request.path)) is not None:
            await self._webhook(spec, request, receive, send)
        elif request.path == RENEWAL_PATH:
            await self._renew(request, receive, send)
        elif "/static/" in request.path and (asset := asset_at(request, self.assets)) is not None:
            request.outcome.answered_by(request.path[1:].partition("/")[0], "static")
            await send_asset(send, request, asset, self.security)
        else:
            await self._enter(request, scope, receive, send)

    def _relative(self, path: str) -> str | None:
        """The path below the base path, or None if it is elsewhere."""
        if not self.base_path or self.base_path_stripped:
            return path or "/"
        if path == self.base_path:
            return "/"
        return path[len(self.base_path) :] if path.startswith(f"{self.base_path}/") else None

    async def _lifecycle(self, event: str, request: InboundRequest, receive: Receive, send: Send) -> None:
        request.outcome.answered_by(RUNTIME, event)
        request.outcome.host_call = ("lifecycle", event)
        if request.method != "POST":
            await send_refusal(send, request, 405, self.security.plain(), (b"allow", b"POST"))
            return
        await self.lifecycle.handle(event, request, receive)
        await send_response(send, 204, [(b"cache-control", b"no-store"), *self.security.plain()])

    async def _webhook(self, spec: JobSpec, request: InboundRequest, receive: Receive, send: Send) -> None:
        request.outcome.answered_by(spec.plugin, f"{spec.plugin}.{spec.name}")
        request.outcome.host_call = ("webhook", spec.event or "")
        if request.method != "POST":
            await send_refusal(send, request, 405, self.security.plain(), (b"allow", b"POST"))
            return
        await self.webhooks.handle(spec, request, receive)
        await send_response(send, 204, [(b"cache-control", b"no-store"), *self.security.plain()])

    async def _renew(self, request: InboundRequest, receive: Receive, send: Send) -> None:
        request.outcome.answered_by(RUNTIME, "session")
        if request.method != "POST":
            await send_refusal(send, request, 405, self.security.plain(), (b"allow", b"POST"))
            return
        body = await self.renewal.handle(request, receive)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *self.security.plain()]
        await send_response(send, 200, headers, body)

    async def _enter(self, request: InboundRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to Quart, with the context that was proven."""
        credential = find_credential(request.query, request.headers)
        context = None
        if credential is not None:
            may_be_form = credential.place is Place.HEADER and request.may_be_signed_form()
            form = FormBody(receive, self.body_timeout_s) if may_be_form else None
            context = await self.authenticator.context(request, credential, form)
            receive = form or receive
            request.note_site(context.tenant.client_key)
        inner = {
            **scope,
            CONTEXT_KEY: context,
            REQUEST_ID_KEY: request.request_id,
            RECORD_KEY: request.outcome,
        }
        inner["root_path"] = self.base_path
        if self.base_path_stripped:
            inner["path"] = self.base_path + scope["path"]
        security = self.security.for_page(context.tenant if context else None)
        await self.app(inner, receive, ResponseSender(send, security, request))

    async def _refuse(self, send: Send, request: InboundRequest, status: int, reason: Exception, kind: str) -> None:
        outcome = request.outcome
        outcome.refused = kind
        first = request.path[1:].partition("/")[0]
        if not outcome.plugin and first in self.assets:
            outcome.answered_by(first, "refused")
        log.warning(
            "refused",
            status=status,
            reason=str(reason),
            client_key=claimed_site(request),
            path=request.shown_path,
            method=request.method[:16],
            request_id=request.request_id,
        )
        # whoever is told that a field is unusable has signed the request
        said = str(reason) if isinstance(reason, PayloadInvalid) else None
        later = [(b"retry-after", str(RETRY_AFTER_S).encode())] if status == 503 else []
        await send_refusal(send, request, status, self.security.plain(), *later, said=said)
