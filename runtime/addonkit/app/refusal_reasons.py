"""States why the application refuses a request, and whether the sentence is a plugin's own.

A plugin's sentence, as in ``abort(403, "you may not see this board")``, is meant for the user. A sentence of the
runtime or of a library is for the log, and for an author who tries the add-on on the own machine.
"""

from __future__ import annotations

import traceback

from werkzeug.exceptions import BadRequestKeyError, HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from addonkit.errors import HostError
from addonkit.jobs.executor import error_reason

NOT_PLUGINS = frozenset({"addonkit", "quart", "flask", "werkzeug"})
"""Packages whose sentences are not a plugin's."""
ABORT_PACKAGES, ABORT_FUNCTIONS = frozenset({"quart", "flask", "werkzeug"}), frozenset({"abort", "__call__"})
"""The functions that raise an error for their caller."""


def reason_of(error: Exception, *, max_body: int | None = None) -> str:
    """Return the reason for the log: one sentence, without what a host sent.

    Args:
        error: What ended the request.
        max_body: Largest body of the route in bytes, if the route is known.
    """
    if isinstance(error, HTTPException):
        return own_description(error) or _http_reason(error, max_body)
    return error.brief if isinstance(error, HostError) else error_reason(error)


def own_description(error: HTTPException) -> str | None:
    """Return the description that was given to an error; None if it has that of its class."""
    if isinstance(error, BadRequestKeyError):
        return None
    return None if error.description == type(error).description else error.description


def plugins_sentence(error: HTTPException) -> str | None:
    """Return the description of an error if code of a plugin raised it, directly or by ``abort``."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in frames]
    while packages and packages[-1] in ABORT_PACKAGES and frames[-1].f_code.co_name in ABORT_FUNCTIONS:
        frames.pop()
        packages.pop()
    return own_description(error) if packages and packages[-1] not in NOT_PLUGINS else None


def _http_reason(error: HTTPException, max_body: int | None) -> str:
    match error:
        case MethodNotAllowed():
            methods = ", ".join(sorted(error.valid_methods or ()))
            return f"the route does not take this method; it takes {methods or 'none'}"
        case RequestEntityTooLarge():
            limit = f"{max_body} bytes, the limit of its route" if max_body is not None else "any route takes"
            return f"the body is larger than {limit}"
        case BadRequestKeyError():
            return f"the handler reads '{error.args[0] if error.args else ''}', which the request does not have"
        case NotFound() if error.__traceback__ is None or _is_routing(error):
            return "no route and no static file has this path"
    if error.response is not None:
        return "the handler ended the request with a response of its own"
    return f"the handler ended the request with {error.code} {error.name}"


def _is_routing(error: HTTPException) -> bool:
    """Whether Quart's router raised an error, and not a handler."""
    return any(frame.f_code.co_name == "raise_routing_exception" for frame, _ in traceback.walk_tb(error.__traceback__))
