"""Refusals of the application: responses without a handler, whose reason is put into the request's record."""

from __future__ import annotations

import math
from typing import cast

from quart import Response
from quart.globals import request_ctx
from quart.typing import ResponseReturnValue
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, Unauthorized

from addonkit.app.refusal_reasons import own_description, plugins_sentence, reason_of
from addonkit.context import Context, Route
from addonkit.edge.refusal_log import safe_text
from addonkit.edge.refusals import RETRY_AFTER_S, refusal_of
from addonkit.errors import (
    HostError,
    HostUnavailable,
    ObjectIdInvalid,
    RateLimited,
    Refused,
    ScopeNotApproved,
    StorageUnavailable,
)
from addonkit.extension.handlers import inbound_of


def refuse(
    status: int,
    reason: str | None = None,
    *,
    kind: str | None = None,
    detail: str | None = None,
    sentence: str | None = None,
    retry_after_s: int | None = None,
    allow: str | None = None,
) -> Response:
    """Build a refusal for the current request, as JSON if the caller prefers it, and record its reason and kind.

    The edge writes the log line when it sends the response. A caller on this machine gets the reason as well.
    """
    request = request_ctx.request
    inbound = inbound_of(request)
    record = inbound.record
    record.reason = reason or record.reason
    if kind is not None:
        record.refused = kind
    shown = record.reason if inbound.is_local else None
    accepts_json = request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    refusal = refusal_of(
        status,
        inbound.request_id,
        as_json=accepts_json or request.is_json,
        detail=_safe(detail or shown),
        sentence=_safe(sentence or shown),
        retry_after_s=retry_after_s,
        allow=allow,
    )
    return Response(refusal.body, status, Headers((name.decode(), value.decode()) for name, value in refusal.headers))


def _safe(text: str | None) -> str | None:
    return None if text is None else safe_text(text, request_ctx.request.query_string.decode("latin-1"))


def refuse_page(route: Route, context: Context) -> Response:
    """Refuse a request from another page than those that the route names; a context token is of no certain page."""
    pages = ", ".join(f"'{page}'" for page in sorted(route.pages))
    found = f"the session of '{context.page}'" if context.page else f"{context.proof} without the name of a page"
    return refuse(401, f"'{route.endpoint}' accepts only sessions of {pages}, received {found}", kind="proof")


async def on_http_error(error: HTTPException) -> ResponseReturnValue:
    """Refuse with the status of the error; a page contains its description only if a plugin has written it."""
    if error.response is not None:
        return cast("Response", error.response)
    status = error.code or 500
    methods = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    return refuse(
        status,
        kind="proof" if status == Unauthorized.code else None,
        detail=own_description(error),
        sentence=plugins_sentence(error),
        allow=", ".join(sorted(methods)) if methods else None,
    )


async def on_addonkit_error(error: Refused | StorageUnavailable | ObjectIdInvalid | HostError) -> Response:
    """Refuse a request whose handler raised an error of the runtime; the reason is logged."""
    retry_after_s = None
    if isinstance(error, Refused):
        status, kind = error.status, error.kind
    elif isinstance(error, StorageUnavailable):
        status, kind, retry_after_s = 503, "storage", RETRY_AFTER_S
    elif isinstance(error, ObjectIdInvalid):
        status, kind = 400, "malformed"
    else:
        status, kind = 502, "host"
        if isinstance(error, HostUnavailable | RateLimited | ScopeNotApproved):
            status = 503
            wait_s = RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
            retry_after_s = max(1, math.ceil(wait_s))
    return refuse(status, reason_of(error), kind=kind, retry_after_s=retry_after_s)
