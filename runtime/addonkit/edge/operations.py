"""The operator's endpoints: ``/healthz``, ``/readyz`` and ``/metrics``.

The main listener serves them beside the add-on. The operations listener (``[operations] bind``) serves nothing else.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from addonkit.edge.failed_request import log_failed_request
from addonkit.edge.metrics import Metrics
from addonkit.edge.readiness import OK, Readiness
from addonkit.edge.refusal_log import log_refusal
from addonkit.edge.refusals import send_refusal
from addonkit.edge.request import RUNTIME, InboundRequest, Receive, Scope, Send, raw_path_of
from addonkit.edge.request_form import problem_of, with_origin_form
from addonkit.edge.response import NO_STORE, SecurityHeaders, send_with_headers
from addonkit.random_id import new_id

HEALTH, READINESS, METRICS = "/healthz", "/readyz", "/metrics"
PATHS = frozenset({HEALTH, READINESS, METRICS})
JSON = b"application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Answers the operator's endpoints; as an ASGI application it serves the operations listener.

    Attributes:
        readiness: The checks behind ``/readyz``.
        draining: Whether the process accepts no new work because it is about to stop.
        alive: Whether the process need not be replaced.
        metrics: What is counted; None if nobody could read it.
        token: Bearer token for ``/metrics`` on the main listener; without one the path does not exist there.
        security: Builds the security headers.
    """

    readiness: Readiness
    draining: Callable[[], bool]
    metrics: Metrics | None
    token: str | None = field(repr=False)
    security: SecurityHeaders
    alive: Callable[[], bool] = lambda: True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on the operations listener, where ``/metrics`` needs no token."""
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            request = InboundRequest("GET", raw_path_of(scope), "", [], new_id())
            request.record.reason = "this listener has no WebSockets"
            log_refusal(request, 403)
            await send({"type": "websocket.close", "code": 1008})
        else:
            scope = with_origin_form(scope)
            headers = list(scope["headers"])
            request = InboundRequest(scope["method"], raw_path_of(scope), "", headers, new_id())
            if (problem := problem_of(scope)) is not None:
                close = (b"connection", b"close")
                await send_refusal(send, request, problem.status, self.security.plain(), close, reason=str(problem))
                return
            try:
                await self._answer(request, send)
            except Exception as error:
                log_failed_request(request, error)
                await send_refusal(send, request, 500, self.security.plain())

    async def answer(self, request: InboundRequest, send: Send) -> None:
        """Answer one of the three paths on the main listener, which is public."""
        request.record.answered_by(RUNTIME, request.path[1:])
        if request.path == METRICS and not await self._check_token(request, send):
            return
        await self._answer(request, send)

    async def _answer(self, request: InboundRequest, send: Send) -> None:
        if request.path not in PATHS or (request.path == METRICS and self.metrics is None):
            await send_refusal(send, request, 404, self.security.plain(), reason="this listener has no such path")
        elif request.method not in ("GET", "HEAD"):
            reason = f"'{request.path}' takes GET and HEAD only"
            await send_refusal(send, request, 405, self.security.plain(), reason=reason, allow="GET, HEAD")
        elif request.path == METRICS and self.metrics is not None:
            content_type, text = await self.metrics.text(request.header(b"accept"))
            await self._send(request, send, 200, text, content_type)
        elif request.path == HEALTH:
            alive = self.alive()
            await self._send(request, send, 200 if alive else 503, orjson.dumps({"alive": alive}), JSON)
        else:
            await self._send_readiness(request, send)

    async def _send_readiness(self, request: InboundRequest, send: Send) -> None:
        results = {"process": "draining"} if self.draining() else await self.readiness.results()
        ready = all(result == OK for result in results.values())
        body = orjson.dumps({"ready": ready, "checks": results})
        await self._send(request, send, 200 if ready else 503, body, JSON)

    async def _send(self, request: InboundRequest, send: Send, status: int, body: bytes, content_type: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", content_type), NO_STORE, *self.security.plain(), length]
        await send_with_headers(send, status, headers, b"" if request.method == "HEAD" else body)

    async def _check_token(self, request: InboundRequest, send: Send) -> bool:
        """Return whether a request for ``/metrics`` has the token; otherwise refuse it."""
        if self.token is None:
            reason = "[operations] metrics_token is not set, so only the operations listener has '/metrics'"
            await send_refusal(send, request, 404, self.security.plain(), reason=reason)
            return False
        scheme, _, sent = (request.header(b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(sent.encode("latin-1"), self.token.encode()):
            return True
        request.record.refused = "metrics_token"
        reason = "'/metrics' was requested without its token in 'Authorization: Bearer …'"
        bearer = (b"www-authenticate", b"Bearer")
        await send_refusal(send, request, 401, self.security.plain(), bearer, reason=reason)
        return False


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    """Take part in the server's lifespan protocol; there is nothing to start or stop."""
    while (phase := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{phase}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
