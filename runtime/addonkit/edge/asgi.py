"""The ASGI layer in front of Quart: it decides who is speaking, and answers what needs no plugin.

``descriptor``, ``lifecycle``, static files and the renewal of sessions end here. All else goes on with a ``Context``
in the scope, or ends here with a refusal.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.descriptor.document import Descriptor
from addonkit.edge.answers import send_answer, send_refusal
from addonkit.edge.authentication import Authenticator, claimed_site
from addonkit.edge.credentials import Place, find_credential
from addonkit.edge.headers import SecurityHeaders
from addonkit.edge.inbound import BODY_TIMEOUT_S, FormBody, Inbound, Receive, Scope, Send, raw_path_of
from addonkit.edge.lifecycle import PATHS, Lifecycle
from addonkit.edge.published import asset_at, send_asset, send_descriptor
from addonkit.edge.renewal import RENEWAL_PATH, Renewal
from addonkit.edge.sender import Sender
from addonkit.errors import PayloadInvalid, Refused, StorageUnavailable, VaultLocked
from addonkit.extension.assets import Assets
from addonkit.extension.handlers import CONTEXT_KEY
from addonkit.log import structlog

DESCRIPTOR_PATH = "/atlassian-connect.json"
REQUEST_ID_KEY = "addonkit.request_id"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Edge:
    """One callable for all HTTP.

    Attributes:
        app: What stands behind: Quart's own ASGI application.
        descriptor: The merged descriptor, as bytes.
        authenticator: Who is speaking.
        lifecycle: The host's lifecycle calls.
        renewal: Fresh sessions for pages that are open for long.
        assets: Static files, by plugin name; the runtime's own under ``addonkit``.
        security: The headers of each answer.
        base_path: The path of the base URL, ``""`` or such as ``/kit``.
        base_path_stripped: Whether a proxy has taken it off before us.
        body_timeout_s: Longest time that a form may take to come where its signature is checked here.
    """

    app: Any
    descriptor: Descriptor
    authenticator: Authenticator
    lifecycle: Lifecycle
    renewal: Renewal
    assets: Mapping[str, Assets]
    security: SecurityHeaders
    base_path: str
    base_path_stripped: bool
    body_timeout_s: float = BODY_TIMEOUT_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; WebSockets are closed."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        raw_path = raw_path_of(scope)
        path = self._relative(raw_path)
        if path == DESCRIPTOR_PATH and scope["method"] in ("GET", "HEAD"):
            await send_descriptor(scope, send, self.descriptor, self.security)
            return
        request = Inbound(
            scope["method"],
            path or raw_path,
            scope["query_string"].decode("latin-1"),
            list(scope["headers"]),
            secrets.token_hex(8),
        )
        if path is None or not request.is_clear():
            await send_refusal(send, request, 404, self.security.plain())
            return
        try:
            await self._route(request, scope, receive, send)
        except Refused as refused:
            await self._refuse(send, request, refused.status, refused)
        except (StorageUnavailable, VaultLocked) as down:
            await self._refuse(send, request, 503, down)
        except Exception:
            log.exception("failed", path=request.path, method=request.method, request_id=request.request_id)
            await send_refusal(send, request, 500, self.security.plain())

    async def _route(self, request: Inbound, scope: Scope, receive: Receive, send: Send) -> None:
        event = PATHS.get(request.path)
        if event is not None:
            await self._lifecycle(event, request, receive, send)
        elif request.path == RENEWAL_PATH:
            await self._renew(request, receive, send)
        elif "/static/" in request.path and (asset := asset_at(request, self.assets)) is not None:
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

    async def _lifecycle(self, event: str, request: Inbound, receive: Receive, send: Send) -> None:
        if request.method != "POST":
            await send_refusal(send, request, 405, self.security.plain(), (b"allow", b"POST"))
            return
        await self.lifecycle.handle(event, request, receive)
        await send_answer(send, 204, [(b"cache-control", b"no-store"), *self.security.plain()])

    async def _renew(self, request: Inbound, receive: Receive, send: Send) -> None:
        if request.method != "POST":
            await send_refusal(send, request, 405, self.security.plain(), (b"allow", b"POST"))
            return
        body = await self.renewal.handle(request, receive)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *self.security.plain()]
        await send_answer(send, 200, headers, body)

    async def _enter(self, request: Inbound, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to Quart, with the context that was proven."""
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        credential = find_credential(request.query, request.headers)
        context = None
        if credential is not None:
            may_be_form = credential.place is Place.HEADER and request.may_be_signed_form()
            form = FormBody(receive, self.body_timeout_s) if may_be_form else None
            context = await self.authenticator.context(request, credential, form)
            receive = form or receive
        inner = {**scope, CONTEXT_KEY: context, REQUEST_ID_KEY: request.request_id}
        inner["root_path"] = self.base_path
        if self.base_path_stripped:
            inner["path"] = self.base_path + scope["path"]
        security = self.security.for_page(context.tenant if context else None)
        await self.app(inner, receive, Sender(send, security, request))

    async def _refuse(self, send: Send, request: Inbound, status: int, reason: Exception) -> None:
        log.warning(
            "refused",
            status=status,
            reason=str(reason),
            client_key=claimed_site(request),
            path=request.path,
            method=request.method,
            request_id=request.request_id,
        )
        # whoever is told that a field is unusable has signed the request
        said = str(reason) if isinstance(reason, PayloadInvalid) else None
        await send_refusal(send, request, status, self.security.plain(), said=said)
