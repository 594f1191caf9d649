"""Rendering of the simulated products' screens."""

from __future__ import annotations

from typing import Any

from quart import abort, render_template, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import SAFE_METHODS, current_simulation, current_visitor, product_of
from addonkit_sandbox.places import CONFLUENCE_PAGES, JIRA_PAGES
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, PROJECT, SPACE, USERS
from addonkit_sandbox.visitor import Visitor


async def render_screen(template: str, product: str, boot: dict[str, Any] | None = None, **values: Any) -> str:
    """Render a screen of a simulated product.

    Args:
        template: File name of the template.
        product: ``"jira"`` or ``"confluence"``.
        boot: Values for the screen's script, added to those that all screens have.
        values: Values for the template.
    """
    simulation, visitor = current_simulation(), current_visitor()
    if not simulation.descriptor:
        abort(503, "the add-on is not installed yet; reload the page in a few seconds")
    off = simulation.off_reason(product)
    boot_values = {
        "product": product,
        "contextPath": simulation.state.sites[product].context_path,
        "addonKey": simulation.descriptor["key"],
        "context": {},
        **(boot or {}),
        "user": _user_values(visitor),
    }
    return await render_template(
        template,
        boot=boot_values,
        product=product,
        visitor=visitor,
        off=off,
        users=USERS,
        project=PROJECT,
        space=SPACE,
        issues=ISSUES.values(),
        documents=DOCUMENTS.values(),
        removed=simulation.state.removed,
        descriptor=simulation.descriptor,
        pages=[] if off else simulation.places(*(JIRA_PAGES if product == "jira" else CONFLUENCE_PAGES)),
        **values,
    )


async def render_not_found(_: Exception) -> ResponseReturnValue:
    """Respond with 404: a screen for navigation, JSON for scripts."""
    if request.method not in SAFE_METHODS or not current_simulation().descriptor:
        return {"error": f"there is nothing at '{request.path}'"}, 404
    return await render_screen("missing.html", product_of(request.path)), 404


def _user_values(visitor: Visitor) -> dict[str, str | None]:
    user = visitor.user
    if user is None:
        return {"accountId": None, "name": "Anonymous", "locale": "en-GB"}
    return {"accountId": user.account_id, "name": user.name, "locale": user.locale}
