"""What the bridge in our pages asks this server for: the signed URL of a frame, and context tokens."""

from __future__ import annotations

from typing import Any

from addonkit.testing import Site, Variables, module_of
from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.places import JIRA_PAGES, PAGES
from addonkit_sandbox.web import product_of, simulation, visitor

blueprint = Blueprint("frames", __name__)
_FULL_PAGES = JIRA_PAGES | PAGES | {"spaceToolsTabs"}


@blueprint.post("/plugins/servlet/ac/<addon_key>/<module_key>")
@blueprint.post("/wiki/plugins/servlet/ac/<addon_key>/<module_key>", endpoint="resolve_in_confluence")
async def resolve(addon_key: str, module_key: str) -> ResponseReturnValue:
    """Where a module's frame points for this visitor, and what the bridge must know of it.

    Source: the path is the product's own; its body says what the user looks at.
    """
    held = simulation()
    if addon_key != held.descriptor["key"]:
        return {"error": f"no add-on '{addon_key}' is installed here"}, 404
    if off := held.why_off(product_of(request.path)):
        return {"error": off}, 404
    asked = await request.get_json()
    context = {str(name): str(value) for name, value in (asked.get("productContext") or {}).items()}
    key, _, part = module_key.partition("__")
    site = _site()
    try:
        kind, module = module_of(held.descriptor, key)
        url = held.page_url(site, visitor(), key, part or None, Variables(context))
    except AssertionError as missing:
        return {"error": str(missing)}, 404
    return {
        "url": url,
        "addon_key": addon_key,
        "key": module_key,
        "name": (module.get("name") or {}).get("value", key),
        "width": module.get("width"),
        "height": module.get("height"),
        "options": _options(kind, site, context),
    }


@blueprint.post("/sandbox/context-token")
async def context_token() -> ResponseReturnValue:
    """A token for ``AP.context.getToken``, and what it says for ``AP.context.getContext``."""
    asked = await request.get_json()
    product = "confluence" if asked.get("product") == "confluence" else "jira"
    context = Variables(asked.get("productContext") or {}).context(product)
    token = simulation().state.sites[product].context_token(visitor().account_id, context)
    return {"token": token, "context": context}


def _site() -> Site:
    return simulation().state.sites[product_of(request.path)]


def _options(kind: str, site: Site, context: dict[str, str]) -> dict[str, Any]:
    who = visitor()
    user = who.user
    return {
        "autoresize": True,
        "moduleType": kind,
        "contextPath": site.context_path,
        "productContext": context,
        "isFullPage": kind in _FULL_PAGES,
        "history": {"state": ""},
        "user": {"timeZone": who.zone, "fullName": user.name, "uid": user.account_id} if user else {},
    }
