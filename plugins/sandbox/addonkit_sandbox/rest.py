"""REST resources that the add-on can use within its scopes, by host calls or by ``AP.request``."""

from __future__ import annotations

import re
from typing import Any, cast

from addonkit.testing import RecordedRequest, SignatureRejected
from quart import Blueprint, g, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox import issues
from addonkit_sandbox.current import current_simulation, current_visitor, is_server_request, product_of
from addonkit_sandbox.sample import ACCOUNTS, DOCUMENTS, SPACE, User
from addonkit_sandbox.users import confluence_user, existing_users, has_permission, jira_user

blueprint = Blueprint("rest", __name__)
tokens = Blueprint("tokens", __name__)
TENANT_INFO = "/_edge/tenant_info"
_READ_BY_POST = ("/permissions/check", "/permission/check", "/search/jql")
"""Path endings of resources that POST requests read without changing anything."""
_ADDON_PROPERTIES = re.compile("^(?:/wiki)?/rest/atlassian-connect/")
_METHODS = ["GET", "POST", "PUT", "DELETE"]
_ADMIN_SCOPES = frozenset({"ADMIN", "PROJECT_ADMIN_SCOPES", "SPACE_ADMIN_SCOPES"})
_SUFFICIENT_SCOPES = {
    "GET": frozenset({"READ", "WRITE", "DELETE"}) | _ADMIN_SCOPES,
    "POST": frozenset({"WRITE", "DELETE"}) | _ADMIN_SCOPES,
    "PUT": frozenset({"WRITE", "DELETE"}) | _ADMIN_SCOPES,
    "DELETE": frozenset({"DELETE"}) | _ADMIN_SCOPES,
}


@blueprint.before_request
async def authorize() -> ResponseReturnValue | None:
    """Refuse requests that come neither from the installed add-on nor from its pages, or that its scopes forbid."""
    simulation, product = current_simulation(), product_of(request.path)
    if is_server_request(request):
        try:
            g.host_call = simulation.rest.authenticate(cast("dict[str, Any]", request.scope), await _body())
        except SignatureRejected as error:
            return _error(f"Client must be authenticated to access this resource: {error}", 401)
        if simulation.off_reason(product):
            return _error("The add-on is not enabled here.", 401)
    elif request.headers.get("AP-Client-Key") != simulation.descriptor["key"]:
        return _error("The sandbox accepts signed host calls, and requests that a page makes with AP.request.", 401)
    needed = "GET" if request.path.endswith(_READ_BY_POST) else request.method
    scopes = {str(scope).upper() for scope in simulation.descriptor.get("scopes", [])}
    if not _ADDON_PROPERTIES.search(request.path) and not scopes & _SUFFICIENT_SCOPES.get(needed, frozenset()):
        return _error("Request not in an authorized API scope.", 403)
    return None


@blueprint.get("/rest/api/3/myself")
@blueprint.get("/rest/api/2/myself", endpoint="myself_2")
@blueprint.get("/wiki/rest/api/user/current", endpoint="myself_in_confluence")
async def myself() -> ResponseReturnValue:
    """Respond with the user, or with the account of the add-on."""
    if _is_addon():
        return {"accountId": "addon", "accountType": "app", "displayName": current_simulation().name}
    user = _acting_user()
    if user is None:
        return _error("You are not authenticated. Authentication required to perform this operation.", 401)
    return {
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "timeZone": current_visitor().zone,
        "locale": user.locale.replace("-", "_"),
    }


@blueprint.get("/rest/api/3/user/bulk")
async def jira_users() -> ResponseReturnValue:
    """Respond with users of Jira by their account ids."""
    return {"values": [jira_user(user) for user in _requested_users()], "isLast": True}


@blueprint.get("/wiki/rest/api/user/bulk")
async def confluence_users() -> ResponseReturnValue:
    """Respond with users of Confluence by their account ids."""
    return {"results": [confluence_user(user) for user in _requested_users()]}


@blueprint.get("/rest/api/3/issue/<key>")
@blueprint.get("/rest/api/2/issue/<key>", endpoint="issue_2")
async def issue(key: str) -> ResponseReturnValue:
    """Respond with an issue by its key or id."""
    found = issues.find_issue(key)
    return _issue_not_found() if found is None else issues.issue_with_assignee(found)


@blueprint.route("/rest/api/3/search/jql", methods=["GET", "POST"])
async def search() -> ResponseReturnValue:
    """Respond with issues by JQL."""
    return issues.search(await request.get_json() if request.method == "POST" else request.args)


@blueprint.get("/rest/api/3/issue/<key>/comment")
async def comments(key: str) -> ResponseReturnValue:
    """Respond with the comments of an issue."""
    found = issues.find_issue(key)
    return _issue_not_found() if found is None else issues.comments_of(found, request.args)


@blueprint.post("/rest/api/3/issue/<key>/comment")
async def comment(key: str) -> ResponseReturnValue:
    """Add a comment to an issue."""
    found, user = issues.find_issue(key), _acting_user()
    if found is None:
        return _issue_not_found()
    if not _is_addon() and not has_permission(user, "ADD_COMMENTS"):
        return _error("You do not have the permission to comment on this issue.", 403)
    body = (await request.get_json() or {}).get("body")
    if not isinstance(body, dict) or body.get("type") != "doc":
        return _error("Comment body is not valid! It must be in Atlassian Document Format.", 400)
    return issues.add_comment(found, user, body), 201


@blueprint.get("/wiki/rest/api/content/<content_id>")
async def content(content_id: str) -> ResponseReturnValue:
    """Respond with a page by its id."""
    document = DOCUMENTS.get(content_id)
    if document is None or document.id in current_simulation().state.removed:
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
    """Respond with the permissions that a user has, out of those in the request."""
    sent = await request.get_json()
    user = ACCOUNTS.get(sent["accountId"]) if "accountId" in sent else _acting_user()
    projects = [
        {"permission": name, "projects": entry.get("projects", []), "issues": entry.get("issues", [])}
        for entry in sent.get("projectPermissions", [])
        for name in entry.get("permissions", [])
        if has_permission(user, name)
    ]
    granted = [name for name in sent.get("globalPermissions", []) if has_permission(user, name)]
    return {"globalPermissions": granted, "projectPermissions": projects}


@blueprint.post("/wiki/rest/api/content/<content_id>/permission/check")
async def content_permission(content_id: str) -> ResponseReturnValue:
    """Respond whether a user has a permission on a page."""
    sent = await request.get_json()
    exists = content_id in DOCUMENTS and content_id not in current_simulation().state.removed
    user = ACCOUNTS.get(str(sent["subject"]["identifier"]))
    return {"hasPermission": exists and has_permission(user, str(sent["operation"])), "errors": []}


@blueprint.route("/rest/<path:path>", methods=_METHODS)
@blueprint.route("/wiki/rest/<path:path>", methods=_METHODS, endpoint="nothing_in_confluence")
@blueprint.route("/wiki/api/<path:path>", methods=_METHODS, endpoint="nothing_new_in_confluence")
async def other_resource(path: str) -> ResponseReturnValue:
    """Respond to host calls for properties, which are stored until the sandbox stops; everything else is 404."""
    if (call := _host_call()) is not None:
        found = current_simulation().rest.resources.reply(call.method, call.path, call.query, call.body, call.site)
        if found is not None:
            status, body = found
            return ("", status) if body is None else (body, status)
    return _error(f"The sandbox does not have the resource '{path}'.", 404)


@tokens.get(TENANT_INFO)
async def tenant_info() -> ResponseReturnValue:
    """Respond to anybody with the cloud id of the simulated site."""
    return {"cloudId": current_simulation().state.sites["jira"].cloud_id}


@tokens.post("/oauth2/token")
async def token() -> ResponseReturnValue:
    """Respond with a token for acting as a user."""
    reply = current_simulation().rest.issue_token(await _body())
    return reply.json, reply.status


def _issue_not_found() -> ResponseReturnValue:
    return _error("Issue does not exist or you do not have permission to see it.", 404)


async def _body() -> bytes:
    return cast("bytes", await request.get_data())


def _host_call() -> RecordedRequest | None:
    """Return the verified host call; None if the request comes from a page."""
    return cast("RecordedRequest | None", g.get("host_call"))


def _is_addon() -> bool:
    """Return whether the add-on acts as itself."""
    call = _host_call()
    return call is not None and call.account_id is None


def _acting_user() -> User | None:
    """Return the user in whose name the request is made."""
    call = _host_call()
    return current_visitor().user if call is None else ACCOUNTS.get(call.account_id or "")


def _requested_users() -> list[User]:
    return existing_users(request.args.getlist("accountId"))


def _error(message: str, status: int) -> ResponseReturnValue:
    """Return an error in the format of the request's product."""
    if request.path.startswith("/wiki/"):
        return {"statusCode": status, "message": message}, status
    return {"errorMessages": [message], "errors": {}}, status
