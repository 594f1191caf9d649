"""Default responses of the simulated REST API: permissions, users, objects, properties, failed webhooks, the add-on."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

from addonkit.testing.known_objects import KnownObjects, StatusAndBody
from addonkit.testing.site import Site

_PROPERTY = re.compile(r"(?P<folder>/rest/.+/(?:properties|property))(?:/(?P<key>[^/]+))?")
_ADDON = re.compile(r"/rest/atlassian-connect/1/addons/(?P<key>[^/]+)")
_CONTENT_CHECK = re.compile(r"/rest/api/content/(?P<id>[^/]+)/permission/check")


class Resources:
    """The stored resources of all sites of one host.

    Attributes:
        denied: Pairs of account id and permission that are denied: ``{("acc-2", "EDIT_ISSUES")}``; the permissions
            of content are ``read``, ``update`` and ``delete``. Everything else is granted.
        names: Display names by account id; other accounts are named ``User`` and their id. An account with an empty
            name does not exist.
        properties: Stored properties by client key and path.
        objects: The issues and pages that exist, by client key.
        failed: Entries of ``/rest/api/3/webhook/failed`` by client key, oldest first.
    """

    def __init__(self) -> None:
        self.denied: set[tuple[str, str]] = set()
        self.names: dict[str, str] = {}
        self.properties: dict[tuple[str, str], dict[str, Any]] = {}
        self.objects: defaultdict[str, KnownObjects] = defaultdict(KnownObjects)
        self.failed: dict[str, list[dict[str, Any]]] = {}

    def deny(self, permission: str, account: str) -> None:
        """Deny a permission to an account."""
        self.denied.add((account, permission))

    def reply(
        self, method: str, path: str, query: Mapping[str, list[str]], body: bytes, site: Site
    ) -> StatusAndBody | None:
        """Return the response to a request, or None if there is no such resource."""
        sent = _parsed(body)
        match method, path:
            case "POST", "/rest/api/3/permissions/check":
                return 200, self._check_permissions(sent)
            case "GET", "/rest/api/3/user/bulk":
                return 200, {"values": [self._user(account, site) for account in self._existing(query)], "isLast": True}
            case "GET", "/rest/api/user/bulk":
                return 200, {"results": [self._user(account, site) for account in self._existing(query)]}
            case "GET", "/rest/api/3/webhook/failed":
                return 200, self._failed_webhooks(query, site)
        if method == "GET" and (addon := _ADDON.fullmatch(path)):
            return 200, {"key": addon["key"], "state": "ENABLED"}
        if method == "POST" and _CONTENT_CHECK.fullmatch(path):
            return 200, {"hasPermission": (sent["subject"]["identifier"], sent["operation"]) not in self.denied}
        if method == "GET" and (found := self.objects[site.client_key].reply(path)) is not None:
            return found
        match = _PROPERTY.fullmatch(path)
        return self._property(method, match, query, sent, site) if match else None

    def _check_permissions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        account = body["accountId"]
        granted = [
            {"permission": name, "issues": entry.get("issues", []), "projects": entry.get("projects", [])}
            for entry in body.get("projectPermissions", [])
            for name in entry["permissions"]
            if (account, name) not in self.denied
        ]
        everywhere = [name for name in body.get("globalPermissions", []) if (account, name) not in self.denied]
        return {"projectPermissions": granted, "globalPermissions": everywhere}

    def _existing(self, query: Mapping[str, list[str]]) -> list[str]:
        return [account for account in query.get("accountId", []) if self.names.get(account, account)]

    def _user(self, account: str, site: Site) -> dict[str, Any]:
        picture = f"{site.origin}/avatars/{account}.png"
        name = self.names.get(account) or f"User {account}"
        if site.product == "jira":
            return {"accountId": account, "displayName": name, "active": True, "avatarUrls": {"48x48": picture}}
        return {"accountId": account, "displayName": name, "profilePicture": {"path": f"/avatars/{account}.png"}}

    def _failed_webhooks(self, query: Mapping[str, list[str]], site: Site) -> dict[str, Any]:
        """Return one page of failed webhooks.

        Source: entries are sorted oldest first, ``after`` is in milliseconds, ``next`` is set while there are more.
        """
        after, limit = int(query.get("after", ["0"])[0]), int(query.get("maxResults", ["100"])[0])
        found = [entry for entry in self.failed.get(site.client_key, []) if entry["failureTime"] > after]
        page: dict[str, Any] = {"values": found[:limit], "maxResults": limit}
        if len(found) > limit:
            last = found[limit - 1]["failureTime"]
            page["next"] = f"{site.base_url}/rest/api/3/webhook/failed?after={last}&maxResults={limit}"
        return page

    def _property(
        self, method: str, match: re.Match[str], query: Mapping[str, list[str]], sent: Any, site: Site
    ) -> StatusAndBody:
        versioned, account = match["folder"].endswith("/property"), "".join(query.get("accountId", []))
        key = match["key"] or (sent["key"] if sent else "")
        location = (site.client_key, f"{match['folder']}{account}/{key}")
        stored = self.properties.get(location)
        if method == "GET":
            return (404, {"errorMessages": ["property not found"]}) if stored is None else (200, stored)
        if method == "DELETE":
            return (404, None) if self.properties.pop(location, None) is None else (204, None)
        number = (sent.get("version") or {}).get("number", 1) if versioned else 0
        if versioned and number != (stored["version"]["number"] + 1 if stored else 1):
            return 409, {"statusCode": 409, "message": "version conflict"}
        value = sent["value"] if versioned else sent
        self.properties[location] = {
            "key": key,
            "value": value,
            **({"version": {"number": number}} if versioned else {}),
        }
        return (201 if stored is None else 200), None


def _parsed(body: bytes) -> Any:
    """Return the body's JSON values; None for an empty body and for one that is not JSON, such as a form."""
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
