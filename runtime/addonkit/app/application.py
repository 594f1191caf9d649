"""The Quart application. It checks a route's demand and asks for admission before any code of a plugin runs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, cast

from jinja2 import BaseLoader, PrefixLoader
from quart import Quart, Response
from quart.ctx import RequestContext
from quart.globals import request_ctx
from quart.typing import ResponseReturnValue, ResponseTypes
from quart.wrappers import Request
from quart.wrappers.request import Body
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge, Unauthorized

from addonkit.app.connection import Connection
from addonkit.app.refusal_reasons import own_description, plugins_sentence, reason_of
from addonkit.context import Context, Demand, Proof, Route
from addonkit.current import plugin_scope
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
from addonkit.extension.handlers import as_response, inbound_of
from addonkit.extension.registry import Registry
from addonkit.jobs.executor import error_place
from addonkit.log import structlog
from addonkit.spans import failure_of
from addonkit.tenant_data.scope import work_scope

if TYPE_CHECKING:
    from werkzeug.routing import Rule

ACCEPTED = {
    Demand.EXACT: frozenset({Proof.EXACT}),
    Demand.OWN_PAGE: frozenset({Proof.CONTEXT, Proof.SESSION}),
}

log = structlog.get_logger()


class BoundedBody(Body):
    """A request body whose size limit can be set later, when the route is known."""

    def limit(self, largest: int) -> None:
        """Refuse more than ``largest`` bytes, including those received already."""
        self._max_content_length = largest
        if len(self._data) > largest:
            self._must_raise = RequestEntityTooLarge()
            self.set_complete()


class BoundedRequest(Request):
    """A request with a :class:`BoundedBody`."""

    body_class = BoundedBody

    def limit_body(self, largest: int) -> None:
        """Refuse a body of more than ``largest`` bytes."""
        cast("BoundedBody", self.body).limit(largest)


class Application(Quart):
    """Serves the plugins' pages and routes.

    Args:
        registry: The enabled plugins.
    """

    request_class = BoundedRequest
    asgi_http_class = Connection

    def __init__(self, registry: Registry) -> None:
        super().__init__("addonkit", static_folder=None)
        # Fixed here: otherwise an environment variable could turn on debugging, which sends tracebacks to callers.
        self.config["DEBUG"] = self.config["TESTING"] = False
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        self.url_map.merge_slashes = False
        self.url_map.strict_slashes = False
        sells_licences = registry.settings.addon.licensing
        self._routes: Mapping[str, Route] = {
            route.endpoint: route if sells_licences else replace(route, licensed=False)
            for one in registry.contributions.values()
            for route in one.routes
        }
        self.config["MAX_CONTENT_LENGTH"] = max((r.max_body for r in self._routes.values()), default=0)
        self._admitting = registry.listeners("addon_admit")
        self._ask = registry.ask
        for one in registry.contributions.values():
            if one.blueprint is not None:
                self.register_blueprint(one.blueprint)
        self.register_error_handler(HTTPException, _on_http_error)
        for kind in (Refused, StorageUnavailable, ObjectIdInvalid, HostError):
            self.register_error_handler(kind, _on_addonkit_error)

    def create_global_jinja_loader(self) -> BaseLoader:  # type: ignore[override]  # a loader by plugin, not by search
        """Return a loader by plugin name, ``issue_panel/panel.html``: plugins may have equal file names."""
        loaders: dict[str, BaseLoader] = {
            name.replace(".", "/"): blueprint.jinja_loader
            for name, blueprint in self.blueprints.items()
            if blueprint.jinja_loader is not None
        }
        return PrefixLoader(loaders)

    async def full_dispatch_request(self, request_context: RequestContext | None = None) -> ResponseTypes:
        """Check demand and admission, limit body and time, then let Quart call the handler."""
        request = (request_context or request_ctx).request
        if request.url_rule is None:
            return await super().full_dispatch_request(request_context)
        route = self._routes.get(request.url_rule.endpoint)
        if route is None:
            reason = f"'{request.endpoint}' does not declare what it demands"
            return await self.make_response(_refuse(401, reason, kind="proof"))
        if not _is_spelled_as_routed(request):
            reason = "the route and the path differ in a slash at the end"
            return await self.make_response(_refuse(404, reason))
        cast("BoundedRequest", request).limit_body(route.max_body)
        inbound = inbound_of(request)
        inbound.record.answered_by(route.plugin, route.endpoint, request.url_rule.rule)
        structlog.contextvars.bind_contextvars(plugin=route.plugin, endpoint=route.endpoint)
        context = inbound.context
        work = work_scope(context.tenant if context else None, route.plugin)
        bound = asyncio.timeout(route.timeout_s)
        try:
            with work:
                async with bound:
                    if (refusal := await self._guarded(route, context)) is not None:
                        return await self.make_response(refusal)
                    return await super().full_dispatch_request(request_context)
        except TimeoutError:
            if not bound.expired():
                raise
            log.error(
                "request.timed_out", status=504, plugin=route.plugin, endpoint=route.endpoint, timeout_s=route.timeout_s
            )
            inbound.record.is_logged = True
            reason = f"'{route.endpoint}' did not end within {route.timeout_s:g} s, the timeout_s of its route"
            return await self.make_response(_refuse(504, reason))

    async def _guarded(self, route: Route, context: Context | None) -> ResponseReturnValue | None:
        """Check the proof that the route demands, then ask each plugin for admission; return a refusal or None."""
        if route.demand is Demand.NOTHING:
            return None
        proof = context.proof if context else Proof.NONE
        if context is None or proof not in ACCEPTED[route.demand]:
            return _refuse(401, f"'{route.endpoint}' demands {route.demand}, received {proof}", kind="proof")
        if route.pages and context.page not in route.pages:
            return _refuse_page(route, context)
        for name in self._admitting:
            try:
                with plugin_scope(name):
                    answer = await self._ask(name, "addon_admit", context=context, route=route)
            except StorageUnavailable as unavailable:
                return await _on_addonkit_error(unavailable)
            except Exception as error:
                log.exception("admission.failed", status=503, plugin=name, endpoint=route.endpoint)
                inbound_of(request_ctx.request).record.is_logged = True
                return _refuse(503, f"addon_admit of plugin '{name}' failed ({error_place(error)})")
            if answer is not None:
                inbound_of(request_ctx.request).record.reason = f"addon_admit of plugin '{name}' did not admit it"
                return as_response(answer)
        return None

    async def handle_user_exception(self, error: Exception) -> HTTPException | ResponseReturnValue:
        """Record the reason of a refusal, since a plugin may handle the error itself; then do as Quart does."""
        request = request_ctx.request
        route = self._routes.get(request.endpoint or "")
        inbound_of(request).record.reason = reason_of(error, max_body=route.max_body if route else None)
        return await super().handle_user_exception(error)

    def log_exception(
        self, exception_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None]
    ) -> None:
        """Log a handler's exception with its plugin; the query is not logged, because it may contain a token."""
        request = request_ctx.request
        plugin = request.blueprints[-1] if request.blueprints else None
        log.error("handler.failed", status=500, plugin=plugin, endpoint=request.endpoint, exc_info=exception_info)
        record = inbound_of(request).record
        record.is_logged = True
        if exception_info[1] is not None:
            record.error = failure_of(exception_info[1])
            record.reason = f"{error_place(exception_info[1])}; the log has the traceback"


def _is_spelled_as_routed(request: Request) -> bool:
    """Whether path and route agree on a trailing slash, since the query hash is the same with and without it."""
    if request.path.endswith("/") == cast("Rule", request.url_rule).rule.endswith("/"):
        return True
    return any(str(value).endswith("/") for value in (request.view_args or {}).values())


def _refuse(
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


def _refuse_page(route: Route, context: Context) -> Response:
    """Refuse a request from another page than those that the route names; a context token is of no certain page."""
    pages = ", ".join(f"'{page}'" for page in sorted(route.pages))
    found = f"the session of '{context.page}'" if context.page else f"{context.proof} without the name of a page"
    return _refuse(401, f"'{route.endpoint}' accepts only sessions of {pages}, received {found}", kind="proof")


async def _on_http_error(error: HTTPException) -> ResponseReturnValue:
    """Refuse with the status of the error; a page contains its description only if a plugin has written it."""
    if error.response is not None:
        return cast("Response", error.response)
    status = error.code or 500
    methods = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    return _refuse(
        status,
        kind="proof" if status == Unauthorized.code else None,
        detail=own_description(error),
        sentence=plugins_sentence(error),
        allow=", ".join(sorted(methods)) if methods else None,
    )


async def _on_addonkit_error(error: Refused | StorageUnavailable | ObjectIdInvalid | HostError) -> Response:
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
    return _refuse(status, reason_of(error), kind=kind, retry_after_s=retry_after_s)
