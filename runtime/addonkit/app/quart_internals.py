"""The private names of Quart that the lean way needs, and the check at start that this Quart has them.

A Quart whose names or attributes differ is used through its public methods only, which is slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import quart.asgi
import quart.globals
import quart.helpers
from quart import Quart
from quart.ctx import AppContext, RequestContext
from quart.wrappers import Request
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope

MODULES = {
    "_normalise_path": quart.asgi,
    "_split_blueprint_path": quart.helpers,
    "_cv_app": quart.globals,
    "_cv_request": quart.globals,
}
REQUEST = frozenset(
    {"method", "scheme", "server", "root_path", "path", "query_string", "headers", "remote_addr", "http_version"}
    | {"scope", "body_timeout", "body", "_cached_json", "_form", "_files", "_parsing_lock", "_send_push_promise"}
)
"""The attributes that Quart's constructor gives a request."""
MADE_ON_READING = frozenset({"content_length", "host", "routing_exception", "json_module"})
"""Attributes of a request that the body and the context add."""
CONTEXT = frozenset(
    {"app", "request_websocket", "url_adapter", "session", "preserved", "_cv_tokens", "flashes"}
    | {"_after_request_functions"}
)
APP_CONTEXT = frozenset({"app", "url_adapter", "g", "_cv_tokens"})

_MISSING: Any = None
_normalise_path: Any = getattr(quart.asgi, "_normalise_path", _MISSING)
_split_blueprint_path: Any = getattr(quart.helpers, "_split_blueprint_path", _MISSING)
_cv_app: ContextVar[AppContext] = getattr(quart.globals, "_cv_app", _MISSING)
_cv_request: ContextVar[RequestContext] = getattr(quart.globals, "_cv_request", _MISSING)


def unknown_parts(app: Quart) -> list[str]:
    """Return what is different in the installed Quart; empty if the lean way can be used with it.

    Args:
        app: An application without requests.
    """
    return sorted(_differences(app))


def _differences(app: Quart) -> Iterator[str]:
    for name, module in MODULES.items():
        if not hasattr(module, name):
            yield f"{module.__name__}.{name}"
    try:
        request = _any_request()
        for made, known in (
            (RequestContext(app, request), CONTEXT),
            (AppContext(app), APP_CONTEXT),
            (request, REQUEST),
        ):
            for name in (vars(made).keys() ^ known) - MADE_ON_READING:
                yield f"{type(made).__name__}.{name}"
    except (AttributeError, TypeError, RuntimeError) as error:
        yield f"constructors ({type(error).__name__})"


def _any_request() -> Request:
    """Construct a request as Quart's connection does."""

    async def send_push_promise(path: str, headers: Headers) -> None:
        """Do nothing."""

    scope: HTTPScope = {"type": "http", "server": None}  # type: ignore[typeddict-item]
    return Request(
        "GET",
        "http",
        "/",
        b"",
        Headers(),
        "",
        "1.1",
        scope,
        max_content_length=None,
        body_timeout=None,
        send_push_promise=send_push_promise,
    )
