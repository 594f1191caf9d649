"""What a simulated host has without a test's word: permissions, users, properties, webhooks that did not arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from addonkit.testing.site import Site

Found = tuple[int, Any]
"""Status and JSON body."""
_PROPERTY = re.compile(r"(?P<folder>/rest/.+/(?:properties|property))(?:/(?P<key>[^/]+))?")
_CONTENT_CHECK = re.compile(r"/rest/api/content/(?P<id>[^/]+)/permission/check")


class Resources:
    """The state of all sites of one host.

    Attributes:
        denied: What accounts may not do, as account and permission: ``{("acc-2", "EDIT_ISSUES")}``; of content the
            permission is ``read``, ``update`` or ``delete``. Everything else is allowed.
        names: Display names by account id; others are called ``User`` and their id. An empty name is an account
            that the site does not know.
        properties: By client key and path.
        failed: By client key, what ``/rest/api/3/webhook/failed`` tells of, oldest first.
    """

    def __init__(self) -> None:
        self.denied: set[tuple[str, str]] = set()
        self.names: dict[str, str] = {}
        self.properties: dict[tuple[str, str], dict[str, Any]] = {}
        self.failed: dict[str, list[dict[str, Any]]] = {}

    def deny(self, permission: str, account: str) -> None:
        """Take a permission from an account."""
        self.denied.add((account, permission))

    def reply(self, method: str, path: str, query: Mapping[str, list[str]], body: bytes, site: Site) -> Found | None:
        """The answer to a call; None where there is nothing."""
        sent: Any = orjson.loads(body) if body else None
        match method, path:
            case "POST", "/rest/api/3/permissions/check":
                return 200, self._checked(sent)
            case "GET", "/rest/api/3/user/bulk":
                return 200, {"values": [self._user(one, site) for one in self._known(query)], "isLast": True}
            case "GET", "/rest/api/user/bulk":
                return 200, {"results": [self._user(one, site) for one in self._known(query)]}
            case "GET", "/rest/api/3/webhook/failed":
                return 200, self._failed(query, site)
        if method == "POST" and _CONTENT_CHECK.fullmatch(path):
            return 200, {"hasPermission": (sent["subject"]["identifier"], sent["operation"]) not in self.denied}
        place = _PROPERTY.fullmatch(path)
        return self._property(method, place, query, sent, site) if place else None

    def _checked(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        who = asked["accountId"]
        granted = [
            {"permission": name, "issues": entry.get("issues", []), "projects": entry.get("projects", [])}
            for entry in asked.get("projectPermissions", [])
            for name in entry["permissions"]
            if (who, name) not in self.denied
        ]
        everywhere = [name for name in asked.get("globalPermissions", []) if (who, name) not in self.denied]
        return {"projectPermissions": granted, "globalPermissions": everywhere}

    def _known(self, query: Mapping[str, list[str]]) -> list[str]:
        return [one for one in query.get("accountId", []) if self.names.get(one, one)]

    def _user(self, account: str, site: Site) -> dict[str, Any]:
        picture = f"{site.origin}/avatars/{account}.png"
        name = self.names.get(account) or f"User {account}"
        if site.product == "jira":
            return {"accountId": account, "displayName": name, "active": True, "avatarUrls": {"48x48": picture}}
        return {"accountId": account, "displayName": name, "profilePicture": {"path": f"/avatars/{account}.png"}}

    def _failed(self, query: Mapping[str, list[str]], site: Site) -> dict[str, Any]:
        """Source: oldest first, ``after`` in milliseconds, ``next`` while there are more."""
        after, most = int(query.get("after", ["0"])[0]), int(query.get("maxResults", ["100"])[0])
        found = [one for one in self.failed.get(site.client_key, []) if one["failureTime"] > after]
        page: dict[str, Any] = {"values": found[:most], "maxResults": most}
        if len(found) > most:
            last = found[most - 1]["failureTime"]
            page["next"] = f"{site.base_url}/rest/api/3/webhook/failed?after={last}&maxResults={most}"
        return page

    def _property(
        self, method: str, place: re.Match[str], query: Mapping[str, list[str]], sent: Any, site: Site
    ) -> Found:
        versioned, whose = place["folder"].endswith("/property"), "".join(query.get("accountId", []))
        key = place["key"] or (sent["key"] if sent else "")
        at = (site.client_key, f"{place['folder']}{whose}/{key}")
        kept = self.properties.get(at)
        if method == "GET":
            return (404, {"errorMessages": ["there is no such property"]}) if kept is None else (200, kept)
        if method == "DELETE":
            return (404, None) if self.properties.pop(at, None) is None else (204, None)
        number = (sent.get("version") or {}).get("number", 1) if versioned else 0
        if versioned and number != (kept["version"]["number"] + 1 if kept else 1):
            return 409, {"statusCode": 409, "message": "the version is another by now"}
        value = sent["value"] if versioned else sent
        self.properties[at] = {"key": key, "value": value, **({"version": {"number": number}} if versioned else {})}
        return (201 if kept is None else 200), None
