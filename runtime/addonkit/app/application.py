"""Quart, fenced: every route's demand is looked at before a plugin's handler, or what it runs before one, is called."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from jinja2 import BaseLoader, PrefixLoader
from quart import Quart, Response
from quart.ctx import RequestContext
from quart.globals import request_ctx
from quart.typing import ResponseReturnValue, ResponseTypes
from quart.wrappers import Request
from quart.wrappers.request import Body
from werkzeug.exceptions import (
    BadGateway,
    GatewayTimeout,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    Unauthorized,
    default_exceptions,
)

from addonkit.app.connection import Connection
from addonkit.calling import calling
from addonkit.context import Context, Demand, Proof, Route
from addonkit.edge.asgi import REQUEST_ID_KEY
from addonkit.edge.request_record import RECORD_KEY, RequestRecord
from addonkit.edge.response import RETRY_AFTER_S, refusal_body
from addonkit.errors import HostError, HostUnavailable, RateLimited, Refused, StorageUnavailable
from addonkit.extension.handlers import CONTEXT_KEY, as_response, scope_of
from addonkit.extension.registry import Registry
from addonkit.log import structlog
from addonkit.tenant_data.scope import tenant_scope

if TYPE_CHECKING:
    from werkzeug.routing import Rule

ACCEPTED = {
    Demand.EXACT: frozenset({Proof.EXACT}),
    Demand.OWN_PAGE: frozenset({Proof.CONTEXT, Proof.SESSION}),
}

log = structlog.get_logger()


class BoundedBody(Body):
    """A request body whose bound is known once the route is."""

    def limit(self, largest: int) -> None:
        """Refuse more than ``largest`` bytes, also those that are here already."""
        self._max_content_length = largest
        if len(self._data) > largest:
            self._must_raise = RequestEntityTooLarge()
            self.set_complete()


class BoundedRequest(Request):
    """A request with a bounded body."""

    body_class = BoundedBody

    def limit_body(self, largest: int) -> None:
        """Refuse a body of more than ``largest`` bytes."""
        cast("BoundedBody", self.body).limit(largest)


class Application(Quart):
    """The add-on's pages.

    Args:
        registry: The enabled plugins.
    """

    request_class = BoundedRequest
    asgi_http_class = Connection

    def __init__(self, registry: Registry) -> None:
        super().__init__("addonkit", static_folder=None)
        # no variable of the environment opens what is shut: a debugging Quart tells its failures to callers
        self.config["DEBUG"] = self.config["TESTING"] = False
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        self.url_map.merge_slashes = False
        self.url_map.strict_slashes = False
        sold = registry.settings.addon.licensing
        self._routes: Mapping[str, Route] = {
            route.endpoint: route if sold else replace(route, licensed=False)
            for one in registry.contributions.values()
            for route in one.routes
        }
        self.config["MAX_CONTENT_LENGTH"] = max((r.max_body for r in self._routes.values()), default=0)
        self._admitting = registry.listeners("addon_admit")
        self._ask = registry.ask
        for one in registry.contributions.values():
            if one.blueprint is not None:
                self.register_blueprint(one.blueprint)
        self.register_error_handler(HTTPException, _refused)
        self.register_error_handler(Refused, _refused_by_runtime)
        self.register_error_handler(StorageUnavailable, _refused_by_storage)
        self.register_error_handler(HostError, _refused_by_host)

    def create_global_jinja_loader(self) -> BaseLoader:  # type: ignore[override]  # a loader by plugin, not by search
        """Templates by plugin: ``issue_panel/panel.html``. Two plugins' ``panel.html`` do not meet."""
        loaders: dict[str, BaseLoader] = {
            name.replace(".", "/"): blueprint.jinja_loader
            for name, blueprint in self.blueprints.items()
            if blueprint.jinja_loader is not None
        }
        return PrefixLoader(loaders)

    async def full_dispatch_request(self, request_context: RequestContext | None = None) -> ResponseTypes:
        """Guard, admit and bound a request before Quart does the rest."""
        request = (request_context or request_ctx).request
        if request.url_rule is None:
            return await super().full_dispatch_request(request_context)
        route = self._routes.get(request.url_rule.endpoint)
        if route is None:
            log.error("refused", status=401, reason=f"'{request.endpoint}' does not declare what it demands")
            return await self.make_response(await _refused(Unauthorized()))
        if not _is_spelled_as_routed(request):
            return await self.make_response(await _refused(NotFound()))
        cast("BoundedRequest", request).limit_body(route.max_body)
        _outcome(request).answered_by(route.plugin, route.endpoint)
        structlog.contextvars.bind_contextvars(plugin=route.plugin, endpoint=route.endpoint)
        context: Context | None = scope_of(request).get(CONTEXT_KEY)
        scope: AbstractContextManager[Any] = tenant_scope(context.tenant) if context else nullcontext()
        bound = asyncio.timeout(route.timeout_s)
        try:
            with scope, calling(route.plugin):
                async with bound:
                    if (refusal := await self._guarded(route, context)) is not None:
                        return await self.make_response(refusal)
                    return await super().full_dispatch_request(request_context)
        except TimeoutError:
            if not bound.expired():
                raise
            log.error("timed out", plugin=route.plugin, endpoint=route.endpoint, timeout_s=route.timeout_s)
            return await self.make_response(await _refused(GatewayTimeout()))

    async def _guarded(self, route: Route, context: Context | None) -> ResponseReturnValue | None:
        """A refusal, or None: the proof that the route demands, then each plugin's word."""
        if route.demand is Demand.NOTHING:
            return None
        proof = context.proof if context else Proof.NONE
        if context is None or proof not in ACCEPTED[route.demand]:
            client_key = context.tenant.client_key if context else None
            reason = f"'{route.endpoint}' demands {route.demand}, was shown {proof}"
            log.warning("refused", status=401, reason=reason, client_key=client_key)
            return await _refused(Unauthorized())
        for name in self._admitting:
            try:
                with calling(name):
                    answer = await self._ask(name, "addon_admit", context=context, route=route)
            except StorageUnavailable as lost:
                return await _refused_by_storage(lost)
            except Exception:
                log.exception("admission failed", plugin=name, endpoint=route.endpoint)
                return await _refused(ServiceUnavailable())
            if answer is not None:
                return as_response(answer)
        return None

    def log_exception(
        self, exception_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None]
    ) -> None:
        """Log a handler's failure by its plugin; the query, which may hold a token, is left out."""
        request = request_ctx.request
        plugin = request.blueprints[-1] if request.blueprints else None
        log.error("handler failed", plugin=plugin, endpoint=request.endpoint, exc_info=exception_info)


def _is_spelled_as_routed(request: Request) -> bool:
    """Whether the path ends in a slash just where the route does: both spellings have one query hash."""
    if request.path.endswith("/") == cast("Rule", request.url_rule).rule.endswith("/"):
        return True
    return any(str(value).endswith("/") for value in (request.view_args or {}).values())


def _outcome(request: Request) -> RequestRecord:
    """Where it is noted what becomes of the request; nobody reads it where no edge stands before us."""
    return scope_of(request).get(RECORD_KEY) or RequestRecord()


async def _refused(error: HTTPException) -> ResponseReturnValue:
    """A refusal as the caller can read it; a sentence is told to programs, a phrase to people."""
    if error.response is not None:
        return cast("Response", error.response)
    request = request_ctx.request
    request_id = scope_of(request).get(REQUEST_ID_KEY, "")
    as_json = request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    default = type(error).description
    said = error.description if error.description != default else None
    status = error.code or 500
    if status == Unauthorized.code:
        _outcome(request).refused = "proof"
    content_type, body = refusal_body(status, request_id, as_json=as_json or request.is_json, said=said)
    response = Response(body, status, content_type=content_type.decode())
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


async def _refused_by_runtime(error: Refused) -> ResponseReturnValue:
    """A refusal of our own that came up while a handler ran; the reason is for the log."""
    log.warning("refused", status=error.status, reason=str(error), endpoint=request_ctx.request.endpoint)
    response = await _refused(default_exceptions[error.status]())
    _outcome(request_ctx.request).refused = error.kind
    return response


async def _refused_by_storage(error: StorageUnavailable) -> ResponseReturnValue:
    """The database is away, as a handler's own query has found; no plugin's fault, and over soon."""
    log.warning("refused", status=503, reason=str(error), endpoint=request_ctx.request.endpoint)
    response = cast("Response", await _refused(ServiceUnavailable()))
    _outcome(request_ctx.request).refused = "storage"
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


async def _refused_by_host(error: HostError) -> ResponseReturnValue:
    """The host was asked by a handler that did not expect its answer; over soon where it was busy or away."""
    soon = isinstance(error, HostUnavailable | RateLimited)
    kind: type[HTTPException] = ServiceUnavailable if soon else BadGateway
    log.warning("refused", status=kind.code, reason=error.brief, endpoint=request_ctx.request.endpoint)
    response = cast("Response", await _refused(kind()))
    _outcome(request_ctx.request).refused = "host"
    if soon:
        wait = RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
        response.headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return response
