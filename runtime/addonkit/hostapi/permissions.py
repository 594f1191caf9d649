"""Permissions of users, requested from the host in bulk and cached for 15 seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from cachetools import TTLCache

from addonkit.context import Tenant
from addonkit.errors import CallForbidden, ResponseInvalid
from addonkit.host import Host

CACHE_S = 15.0
"""Seconds for which a permission is cached; a withdrawn permission can still be used for so long."""
MAX_CACHED = 20_000
BATCH_SIZE = 200
CHECK_PATH = "/rest/api/3/permissions/check"
_ID = re.compile("[0-9]{1,18}")

CheckPathScope = Callable[[str, str], None]
"""Raises ``ScopeMissing`` if the current plugin may not call a method and path as the add-on."""
Key = tuple[int, str, str, str, str]
"""Tenant id, account id, permission, kind and id of the subject."""


def subject_of(*, issue: str | None, project: str | None, content: str | None) -> tuple[str, str]:
    """Return kind and id of what a permission is requested for; ``("site", "")`` for a global permission.

    Raises:
        CallForbidden: There is more than one subject.
    """
    given = {"issues": issue, "projects": project, "content": content}
    subjects = [(kind, number) for kind, number in given.items() if number is not None]
    if len(subjects) > 1:
        raise CallForbidden("a permission is checked for one subject; pass one of issue, project and content")
    return subjects[0] if subjects else ("site", "")


class Permissions:
    """Requests permissions in bulk and caches them; each process has one instance."""

    def __init__(self) -> None:
        self._cache: TTLCache[Key, bool] = TTLCache(MAX_CACHED, CACHE_S)

    async def allowed(
        self,
        host: Host,
        tenant: Tenant,
        account_id: str | None,
        permission: str,
        kind: str,
        ids: Collection[str],
        *,
        check_scope: CheckPathScope,
    ) -> frozenset[str]:
        """Return the ids for which a user has a permission.

        Args:
            host: The site, as the add-on.
            tenant: The site.
            account_id: The user; None is an anonymous visitor, who has no permissions.
            permission: The host's name of the permission.
            kind: ``"issues"``, ``"projects"``, ``"content"`` or ``"site"``.
            ids: Ids of these.
            check_scope: Checks the plugin's scope, even for a cached answer, which another plugin may have requested.

        Raises:
            CallForbidden: Only the other product has subjects of this kind, or an id is not a number.
            ScopeMissing: The plugin lacks the scope.
            HostError: The host did not answer, or refused.
        """
        _validate(tenant, kind, ids)
        if account_id is None:
            return frozenset()
        check_scope("POST", _path(kind))
        keys = {number: (tenant.id, account_id, permission, kind, number) for number in ids}
        known = {number: found for number, key in keys.items() if (found := self._cache.get(key)) is not None}
        unknown = sorted(keys.keys() - known.keys())
        for start in range(0, len(unknown), BATCH_SIZE):
            batch = unknown[start : start + BATCH_SIZE]
            allowed = await _request(host, account_id, permission, kind, batch)
            for number in batch:
                known[number] = self._cache[keys[number]] = number in allowed
        return frozenset(number for number, is_allowed in known.items() if is_allowed)


def _validate(tenant: Tenant, kind: str, ids: Collection[str]) -> None:
    product = "confluence" if kind == "content" else "jira"
    if tenant.product != product:
        raise CallForbidden(
            f"a permission for '{kind}' exists in {product.title()} only, and this site is of another product"
        )
    if kind != "site" and (invalid := [number for number in ids if not _ID.fullmatch(number)]):
        raise CallForbidden(f"'{invalid[0][:60]}' is not a numeric id of {kind}; pass the id, not the key")


async def _request(host: Host, account_id: str, permission: str, kind: str, ids: list[str]) -> frozenset[str]:
    if kind == "content":
        return frozenset([number for number in ids if await _request_content(host, account_id, permission, number)])
    body: dict[str, Any] = {"accountId": account_id, "globalPermissions": [], "projectPermissions": []}
    if kind == "site":
        body["globalPermissions"] = [permission]
    else:
        body["projectPermissions"] = [{"permissions": [permission], kind: [int(number) for number in ids]}]
    response = await host.post(CHECK_PATH, body, idempotent=True)
    if not isinstance(response, dict):
        raise ResponseInvalid(f"the host's response to 'POST {CHECK_PATH}' is not an object")
    if kind == "site":
        granted = response.get("globalPermissions")
        return frozenset([""] if isinstance(granted, list) and permission in granted else [])
    entries = response.get("projectPermissions")
    grants = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return frozenset(
        str(number)
        for grant in grants
        if grant.get("permission") == permission and isinstance(grant.get(kind), list)
        for number in grant[kind]
    )


async def _request_content(host: Host, account_id: str, operation: str, number: str) -> bool:
    subject = {"type": "user", "identifier": account_id}
    path = f"/rest/api/content/{quote(number, safe='')}/permission/check"
    response = await host.post(path, {"subject": subject, "operation": operation}, idempotent=True)
    return isinstance(response, dict) and response.get("hasPermission") is True


def _path(kind: str) -> str:
    """Return a path of the resource for this kind, to look up the scope that it needs."""
    return "/rest/api/content/1/permission/check" if kind == "content" else CHECK_PATH
