"""What a user may do, as the host says: asked in bulk, and remembered for a moment."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cachetools import TTLCache

from addonkit.errors import CallForbidden, ResponseInvalid

if TYPE_CHECKING:
    from addonkit.hostapi.host import SiteHost

REMEMBERED_S = 15.0
"""So long a permission that was taken away may still be used."""
MOST = 20_000
AT_ONCE = 200
_NUMBER = re.compile("[0-9]{1,18}")
CHECK = "/rest/api/3/permissions/check"

Key = tuple[int, str, str, str, str]


class Permissions:
    """What this process was told of late."""

    def __init__(self) -> None:
        self._known: TTLCache[Key, bool] = TTLCache(MOST, REMEMBERED_S)

    async def may(
        self,
        host: SiteHost,
        account_id: str | None,
        permission: str,
        *,
        issue: str | None,
        project: str | None,
        content: str | None,
    ) -> bool:
        """Whether a user may do something; see ``Host.may``."""
        named = {"issues": issue, "projects": project, "content": content}
        about = [(kind, number) for kind, number in named.items() if number is not None]
        if len(about) > 1:
            raise CallForbidden("a permission is asked for one thing at a time; name an issue, a project or content")
        kind, number = about[0] if about else ("site", "")
        return bool(await self.among(host, account_id, permission, kind, [number]))

    async def among(
        self, host: SiteHost, account_id: str | None, permission: str, kind: str, numbers: Collection[str]
    ) -> frozenset[str]:
        """Those of the numbers for which the user has the permission.

        Args:
            host: The site.
            account_id: Who; None may nothing.
            permission: In the host's words.
            kind: ``"issues"``, ``"projects"``, ``"content"`` or ``"site"``.
            numbers: Of these.
        """
        _check(host, kind, numbers)
        if account_id is None:
            return frozenset()
        host.check_scope("POST", _path(kind))
        keys = {number: (host.tenant.id, account_id, permission, kind, number) for number in numbers}
        known = {number: found for number, key in keys.items() if (found := self._known.get(key)) is not None}
        unknown = sorted(keys.keys() - known.keys())
        for start in range(0, len(unknown), AT_ONCE):
            asked = unknown[start : start + AT_ONCE]
            allowed = await _asked(host, account_id, permission, kind, asked)
            for number in asked:
                known[number] = self._known[keys[number]] = number in allowed
        return frozenset(number for number, may in known.items() if may)


def _check(host: SiteHost, kind: str, numbers: Collection[str]) -> None:
    product = "confluence" if kind == "content" else "jira"
    if host.tenant.product != product:
        raise CallForbidden(
            f"a permission on {kind} is asked of {product.title()}, and this site is of another product"
        )
    if kind != "site" and (odd := [number for number in numbers if not _NUMBER.fullmatch(number)]):
        raise CallForbidden(f"'{odd[0][:60]}' is no number among {kind}; give the id, not the key")


async def _asked(host: SiteHost, account_id: str, permission: str, kind: str, numbers: list[str]) -> frozenset[str]:
    if kind == "content":
        return frozenset([number for number in numbers if await _on_content(host, account_id, permission, number)])
    body: dict[str, Any] = {"accountId": account_id, "globalPermissions": [], "projectPermissions": []}
    if kind == "site":
        body["globalPermissions"] = [permission]
    else:
        body["projectPermissions"] = [{"permissions": [permission], kind: [int(number) for number in numbers]}]
    found = await host.post(CHECK, body, idempotent=True)
    if not isinstance(found, dict):
        raise ResponseInvalid(f"the host's answer to 'POST {CHECK}' is no object")
    if kind == "site":
        told = found.get("globalPermissions")
        return frozenset([""] if isinstance(told, list) and permission in told else [])
    entries = found.get("projectPermissions")
    granted = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return frozenset(
        str(number)
        for one in granted
        if one.get("permission") == permission and isinstance(one.get(kind), list)
        for number in one[kind]
    )


async def _on_content(host: SiteHost, account_id: str, operation: str, number: str) -> bool:
    subject = {"type": "user", "identifier": account_id}
    path = f"/rest/api/content/{quote(number, safe='')}/permission/check"
    found = await host.post(path, {"subject": subject, "operation": operation}, idempotent=True)
    return isinstance(found, dict) and found.get("hasPermission") is True


def _path(kind: str) -> str:
    """The resource that tells of a kind, for its scope."""
    return "/rest/api/content/1/permission/check" if kind == "content" else CHECK
