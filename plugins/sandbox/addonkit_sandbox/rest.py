"""The handful of REST resources that pages of the add-on reach through ``AP.request``, within its scopes."""

from __future__ import annotations

from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.events import issue_of
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, SPACE
from addonkit_sandbox.web import simulation, visitor

blueprint = Blueprint("rest", __name__)
_ANY = ["GET", "POST", "PUT", "DELETE"]
_ADMIN = frozenset({"ADMIN", "PROJECT_ADMIN", "SPACE_ADMIN"})
_ENOUGH = {
    "GET": frozenset({"READ", "WRITE", "DELETE"}) | _ADMIN,
    "POST": frozenset({"WRITE", "DELETE"}) | _ADMIN,
    "PUT": frozenset({"WRITE", "DELETE"}) | _ADMIN,
    "DELETE": frozenset({"DELETE"}) | _ADMIN,
}


@blueprint.before_request
async def refuse() -> ResponseReturnValue | None:
    """Refuse whoever is not the installed add-on's page, and what its scopes do not cover."""
    descriptor = simulation().descriptor
    if request.headers.get("AP-Client-Key") != descriptor["key"]:
        return _error("The sandbox answers REST calls that a page makes with AP.request, and no others.", 401)
    needed = "GET" if request.path.endswith("/permissions/check") else request.method
    scopes = {str(scope).upper() for scope in descriptor.get("scopes", [])}
    if not scopes & _ENOUGH.get(needed, frozenset()):
        return _error("Request not in an authorized API scope.", 403)
    return None


@blueprint.get("/rest/api/3/myself")
@blueprint.get("/rest/api/2/myself", endpoint="myself_2")
@blueprint.get("/wiki/rest/api/user/current", endpoint="myself_in_confluence")
async def myself() -> ResponseReturnValue:
    """The user."""
    who = visitor()
    user = who.user
    if user is None:
        return _error("You are not authenticated. Authentication required to perform this operation.", 401)
    return {
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "timeZone": who.zone,
        "locale": user.locale.replace("-", "_"),
    }


@blueprint.get("/rest/api/3/issue/<key>")
@blueprint.get("/rest/api/2/issue/<key>", endpoint="issue_2")
async def issue(key: str) -> ResponseReturnValue:
    """An issue by its key or id."""
    found = next((held for held in ISSUES.values() if key in (held.key, held.id)), None)
    if found is None or found.key in simulation().state.removed:
        return _error("Issue does not exist or you do not have permission to see it.", 404)
    return issue_of(found)


@blueprint.get("/wiki/rest/api/content/<content_id>")
async def content(content_id: str) -> ResponseReturnValue:
    """A page by its id."""
    document = DOCUMENTS.get(content_id)
    if document is None or document.id in simulation().state.removed:
        return _error(f"No content found with id: {content_id}", 404)
    return {
        "id": document.id,
        "type": "page",
        "status": "current",
        "title": document.title,
        "space": SPACE,
        "version": {"number": 1},
    }


@blueprint.post("/rest/api/3/permissions/check")
async def permissions() -> ResponseReturnValue:
    """What the user may do: everything, or for an anonymous visitor nothing."""
    asked = await request.get_json()
    if visitor().user is None:
        return {"globalPermissions": [], "projectPermissions": []}
    projects = [
        {"permission": name, "projects": entry.get("projects", []), "issues": entry.get("issues", [])}
        for entry in asked.get("projectPermissions", [])
        for name in entry.get("permissions", [])
    ]
    return {"globalPermissions": asked.get("globalPermissions", []), "projectPermissions": projects}


@blueprint.route("/rest/<path:path>", methods=_ANY)
@blueprint.route("/wiki/rest/<path:path>", methods=_ANY, endpoint="nothing_in_confluence")
async def nothing(path: str) -> ResponseReturnValue:
    """Everything that the sandbox does not have."""
    return _error(f"The sandbox has no resource '{path}'.", 404)


def _error(sentence: str, status: int) -> ResponseReturnValue:
    """An error as the products write it: each its own form."""
    if request.path.startswith("/wiki/"):
        return {"statusCode": status, "message": sentence}, status
    return {"errorMessages": [sentence], "errors": {}}, status
