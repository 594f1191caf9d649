"""The current request: its simulation, visitor and product. Blueprints import this module; it imports none of them."""

from __future__ import annotations

from typing import cast

from quart import Request, current_app, request

from addonkit_sandbox.simulation import Simulation
from addonkit_sandbox.visitor import Visitor

EXTENSION_KEY = "addonkit-sandbox"
SAFE_METHODS = frozenset({"GET", "HEAD"})
_REST_PREFIXES = ("/rest/", "/wiki/rest/", "/wiki/api/")


def current_simulation() -> Simulation:
    """Return the simulation that serves the current request."""
    return cast("Simulation", current_app.extensions[EXTENSION_KEY])


def current_visitor() -> Visitor:
    """Return the visitor who sent the current request."""
    return Visitor.from_cookies(request.cookies)


def product_of(path: str) -> str:
    """Return the product that serves a path."""
    return "confluence" if path.startswith("/wiki/") else "jira"


def is_server_request(received: Request) -> bool:
    """Return whether no page in a browser can have sent this request: a host call or a request for a user token.

    The signature is not verified here.
    """
    if received.path == "/oauth2/token":
        return True
    is_rest = received.path.startswith(_REST_PREFIXES)
    return is_rest and "Authorization" in received.headers and "Origin" not in received.headers
