"""What the switches of the console change: who looks and how, and the add-on's life on a site."""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Blueprint, abort, make_response, redirect, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.visitor import CHOICES, cookie
from addonkit_sandbox.web import simulation

blueprint = Blueprint("switches", __name__, url_prefix="/sandbox")
_EVENTS = frozenset({"installed", "enabled", "disabled", "uninstalled"})
_YEAR_S = 365 * 24 * 3600


@blueprint.post("/visitor")
async def choose() -> ResponseReturnValue:
    """Set switches for this browser and go back to where they were set, if that is not still in view."""
    form = await request.form
    response = await make_response(("", 204) if "X-Requested-With" in request.headers else redirect(_back()))
    for name, choices in CHOICES.items():
        if form.get(name) in choices:
            response.set_cookie(cookie(name), form[name], max_age=_YEAR_S, httponly=True, samesite="Strict")
    return response


@blueprint.post("/lifecycle")
async def lifecycle() -> ResponseReturnValue:
    """Send a lifecycle call to the add-on, as the site's administrator would cause it."""
    form = await request.form
    product, event = form.get("site", ""), form.get("event", "")
    if product not in simulation().state.sites or event not in _EVENTS:
        abort(404)
    status = await simulation().notify(product, event)
    if status in (200, 204):
        return redirect(_back())
    return f"the add-on answered {status} to '{event}', expected 204; its log has the reason", 502


def _back() -> str:
    """The path of the page that the form stood on, never another site's."""
    parts = urlsplit(request.headers.get("Referer", ""))
    path = parts.path if parts.path.startswith("/") and not parts.path.startswith("//") else "/"
    return f"{path}?{parts.query}" if parts.query else path
