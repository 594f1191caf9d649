"""Sites without an active licence get a clear page in place of what is sold; what is free stays open.

The runtime knows what the host says of a licence, and each plugin says which of its routes need one. What follows is
decided here.
"""

from typing import Annotated

from addonkit import Context, Licence, Plugin, Route, Tenant
from pydantic import BaseModel, Field, StringConstraints
from quart import request
from quart.typing import ResponseReturnValue

Link = Annotated[str, StringConstraints(pattern=r"^(https://|mailto:)\S+$", max_length=500)]


class Settings(BaseModel):
    """What a deployment sets."""

    message: str = Field("", max_length=500, description="A sentence of your own on the page.")
    contact: Link | None = Field(None, description="Where to turn to: an https or mailto address.")


plugin = Plugin("licensing", __name__, settings=Settings)


@plugin.hook
async def addon_admit(context: Context, route: Route) -> ResponseReturnValue | None:
    """Let a request pass if its route is free or its site has an active licence.

    What the host does not say is not taken for a licence.

    Args:
        context: Who asks; its licence is the host's word.
        route: What is asked for.
    """
    if not route.licensed or context.licence is Licence.ACTIVE:
        return None
    if _wants_json():
        return {"error": "this site has no active licence for this feature; ask its administrator to activate one"}, 403
    settings: Settings = plugin.current_settings()
    page = await plugin.render(
        "unlicensed.html", manage=manage_apps(context.tenant), message=settings.message, contact=settings.contact
    )
    return page, 403


def manage_apps(tenant: Tenant) -> str:
    """Where a site's administrator sees its apps and their licences."""
    return f"{tenant.display_url.rstrip('/')}/plugins/servlet/upm"


def _wants_json() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
