"""The Quart application. It checks a route's demand and asks for admission before any code of a plugin runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, cast

from jinja2 import BaseLoader, PrefixLoader
from quart.ctx import RequestContext
from quart.globals import request_ctx
from quart.typing import ResponseReturnValue, ResponseTypes
from quart.wrappers import Request
from werkzeug.exceptions import HTTPException

from addonkit.app.connection import Connection
from addonkit.app.lean_context import LeanContext
from addonkit.app.lean_quart import LeanQuart
from addonkit.app.lean_request import LeanRequest
from addonkit.app.page_templates import PageEnvironment
from addonkit.app.refusal_reasons import reason_of
from addonkit.app.refusal_responses import on_addonkit_error, on_http_error, refuse, refuse_page
from addonkit.context import Context, Demand, Proof, Route
from addonkit.current import plugin_scope
from addonkit.errors import HostError, ObjectIdInvalid, Refused, StorageUnavailable
from addonkit.extension.handlers import as_response, inbound_of
from addonkit.extension.registry import Registry
from addonkit.failure import FailureFacts, FailureKind
from addonkit.jobs.executor import error_place
from addonkit.log import ENDPOINT, PLUGIN, structlog
from addonkit.observers import report_failure
from addonkit.spans import failure_of
from addonkit.tenant_data.scope import work_scope
from addonkit.time_limit import TimeLimit

if TYPE_CHECKING:
    from werkzeug.routing import Rule

ACCEPTED = {
    Demand.EXACT: frozenset({Proof.EXACT}),
    Demand.OWN_PAGE: frozenset({Proof.CONTEXT, Proof.SESSION}),
}

log = structlog.get_logger()


class Application(LeanQuart):
    """Serves the plugins' pages and routes.

    Args:
        registry: The enabled plugins.
    """

    asgi_http_class = Connection
    jinja_environment = PageEnvironment  # type: ignore[assignment]

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
        self.register_error_handler(HTTPException, on_http_error)
        for kind in (Refused, StorageUnavailable, ObjectIdInvalid, HostError):
            self.register_error_handler(kind, on_addonkit_error)

    def create_global_jinja_loader(self) -> BaseLoader:  # type: ignore[override]  # a loader by plugin, not by search
        """Return a loader by plugin name, ``issue_panel/panel.html``: plugins may have equal file names."""
        loaders: dict[str, BaseLoader] = {
            name.replace(".", "/"): blueprint.jinja_loader
            for name, blueprint in self.blueprints.items()
            if blueprint.jinja_loader is not None
        }
        return PrefixLoader(loaders)

    async def full_dispatch_request(self, request_context: RequestContext | None = None) -> ResponseTypes:
        """Find the route, limit body and time, then dispatch the request."""
        request = (request_context or request_ctx).request
        if request.url_rule is None:
            return await super().full_dispatch_request(request_context)
        route = self._routes.get(request.url_rule.endpoint)
        if route is None:
            reason = f"'{request.endpoint}' does not declare what it demands"
            return await self.make_response(refuse(401, reason, kind="proof"))
        if not _is_spelled_as_routed(request):
            reason = "the route and the path differ in a slash at the end"
            return await self.make_response(refuse(404, reason))
        cast("LeanRequest", request).limit_body(route.max_body)
        inbound = inbound_of(request)
        inbound.record.answered_by(route.plugin, route.endpoint, request.url_rule.rule)
        PLUGIN.set(route.plugin)
        ENDPOINT.set(route.endpoint)
        context = inbound.context
        work = work_scope(context.tenant if context else None, route.plugin)
        limit = TimeLimit(route.timeout_s)
        try:
            with work:
                return await limit.run(self._dispatch(route, context, request_context))
        except TimeoutError as error:
            if not limit.expired():
                raise
            log.error(
                "request.timed_out", status=504, plugin=route.plugin, endpoint=route.endpoint, timeout_s=route.timeout_s
            )
            _note_failure(error, FailureKind.REQUEST, route.plugin, route.endpoint, 504)
            reason = f"'{route.endpoint}' did not end within {route.timeout_s:g} s, the timeout_s of its route"
            return await self.make_response(refuse(504, reason))

    async def _dispatch(
        self, route: Route, context: Context | None, request_context: RequestContext | None
    ) -> ResponseTypes:
        """Check demand and admission, then let Quart call the handler, in the lean way if the caller allows it."""
        if (refusal := await self._guarded(route, context)) is not None:
            return await self.make_response(refusal)
        if isinstance(request_context, LeanContext) and request_context.accepts_message:
            return await self.dispatch_leanly(request_context)
        return await super().full_dispatch_request(request_context)

    async def _guarded(self, route: Route, context: Context | None) -> ResponseReturnValue | None:
        """Check the proof that the route demands, then ask each plugin for admission; return a refusal or None."""
        if route.demand is Demand.NOTHING:
            return None
        proof = context.proof if context else Proof.NONE
        if context is None or proof not in ACCEPTED[route.demand]:
            return refuse(401, f"'{route.endpoint}' demands {route.demand}, received {proof}", kind="proof")
        if route.pages and context.page not in route.pages:
            return refuse_page(route, context)
        for name in self._admitting:
            try:
                with plugin_scope(name):
                    answer = await self._ask(name, "addon_admit", context=context, route=route)
            except StorageUnavailable as unavailable:
                return await on_addonkit_error(unavailable)
            except Exception as error:
                log.exception("admission.failed", status=503, plugin=name, endpoint=route.endpoint)
                _note_failure(error, FailureKind.ADMISSION, name, route.endpoint, 503)
                return refuse(503, f"addon_admit of plugin '{name}' failed ({error_place(error)})")
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
        if (error := exception_info[1]) is not None:
            _note_failure(error, FailureKind.REQUEST, plugin or "", request.endpoint or "", 500)
            record.reason = f"{error_place(error)}; the log has the traceback"


def _note_failure(error: BaseException, kind: FailureKind, plugin: str, name: str, status: int) -> None:
    """Record that the current request failed, which an event of the log says, and report it to plugins."""
    inbound = inbound_of(request_ctx.request)
    inbound.record.is_logged, inbound.record.error = True, failure_of(error)
    tenant = inbound.context.tenant if inbound.context else None
    report_failure(error, FailureFacts(kind, plugin, name, status=status), tenant)


def _is_spelled_as_routed(request: Request) -> bool:
    """Whether path and route agree on a trailing slash, since the query hash is the same with and without it."""
    if request.path.endswith("/") == cast("Rule", request.url_rule).rule.endswith("/"):
        return True
    return any(str(value).endswith("/") for value in (request.view_args or {}).values())
