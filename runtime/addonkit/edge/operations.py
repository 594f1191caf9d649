"""The operator's three paths: ``/healthz``, ``/readyz`` and ``/metrics``.

They are answered beside everything else, and by themselves on a listener of their own (``[operations] bind``).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from addonkit.edge.headers import SecurityHeaders
from addonkit.edge.metrics import CONTENT_TYPE, Metrics
from addonkit.edge.readiness import GOOD, Readiness
from addonkit.edge.request import InboundRequest, Receive, Scope, Send, raw_path_of
from addonkit.edge.request_record import RUNTIME
from addonkit.edge.response import send_refusal
from addonkit.log import structlog

HEALTH, READINESS, METRICS = "/healthz", "/readyz", "/metrics"
PATHS = frozenset({HEALTH, READINESS, METRICS})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Operations:
    """Answers the operator, and as an ASGI callable nobody else.

    Attributes:
        readiness: What the process needs.
        draining: Whether the process takes no new work, because it is about to end.
        metrics: What is counted; None where nobody could read it.
        token: Opens ``/metrics`` on the first listener; without one it is not there.
        security: The headers of each answer.
    """

    readiness: Readiness
    draining: Callable[[], bool]
    metrics: Metrics | None
    token: str | None = field(repr=False)
    security: SecurityHeaders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on the operator's own listener, where ``/metrics`` asks for no token."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = list(scope["headers"])
            request = InboundRequest(scope["method"], raw_path_of(scope), "", headers, secrets.token_hex(8))
            try:
                await self._answer(request, send)
            except Exception:
                log.exception("failed", path=request.shown_path, request_id=request.request_id)
                await send_refusal(send, request, 500, self.security.plain())

    async def answer(self, request: InboundRequest, send: Send) -> None:
        """Answer one of the three paths on the first listener, which the world can reach."""
        request.outcome.answered_by(RUNTIME, request.path[1:])
        if request.path == METRICS and (status := self._refusal(request)) is not None:
            extra = [(b"www-authenticate", b"Bearer")] if status == 401 else []
            await send_refusal(send, request, status, self.security.plain(), *extra)
            return
        await self._answer(request, send)

    async def _answer(self, request: InboundRequest, send: Send) -> None:
        if request.path not in PATHS or (request.path == METRICS and self.metrics is None):
            await send_refusal(send, request, 404, self.security.plain())
        elif request.method not in ("GET", "HEAD"):
            await send_refusal(send, request, 405, self.security.plain(), (b"allow", b"GET, HEAD"))
        elif request.path == METRICS and self.metrics is not None:
            await self._send(request, send, 200, await self.metrics.text(), CONTENT_TYPE)
        elif request.path == HEALTH:
            await self._send(request, send, 200, b'{"alive":true}')
        else:
            await self._tell_readiness(request, send)

    async def _tell_readiness(self, request: InboundRequest, send: Send) -> None:
        found = {"process": "draining"} if self.draining() else await self.readiness.look()
        ready = all(word == GOOD for word in found.values())
        body = orjson.dumps({"ready": ready, "checks": found})
        await self._send(request, send, 200 if ready else 503, body)

    async def _send(
        self, request: InboundRequest, send: Send, status: int, body: bytes, kind: bytes = b"application/json"
    ) -> None:
        headers = [(b"content-type", kind), (b"cache-control", b"no-store"), *self.security.plain()]
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    def _refusal(self, request: InboundRequest) -> int | None:
        """The status that keeps a caller from ``/metrics``, or None."""
        if self.token is None:
            return 404
        scheme, _, sent = (request.header(b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(sent.encode("latin-1"), self.token.encode()):
            return None
        request.outcome.refused = "metrics_token"
        reason = "'/metrics' was asked for without its token in 'Authorization: Bearer …'"
        log.warning("refused", status=401, reason=reason, path=request.shown_path, request_id=request.request_id)
        return 401


async def _live(receive: Receive, send: Send) -> None:
    """Start and stop with the server; there is nothing to do."""
    while (phase := (await receive())["type"]) != "lifespan.shutdown":
        await send({"type": f"{phase}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
