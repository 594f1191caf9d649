"""Files that pages load: ``all.js``, the library's host part with its stylesheets, and install keys."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path

from quart import Blueprint, Response
from quart.typing import ResponseReturnValue
from werkzeug.security import safe_join

from addonkit_sandbox.current import current_simulation

blueprint = Blueprint("library", __name__)


def file_in(folder: str, name: str) -> Path | None:
    """Return the file of this name below a folder; None if there is none or the name leads out of the folder."""
    path = safe_join(folder, name)
    return Path(path) if path is not None and Path(path).is_file() else None


def file_response(path: Path) -> Response:
    """Return a response with the whole file."""
    return Response(path.read_bytes(), content_type=guess_type(path.name)[0] or "application/octet-stream")


@blueprint.get("/atlassian-connect/all.js")
@blueprint.get("/wiki/atlassian-connect/all.js", endpoint="all_js_of_confluence")
async def all_js() -> Response:
    """Respond with the script that pages of add-ons load."""
    return Response(current_simulation().bridge.all_js(), content_type="text/javascript; charset=utf-8")


@blueprint.get("/atlassian-connect/cdn/<path:name>")
@blueprint.get("/wiki/atlassian-connect/cdn/<path:name>", endpoint="cdn_of_confluence")
async def cdn(name: str) -> ResponseReturnValue:
    """Respond with a stylesheet of the library or with its host part."""
    path = current_simulation().bridge.file(name)
    if path is None:
        return "no such file", 404
    response = file_response(path)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "max-age=3600"
    return response


@blueprint.get("/install-keys/<kid>")
async def install_key(kid: str) -> ResponseReturnValue:
    """Respond with the public install key."""
    keys = current_simulation().state.keys
    return (keys.public_pem, 200, {"Content-Type": "text/plain"}) if kid == keys.kid else ("", 404)
