"""The switches in the top bar (user, licence, theme), and the lifecycle buttons on the start page."""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Blueprint, abort, make_response, redirect, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import current_simulation
from addonkit_sandbox.visitor import CHOICES, cookie_name

blueprint = Blueprint("switches", __name__, url_prefix="/sandbox")
_EVENTS = frozenset({"installed", "enabled", "disabled", "uninstalled"})
_COOKIE_MAX_AGE_S = 365 * 24 * 3600


@blueprint.post("/visitor")
async def set_switches() -> ResponseReturnValue:
    """Store switches in cookies; redirect a form back to its page, respond 204 to a script."""
    form = await request.form
    response = await make_response(("", 204) if "X-Requested-With" in request.headers else redirect(_referring_path()))
    for name, choices in CHOICES.items():
        if form.get(name) in choices:
            response.set_cookie(
                cookie_name(name), form[name], max_age=_COOKIE_MAX_AGE_S, httponly=True, samesite="Strict"
            )
    return response


@blueprint.post("/lifecycle")
async def lifecycle() -> ResponseReturnValue:
    """Send a lifecycle request to the add-on, as if the site's administrator had caused it."""
    form = await request.form
    product, event = form.get("site", ""), form.get("event", "")
    if product not in current_simulation().state.sites or event not in _EVENTS:
        abort(404)
    status = await current_simulation().notify(product, event)
    if status in (200, 204):
        return redirect(_referring_path())
    return f"the add-on responded {status} to '{event}', expected 204; see its log for the reason", 502


def _referring_path() -> str:
    """Return the path and query of the page with the form, never an address of another site."""
    parts = urlsplit(request.headers.get("Referer", ""))
    path = parts.path if parts.path.startswith("/") and not parts.path.startswith("//") else "/"
    return f"{path}?{parts.query}" if parts.query else path
