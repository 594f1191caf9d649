"""The files that add-ons and our own pages load: ``all.js``, the library's host half, its stylesheets, install keys."""

from __future__ import annotations

from quart import Blueprint, Response
from quart.typing import ResponseReturnValue

from addonkit_sandbox.web import simulation, whole_file

blueprint = Blueprint("library", __name__)


@blueprint.get("/atlassian-connect/all.js")
@blueprint.get("/wiki/atlassian-connect/all.js", endpoint="all_js_of_confluence")
async def all_js() -> Response:
    """The script that pages of add-ons load."""
    return Response(simulation().bridge.all_js(), content_type="text/javascript; charset=utf-8")


@blueprint.get("/atlassian-connect/cdn/<path:name>")
@blueprint.get("/wiki/atlassian-connect/cdn/<path:name>", endpoint="cdn_of_confluence")
async def cdn(name: str) -> ResponseReturnValue:
    """The stylesheets that ``all.js`` loads, and what our own pages load."""
    path = simulation().bridge.file(name)
    if path is None:
        return "no such file", 404
    response = whole_file(path)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "max-age=3600"
    return response


@blueprint.get("/install-keys/<kid>")
async def install_key(kid: str) -> ResponseReturnValue:
    """The public half of the key that installations are signed with."""
    keys = simulation().state.keys
    return (keys.public_pem, 200, {"Content-Type": "text/plain"}) if kid == keys.kid else ("", 404)
