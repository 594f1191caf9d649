"""Refuses licensed routes to sites without an active licence, with a page that explains what to do.

The runtime knows a site's licence, and each plugin declares which of its routes need one. This plugin decides what
happens without it, in the hook ``addon_admit``.
"""

from typing import Annotated

from addonkit import Context, Licence, Plugin, Route, Tenant
from pydantic import BaseModel, Field, StringConstraints
from quart import request
from quart.typing import ResponseReturnValue

Link = Annotated[str, StringConstraints(pattern=r"^(https://|mailto:)\S+$", max_length=500)]


class Settings(BaseModel):
    """Settings in ``[plugin.licensing]``."""

    message: str = Field("", max_length=500, description="An additional sentence on the page.")
    contact: Link | None = Field(None, description="Support address: an https or mailto URL.")


plugin = Plugin("licensing", __name__, settings=Settings)


@plugin.hook
async def addon_admit(context: Context, route: Route) -> ResponseReturnValue | None:
    """Admit a request if its route is free or its site has an active licence.

    If the host does not send a licence status, the site counts as one without a licence.

    Args:
        context: The request's context, with the licence that the host has sent.
        route: The requested route.
    """
    if not route.licensed or context.licence is Licence.ACTIVE:
        return None
    if _accepts_json():
        return {
            "error": "this site has no active licence for this feature; ask your administrator to activate one"
        }, 403
    settings: Settings = plugin.current_settings()
    page = await plugin.render(
        "unlicensed.html", manage=manage_apps(context.tenant), message=settings.message, contact=settings.contact
    )
    return page, 403


def manage_apps(tenant: Tenant) -> str:
    """Return the URL where a site's administrator manages apps and licences."""
    return f"{tenant.display_url.rstrip('/')}/plugins/servlet/upm"


def _accepts_json() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
