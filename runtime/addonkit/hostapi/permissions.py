"""Permissions of users, requested from the host in bulk and cached for 15 seconds.

A 403 or 404 is an answer: the add-on may not see the object, so nobody gets access through it. Anything else that is
not an answer raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import quote

from cachetools import TTLCache

from addonkit.context import Tenant
from addonkit.errors import CallForbidden, HostError, ObjectIdInvalid, ResponseInvalid, ScopeNotApproved
from addonkit.host import Access, Host
from addonkit.text import shortened

CACHE_S = 15.0
"""Seconds for which a permission is cached; a withdrawn permission can still be used for so long."""
MAX_CACHED = 20_000
BATCH_SIZE = 200
CHECK_PATH = "/rest/api/3/permissions/check"
HIDDEN_STATUSES = frozenset({403, 404})
_FORMS = {
    "issues": re.compile("[0-9]{1,18}"),
    "projects": re.compile("[0-9]{1,18}"),
    # Source: attachments have ids such as 'att98347'.
    "content": re.compile("[A-Za-z]{0,16}[0-9]{1,18}"),
}
_DENIAL = re.compile(
    r"\b(?:group|users?)\b.* (?:does not have permission to the (?:space|content)|(?:is|are) not allowed to use\b)",
    re.IGNORECASE,
)
"""Errors that only say why the user has no permission. Source: the product's description of ``permission/check``."""

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
        self._cache: TTLCache[Key, Access] = TTLCache(MAX_CACHED, CACHE_S)

    async def access(
        self,
        host: Host,
        tenant: Tenant,
        account_id: str | None,
        permission: str,
        kind: str,
        ids: Collection[str],
        *,
        check_scope: CheckPathScope,
    ) -> dict[str, Access]:
        """Return for each id whether a user has a permission.

        Args:
            host: The site, as the add-on.
            tenant: The site.
            account_id: The user; None is an anonymous visitor, who has no permissions.
            permission: The host's name of the permission.
            kind: ``"issues"``, ``"projects"``, ``"content"`` or ``"site"``.
            ids: Ids of these.
            check_scope: Checks the plugin's scope, even for a cached answer, which another plugin may have requested.

        Raises:
            CallForbidden: Only the other product has subjects of this kind.
            ObjectIdInvalid: An id has no form that the host uses.
            ScopeMissing: The plugin lacks the scope.
            HostError: The host did not answer.
        """
        _validate(tenant, kind, ids)
        if account_id is None:
            return dict.fromkeys(ids, Access.DENIED)
        check_scope("POST", _path(kind))
        keys = {number: (tenant.id, account_id, permission, kind, number) for number in ids}
        known = {number: found for number, key in keys.items() if (found := self._cache.get(key)) is not None}
        unknown = sorted(keys.keys() - known.keys())
        for start in range(0, len(unknown), BATCH_SIZE):
            batch = unknown[start : start + BATCH_SIZE]
            for number, answer in (await _request(host, account_id, permission, kind, batch)).items():
                known[number] = self._cache[keys[number]] = answer
        return known


def _validate(tenant: Tenant, kind: str, ids: Collection[str]) -> None:
    product = "confluence" if kind == "content" else "jira"
    if tenant.product != product:
        raise CallForbidden(
            f"a permission for '{kind}' exists in {product.title()} only, and this site is of another product"
        )
    if kind != "site" and (invalid := [number for number in ids if not _FORMS[kind].fullmatch(number)]):
        raise ObjectIdInvalid(f"'{shortened(invalid[0], 60)}' is not a numeric id of {kind}; pass the id, not the key")


async def _request(host: Host, account_id: str, permission: str, kind: str, ids: list[str]) -> dict[str, Access]:
    if kind == "content":
        return {number: await _request_content(host, account_id, permission, number) for number in ids}
    body: dict[str, Any] = {"accountId": account_id, "globalPermissions": [], "projectPermissions": []}
    if kind == "site":
        body["globalPermissions"] = [permission]
    else:
        body["projectPermissions"] = [{"permissions": [permission], kind: [int(number) for number in ids]}]
    response = await _post(host, CHECK_PATH, body)
    if response is None:
        return dict.fromkeys(ids, Access.HIDDEN)
    if errors := list(_errors(response)):
        raise _errors_reported(CHECK_PATH, errors)
    granted = _granted_ids(response, permission, kind)
    return {number: _answer(number in granted) for number in ids}


def _granted_ids(response: dict[str, Any], permission: str, kind: str) -> frozenset[str]:
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


async def _request_content(host: Host, account_id: str, operation: str, number: str) -> Access:
    subject = {"type": "user", "identifier": account_id}
    path = f"/rest/api/content/{quote(number, safe='')}/permission/check"
    response = await _post(host, path, {"subject": subject, "operation": operation})
    if response is None:
        return Access.HIDDEN
    is_granted = response.get("hasPermission") is True
    errors = list(_errors(response))
    # A denial is reported with its reasons among the errors; any other error means that there is no answer.
    if errors and (is_granted or not all(_DENIAL.search(error) for error in errors)):
        raise _errors_reported(path, errors)
    return _answer(is_granted)


async def _post(host: Host, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the host; None if it answers that the add-on may not see the object.

    Raises:
        HostError: There was no answer.
    """
    try:
        response = await host.post(path, body, idempotent=True)
    except ScopeNotApproved:
        raise
    except HostError as error:
        if error.status in HIDDEN_STATUSES:
            return None
        raise
    if not isinstance(response, dict):
        raise ResponseInvalid(f"the host's response to 'POST {path}' is not an object")
    return response


def _errors(response: dict[str, Any]) -> Iterator[str]:
    """Yield the errors that a response reports, in the formats of both products."""
    for name in ("errors", "errorMessages"):
        found = response.get(name)
        if isinstance(found, dict):
            yield from (f"{field}: {text}" for field, text in found.items())
        elif isinstance(found, list):
            yield from (_text_of(error) for error in found)
        elif found:
            yield str(found)


def _text_of(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("translation") or error.get("message") or error.get("key") or "an error without text")
    return str(error)


def _errors_reported(path: str, errors: list[str]) -> ResponseInvalid:
    brief = f"the host answered 200 to 'POST {path}' with errors instead of an answer; check the permission's name"
    messages = tuple(shortened(error, 300) for error in errors[:5])
    return ResponseInvalid(f"{brief}: {'; '.join(messages)}", brief=brief, status=200, messages=messages)


def _answer(is_granted: bool) -> Access:
    return Access.GRANTED if is_granted else Access.DENIED


def _path(kind: str) -> str:
    """Return a path of the resource for this kind, to look up the scope that it needs."""
    return "/rest/api/content/1/permission/check" if kind == "content" else CHECK_PATH
