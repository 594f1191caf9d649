"""Quart with a lean way to answer a request: it leaves out the steps that nothing has been registered for.

``LeanQuart.answer`` gives what ``handle_request`` gives. At each request, it checks whether functions, signals or
sessions are in use, so that they may be registered at any time, and takes Quart's own steps for those that are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, NamedTuple

from markupsafe import Markup
from quart import Quart, Response
from quart.ctx import AppContext
from quart.json.provider import DefaultJSONProvider
from quart.sessions import SecureCookieSessionInterface
from quart.signals import (
    appcontext_pushed,
    request_finished,
    request_started,
    request_tearing_down,
)
from quart.typing import ResponseTypes
from quart.wrappers import Request

from addonkit.app.lean_context import LeanAppContext, LeanContext, LeanMap
from addonkit.app.lean_request import LeanRequest
from addonkit.app.quart_internals import _cv_app, _cv_request, unknown_parts
from addonkit.log import structlog

HTML = b"text/html; charset=utf-8"
JSON = b"application/json"
PRESERVE = "_quart._preserve_context"
STATUSES = range(200, 600)
SKIPPED = frozenset(
    {"handle_request", "request_context", "app_context", "create_url_adapter", "preprocess_request", "make_response"}
    | {"finalize_request", "process_response", "do_teardown_request", "do_teardown_appcontext"}
)
"""Methods of Quart that the lean way need not call. An application on which one is replaced takes Quart's own way."""

log = structlog.get_logger()


class Message(NamedTuple):
    """A complete response that nothing needs as a ``Response`` object, ready to be sent.

    Attributes:
        status: HTTP status.
        content_type: Value of the header.
        body: The body.
    """

    status: int
    content_type: bytes
    body: bytes


class LeanQuart(Quart):
    """A Quart application with the lean way.

    Attributes:
        is_lean: Whether requests may take the lean way: this Quart is one that it was written for.
    """

    request_class = LeanRequest
    url_map_class = LeanMap
    _has_own_steps = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        unknown = unknown_parts(self)
        self.is_lean = not unknown
        if unknown:
            log.warning(
                "quart.unknown",
                differences=unknown,
                consequence="pages are answered by Quart's own methods, which is slower",
            )

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in SKIPPED:
            self._has_own_steps = True

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in SKIPPED:
            self._has_own_steps = not SKIPPED.isdisjoint(vars(self))

    def ensure_async(self, func: Any) -> Any:
        """Do as Quart does; the code of a plain function says whether it is async."""
        if type(func) is FunctionType and func.__code__.co_flags & CO_COROUTINE:
            return func
        return super().ensure_async(func)

    async def answer(self, request: Request) -> ResponseTypes | Message:
        """Return the response to a request; a ``Message`` in its place if nothing has asked for the response."""
        if not self._can_be_lean(request):
            return await self.handle_request(request)
        context, app_context = LeanContext.of(self, request), LeanAppContext.of(self)
        context.accepts_message = True
        context._cv_tokens.append((_cv_request.set(context), app_context))  # noqa: SLF001
        app_context._cv_tokens.append(_cv_app.set(app_context))  # noqa: SLF001
        failure: BaseException | None = None
        try:
            context.match_request()
            try:
                return await self.full_dispatch_request(context)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                return await self.handle_exception(error)
        except BaseException as error:
            failure = error
            raise
        finally:
            await self._leave(context, app_context, failure)

    def _can_be_lean(self, request: Request) -> bool:
        """Whether entering the contexts of a request needs no step but setting them."""
        return (
            self.is_lean
            and not self._has_own_steps
            and not request.scope.get(PRESERVE)
            and not self.opens_sessions
            and not appcontext_pushed.receivers
            and self.config["SERVER_NAME"] is None
            and not self.subdomain_matching
            and _cv_app.get(None) is None
        )

    def work_context(self) -> AppContext:
        """Return the context of the application for a job, entered by ``async with``."""
        if self.is_lean and not self._has_own_steps and self.config["SERVER_NAME"] is None:
            return LeanAppContext.of(self)
        return self.app_context()

    @property
    def opens_sessions(self) -> bool:
        """Whether requests may have a session of Quart's."""
        return bool(self.secret_key) or type(self.session_interface) is not SecureCookieSessionInterface

    async def _leave(self, context: LeanContext, app_context: LeanAppContext, failure: BaseException | None) -> None:
        """Leave the contexts; with Quart's own steps if anything happens in them."""
        request = context.request
        tokens = context._cv_tokens  # noqa: SLF001
        if (
            len(tokens) == 1
            and not self._has(self.teardown_request_funcs, request)
            and not request_tearing_down.receivers
            and app_context.may_be_reset()
            and not request._files  # noqa: SLF001
            and not request.scope.get(PRESERVE)
            and failure is None
            and _cv_request.get(None) is context
        ):
            _cv_request.reset(tokens.pop()[0])
            _cv_app.reset(app_context._cv_tokens.pop())  # noqa: SLF001
        else:
            await context.auto_pop(failure)

    async def dispatch_leanly(self, context: LeanContext) -> ResponseTypes:
        """Do what Quart's ``full_dispatch_request`` does, for a caller that accepts a ``Message``."""
        request = context.request
        try:
            if request_started.receivers:
                await request_started.send_async(self, _sync_wrapper=self.ensure_async)
            result: Any = None
            if self._has(self.before_request_funcs, request) or self._has(self.url_value_preprocessors, request):
                result = await self.preprocess_request(context)
            if result is None:
                result = await self.dispatch_request(context)
        except Exception as error:
            result = await self.handle_user_exception(error)
        message = None if self._sees_response(context) else self._message(result)
        if message is not None:
            return message  # type: ignore[return-value]  # only ``answer`` gets it
        return await self.finalize_request(result, context)

    def _sees_response(self, context: LeanContext) -> bool:
        """Whether a function, a signal or a session gets the response before it is sent."""
        return bool(
            context._after_request_functions  # noqa: SLF001
            or request_finished.receivers
            or self.opens_sessions
            or self._has(self.after_request_funcs, context.request)
        )

    def _message(self, result: Any) -> Message | None:
        """Return the message that Quart would send for text and JSON; None if it takes a ``Response`` to know."""
        status = 200
        if type(result) is tuple and len(result) == 2 and type(result[1]) is int and result[1] in STATUSES:
            result, status = result
        if self.response_class is not Response:
            return None
        if type(result) is str or type(result) is Markup:
            return Message(status, HTML, result.encode())
        provider = self.json
        if type(result) in (dict, list) and type(provider) is DefaultJSONProvider and vars(provider).keys() == {"_app"}:
            return Message(status, JSON, f"{provider.dumps(result, separators=(',', ':'))}\n".encode())
        return None

    def _has(self, functions: Mapping[Any, Any], request: Request) -> bool:
        """Whether a function is registered for a request, on the application or on a blueprint of the route."""
        return bool(functions) and (
            bool(functions.get(None)) or any(functions.get(name) for name in request.blueprints)
        )
