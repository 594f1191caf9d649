"""The handful of REST resources that the add-on reaches within its scopes: by signed calls, or by ``AP.request``."""

from __future__ import annotations

import re
from typing import Any, cast

from addonkit.testing.rest import RecordedRequest, SignatureRejected
from quart import Blueprint, g, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox import issues, people
from addonkit_sandbox.sample import ACCOUNTS, DOCUMENTS, SPACE, User
from addonkit_sandbox.web import is_for_servers, product_of, simulation, visitor

blueprint = Blueprint("rest", __name__)
tokens = Blueprint("tokens", __name__)
_ASKING = ("/permissions/check", "/permission/check", "/search/jql")
"""Resources that are asked by POST and change nothing."""
_OWN = re.compile("^(?:/wiki)?/rest/atlassian-connect/")
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
    """Refuse whoever is neither the installed add-on nor its page, and what its scopes do not cover."""
    held, product = simulation(), product_of(request.path)
    if is_for_servers(request):
        try:
            g.asked = held.rest.authenticate(cast("dict[str, Any]", request.scope), await _body())
        except SignatureRejected as refused:
            return _error(f"Client must be authenticated to access this resource: {refused}", 401)
        if held.why_off(product):
            return _error("The add-on is not enabled here.", 401)
    elif request.headers.get("AP-Client-Key") != held.descriptor["key"]:
        return _error("The sandbox answers signed calls, and those that a page makes with AP.request.", 401)
    needed = "GET" if request.path.endswith(_ASKING) else request.method
    scopes = {str(scope).upper() for scope in held.descriptor.get("scopes", [])}
    if not _OWN.search(request.path) and not scopes & _ENOUGH.get(needed, frozenset()):
        return _error("Request not in an authorized API scope.", 403)
    return None


@blueprint.get("/rest/api/3/myself")
@blueprint.get("/rest/api/2/myself", endpoint="myself_2")
@blueprint.get("/wiki/rest/api/user/current", endpoint="myself_in_confluence")
async def myself() -> ResponseReturnValue:
    """The user, or the add-on's own account."""
    asked = _asked()
    if asked is not None and asked.account_id is None:
        return {"accountId": "addon", "accountType": "app", "displayName": simulation().name}
    user = _user()
    if user is None:
        return _error("You are not authenticated. Authentication required to perform this operation.", 401)
    return {
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "timeZone": visitor().zone,
        "locale": user.locale.replace("-", "_"),
    }


@blueprint.get("/rest/api/3/user/bulk")
async def users() -> ResponseReturnValue:
    """Users of Jira by their accounts."""
    return {"values": [people.in_jira(user) for user in people.known_of(people.asked_about())], "isLast": True}


@blueprint.get("/wiki/rest/api/user/bulk")
async def users_of_confluence() -> ResponseReturnValue:
    """Users of Confluence by their accounts."""
    return {"results": [people.in_confluence(user) for user in people.known_of(people.asked_about())]}


@blueprint.get("/rest/api/3/issue/<key>")
@blueprint.get("/rest/api/2/issue/<key>", endpoint="issue_2")
async def issue(key: str) -> ResponseReturnValue:
    """An issue by its key or id."""
    found = issues.issue_or_none(key)
    return _no_issue() if found is None else issues.told(found)


@blueprint.route("/rest/api/3/search/jql", methods=["GET", "POST"])
async def search() -> ResponseReturnValue:
    """Issues by JQL."""
    return issues.search(await request.get_json() if request.method == "POST" else request.args)


@blueprint.get("/rest/api/3/issue/<key>/comment")
async def comments(key: str) -> ResponseReturnValue:
    """The comments on an issue."""
    found = issues.issue_or_none(key)
    return _no_issue() if found is None else issues.comments_of(found)


@blueprint.post("/rest/api/3/issue/<key>/comment")
async def comment(key: str) -> ResponseReturnValue:
    """A new comment on an issue."""
    found, asked, user = issues.issue_or_none(key), _asked(), _user()
    if found is None:
        return _no_issue()
    if (asked is None or asked.account_id is not None) and not people.may(user, "ADD_COMMENTS"):
        return _error("You do not have the permission to comment on this issue.", 403)
    body = (await request.get_json() or {}).get("body")
    if not isinstance(body, dict) or body.get("type") != "doc":
        return _error("Comment body is not valid! It has to be in Atlassian's document format.", 400)
    return issues.comment(found, user, body), 201


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
    """What a user may do: one who does not edit may read, an anonymous visitor nothing."""
    asked = await request.get_json()
    user = ACCOUNTS.get(asked["accountId"]) if "accountId" in asked else _user()
    projects = [
        {"permission": name, "projects": entry.get("projects", []), "issues": entry.get("issues", [])}
        for entry in asked.get("projectPermissions", [])
        for name in entry.get("permissions", [])
        if people.may(user, name)
    ]
    everywhere = [name for name in asked.get("globalPermissions", []) if people.may(user, name)]
    return {"globalPermissions": everywhere, "projectPermissions": projects}


@blueprint.post("/wiki/rest/api/content/<content_id>/permission/check")
async def content_permission(content_id: str) -> ResponseReturnValue:
    """Whether a user may do something with a page."""
    asked = await request.get_json()
    there = content_id in DOCUMENTS and content_id not in simulation().state.removed
    user = ACCOUNTS.get(str(asked["subject"]["identifier"]))
    return {"hasPermission": there and people.may(user, str(asked["operation"])), "errors": []}


@blueprint.route("/rest/<path:path>", methods=_ANY)
@blueprint.route("/wiki/rest/<path:path>", methods=_ANY, endpoint="nothing_in_confluence")
@blueprint.route("/wiki/api/<path:path>", methods=_ANY, endpoint="nothing_new_in_confluence")
async def nothing(path: str) -> ResponseReturnValue:
    """Properties, which are kept until the sandbox ends; and everything that the sandbox does not have."""
    if (asked := _asked()) is not None:
        found = simulation().rest.resources.reply(asked.method, asked.path, asked.query, asked.body, asked.site)
        if found is not None:
            status, body = found
            return ("", status) if body is None else (body, status)
    return _error(f"The sandbox has no resource '{path}'.", 404)


@tokens.post("/oauth2/token")
async def token() -> ResponseReturnValue:
    """A token for acting as a user."""
    reply = simulation().rest.issue_token(await _body())
    return reply.json, reply.status


def _no_issue() -> ResponseReturnValue:
    return _error("Issue does not exist or you do not have permission to see it.", 404)


async def _body() -> bytes:
    return cast("bytes", await request.get_data())


def _asked() -> RecordedRequest | None:
    """The signed call that the request is; None is a page's."""
    return cast("RecordedRequest | None", g.get("asked"))


def _user() -> User | None:
    """In whose name the request is made."""
    asked = _asked()
    return visitor().user if asked is None else ACCOUNTS.get(asked.account_id or "")


def _error(sentence: str, status: int) -> ResponseReturnValue:
    """An error as the products write it: each its own form."""
    if request.path.startswith("/wiki/"):
        return {"statusCode": status, "message": sentence}, status
    return {"errorMessages": [sentence], "errors": {}}, status
