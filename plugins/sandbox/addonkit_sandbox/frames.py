"""Endpoints for the bridge in the sandbox's pages: signed URLs of frames, and context tokens."""

from __future__ import annotations

from typing import Any

from addonkit.testing import Site, Variables, module_of
from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import current_simulation, current_visitor, product_of
from addonkit_sandbox.places import JIRA_PAGES, PAGES

blueprint = Blueprint("frames", __name__)
_FULL_PAGES = JIRA_PAGES | PAGES | {"spaceToolsTabs"}


@blueprint.post("/plugins/servlet/ac/<addon_key>/<module_key>")
@blueprint.post("/wiki/plugins/servlet/ac/<addon_key>/<module_key>", endpoint="resolve_in_confluence")
async def resolve(addon_key: str, module_key: str) -> ResponseReturnValue:
    """Respond with the signed URL of a module's frame for this visitor, and with the bridge's options for it.

    Source: the path is the product's own; the body has the host variables.
    """
    simulation = current_simulation()
    if addon_key != simulation.descriptor["key"]:
        return {"error": f"the add-on '{addon_key}' is not installed here"}, 404
    if off := simulation.off_reason(product_of(request.path)):
        return {"error": off}, 404
    sent = await request.get_json()
    context = {str(name): str(value) for name, value in (sent.get("productContext") or {}).items()}
    key, _, part = module_key.partition("__")
    site = _site()
    try:
        module_type, module = module_of(simulation.descriptor, key)
        url = simulation.page_url(site, current_visitor(), key, part or None, Variables(context))
    except AssertionError as missing:
        return {"error": str(missing)}, 404
    return {
        "url": url,
        "addon_key": addon_key,
        "key": module_key,
        "name": (module.get("name") or {}).get("value", key),
        "width": module.get("width"),
        "height": module.get("height"),
        "options": _bridge_options(module_type, site, context),
    }


@blueprint.post("/sandbox/context-token")
async def context_token() -> ResponseReturnValue:
    """Respond with a token for ``AP.context.getToken`` and its context for ``AP.context.getContext``."""
    sent = await request.get_json()
    product = "confluence" if sent.get("product") == "confluence" else "jira"
    context = Variables(sent.get("productContext") or {}).context(product)
    token = current_simulation().state.sites[product].context_token(current_visitor().account_id, context)
    return {"token": token, "context": context}


def _site() -> Site:
    return current_simulation().state.sites[product_of(request.path)]


def _bridge_options(module_type: str, site: Site, context: dict[str, str]) -> dict[str, Any]:
    visitor = current_visitor()
    user = visitor.user
    return {
        "autoresize": True,
        "moduleType": module_type,
        "contextPath": site.context_path,
        "productContext": context,
        "isFullPage": module_type in _FULL_PAGES,
        "history": {"state": ""},
        "user": {"timeZone": visitor.zone, "fullName": user.name, "uid": user.account_id} if user else {},
    }
