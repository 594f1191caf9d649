"""Users as the products' APIs return them: names, avatars and permissions."""

from __future__ import annotations

from typing import Any

from quart import Blueprint, Response, abort
from quart.typing import ResponseReturnValue

from addonkit_sandbox.current import current_simulation
from addonkit_sandbox.sample import ACCOUNTS, USERS, User

blueprint = Blueprint("users", __name__)
_READ_PERMISSIONS = frozenset({"BROWSE_PROJECTS", "read"})
_AVATAR = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" fill="{colour}"/>'
    '<text x="24" y="31" text-anchor="middle" font-family="sans-serif" font-size="20" fill="#fff">{initials}</text>'
    "</svg>"
)


@blueprint.get("/sandbox/avatars/<key>.svg")
async def avatar(key: str) -> ResponseReturnValue:
    """Respond with a user's avatar: initials on a colour."""
    user = USERS.get(key)
    if user is None:
        return abort(404)
    return Response(_AVATAR.format(colour=user.colour, initials=user.initials), content_type="image/svg+xml")


def existing_users(account_ids: list[str]) -> list[User]:
    """Return the users with these account ids; unknown ids are skipped."""
    return [ACCOUNTS[account_id] for account_id in account_ids if account_id in ACCOUNTS]


def jira_user(user: User) -> dict[str, Any]:
    """Return a user as Jira's API returns it."""
    return {
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "active": True,
        "avatarUrls": {"48x48": f"{current_simulation().origin}{_avatar_path(user)}"},
    }


def confluence_user(user: User) -> dict[str, Any]:
    """Return a user as Confluence's API returns it."""
    return {
        "type": "known",
        "accountId": user.account_id,
        "accountType": "atlassian",
        "displayName": user.name,
        "publicName": user.name,
        "profilePicture": {"path": _avatar_path(user), "width": 48, "height": 48, "isDefault": False},
    }


def has_permission(user: User | None, permission: str) -> bool:
    """Return whether a user has a permission: readers have the read permissions, anonymous visitors have none."""
    return user is not None and (user.edits or permission in _READ_PERMISSIONS)


def _avatar_path(user: User) -> str:
    return f"/sandbox/avatars/{user.key}.svg"
