"""Users as the products tell of them: names, pictures, and what they may do."""

from __future__ import annotations

from typing import Any

from quart import Blueprint, Response, abort, request
from quart.typing import ResponseReturnValue

from addonkit_sandbox.sample import ACCOUNTS, USERS, User
from addonkit_sandbox.web import simulation

blueprint = Blueprint("people", __name__)
_READING = frozenset({"BROWSE_PROJECTS", "read"})
_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" fill="{colour}"/>'
    '<text x="24" y="31" text-anchor="middle" font-family="sans-serif" font-size="20" fill="#fff">{initials}</text>'
    "</svg>"
)


@blueprint.get("/sandbox/avatars/<key>.svg")
async def picture(key: str) -> ResponseReturnValue:
    """A user's picture: initials on a colour."""
    user = USERS.get(key)
    if user is None:
        return abort(404)
    return Response(_PICTURE.format(colour=user.colour, initials=user.initials), content_type="image/svg+xml")


def known_of(ids: list[str]) -> list[User]:
    """Those of the accounts that there are."""
    return [ACCOUNTS[one] for one in ids if one in ACCOUNTS]


def in_jira(user: User) -> dict[str, Any]:
    """A user as Jira writes one."""
    return {
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "active": True,
        "avatarUrls": {"48x48": f"{simulation().origin}{_path(user)}"},
    }


def in_confluence(user: User) -> dict[str, Any]:
    """A user as Confluence writes one."""
    return {
        "type": "known",
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "publicName": user.name,
        "profilePicture": {"path": _path(user), "width": 48, "height": 48, "isDefault": False},
    }


def may(user: User | None, permission: str) -> bool:
    """Whether a user may do something: those who do not edit may read, nobody may nothing."""
    return user is not None and (user.edits or permission in _READING)


def asked_about() -> list[str]:
    """The accounts that the request at hand names."""
    return request.args.getlist("accountId")


def _path(user: User) -> str:
    return f"/sandbox/avatars/{user.key}.svg"
