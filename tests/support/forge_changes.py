"""Changes of a Forge manifest by kind, each with the rule that decides about it and that rule's verdict."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from addonkit.forge.approvals import Change, Side, compare

BASE: dict[str, Any] = {
    "app": {
        "id": "ari:cloud:ecosystem::app/8a3b0b9c-1d2e-4f50-8a6b-7c8d9e0f1a2b",
        "runtime": {"name": "nodejs22.x"},
        "connect": {"key": "com.example.kit", "remote": "connect", "authentication": "jwt"},
        "compatibility": {"jira": {"required": True}, "confluence": {"required": False}},
    },
    "remotes": [
        {
            "key": "connect",
            "baseUrl": "https://kit.example.com",
            "operations": ["storage", "compute"],
            "storage": {"inScopeEUD": True},
        },
        {
            "key": "logs",
            "baseUrl": {"default": "https://logs.example.com", "EU": "https://eu.logs.example.com"},
            "operations": ["other"],
        },
    ],
    "connectModules": {
        "jira:jiraIssueContents": [
            {"key": "panel", "name": {"value": "Checklist"}, "target": {"type": "web_panel", "url": "/panel"}}
        ],
        "jira:webhooks": [{"key": "hook", "event": "jira:issue_deleted", "url": "/hook"}],
        "confluence:dynamicContentMacros": [{"key": "poll", "name": {"value": "Poll"}, "url": "/poll"}],
        "jira:lifecycle": [{"key": "life", "installed": "/installed"}],
    },
    "modules": {
        "endpoint": [{"key": "events", "remote": "connect", "route": {"path": "/events"}}],
        "webtrigger": [{"key": "web", "function": "f", "response": {"type": "static"}}],
        "function": [{"key": "f", "handler": "index.run"}],
    },
    "permissions": {
        "scopes": ["read:connect-jira", "read:connect-confluence"],
        "content": {"styles": ["unsafe-inline"]},
        "external": {
            "frames": [{"address": "https://kit.example.com"}],
            "fetch": {"backend": ["https://api.example.com"], "client": [{"remote": "logs"}]},
        },
    },
    "providers": {"auth": [{"key": "google", "name": "Google", "clientId": "one", "scopes": ["email"]}]},
}
Edit = Callable[[dict[str, Any]], object]


def at(document: Any, *path: str | int) -> Any:
    for name in path:
        document = document[name]
    return document


def put(*path: str | int, to: Any) -> Edit:
    """Set the value at a path."""

    def edit(document: Any) -> None:
        at(document, *path[:-1])[path[-1]] = to

    return edit


def drop(*path: str | int) -> Edit:
    """Remove the value at a path."""

    def edit(document: Any) -> None:
        del at(document, *path[:-1])[path[-1]]

    return edit


def add(*path: str | int, item: Any) -> Edit:
    """Append to the list at a path."""
    return lambda document: at(document, *path).append(item)


def both(*edits: Edit) -> Edit:
    """Make several changes."""
    return lambda document: [edit(document) for edit in edits]


CHANGES: dict[str, tuple[Edit, str, str]] = {
    "another app": (put("app", "id", to="ari:cloud:ecosystem::app/x"), "app-changed", "refused"),
    "another Connect key": (put("app", "connect", "key", to="other"), "connect-key-changed", "refused"),
    "no Connect key": (drop("app", "connect", "key"), "connect-key-removed", "refused"),
    "no Connect remote": (drop("app", "connect", "remote"), "connect-remote-removed", "automatic"),
    "Connect remote elsewhere": (put("app", "connect", "remote", to="logs"), "connect-remote-moved", "approval"),
    "no authentication": (drop("app", "connect", "authentication"), "app-options", "automatic"),
    "newer runtime": (put("app", "runtime", "name", to="nodejs24.x"), "app-options", "automatic"),
    "description": (put("app", "description", to="A kit"), "app-options", "automatic"),
    "paid": (put("app", "licensing", to={"enabled": True}), "licence-on", "approval"),
    "editions": (put("app", "licensing", to={"editionsEnabled": True}), "licence-options", "approval"),
    "access by user": (put("app", "access", to={"userAccess": True}), "user-access", "approval"),
    "further product": (put("app", "compatibility", "compass", to={"required": False}), "product-added", "automatic"),
    "further required product": (
        put("app", "compatibility", "compass", to={"required": True}),
        "product-removed",
        "refused",
    ),
    "product less": (drop("app", "compatibility", "confluence"), "product-removed", "refused"),
    "required product": (put("app", "compatibility", "confluence", "required", to=True), "product-removed", "refused"),
    "further remote": (
        add("remotes", item={"key": "x", "baseUrl": "https://x.example.com"}),
        "remote-added",
        "approval",
    ),
    "further remote that was called before": (
        add("remotes", item={"key": "x", "baseUrl": "https://api.example.com"}),
        "remote-from-egress",
        "automatic",
    ),
    "further remote of administrators": (
        add("remotes", item={"key": "x", "configurable": {"name": "X"}}),
        "remote-customer-added",
        "automatic",
    ),
    "remote less": (drop("remotes", 1), "remote-removed", "automatic"),
    "base URL": (put("remotes", 0, "baseUrl", to="https://new.example.com"), "remote-url", "approval"),
    "default URL": (put("remotes", 1, "baseUrl", "default", to="https://new.example.com"), "remote-url", "approval"),
    "URL of a region": (put("remotes", 1, "baseUrl", "EU", to="https://new.example.com"), "remote-url", "approval"),
    "further region": (
        put("remotes", 1, "baseUrl", "US", to="https://us.example.com"),
        "remote-region-added",
        "approval",
    ),
    "first region": (
        put("remotes", 0, "baseUrl", to={"default": "https://kit.example.com", "EU": "https://eu.example.com"}),
        "remote-region-added",
        "approval",
    ),
    "region less": (drop("remotes", 1, "baseUrl", "EU"), "remote-region-removed", "approval"),
    "same URL as an object": (
        put("remotes", 0, "baseUrl", to={"default": "https://kit.example.com"}),
        "remote-form",
        "automatic",
    ),
    "configurable": (put("remotes", 0, "configurable", to={"name": "X"}), "remote-configurable", "approval"),
    "stores data": (put("remotes", 1, "storage", to={"inScopeEUD": True}), "remote-data-on", "approval"),
    "stores data no longer": (put("remotes", 0, "storage", "inScopeEUD", to=False), "remote-data-off", "automatic"),
    "no purposes": (drop("remotes", 1, "operations"), "remote-data-on", "approval"),
    "further purpose": (add("remotes", 0, "operations", item="fetch"), "remote-operation-added", "approval"),
    "purpose less": (drop("remotes", 0, "operations", 1), "remote-operation-removed", "automatic"),
    "token": (put("remotes", 0, "auth", to={"appSystemToken": {"enabled": True}}), "remote-token-on", "approval"),
    "token off": (put("remotes", 0, "auth", to={"appSystemToken": {"enabled": False}}), "", "none"),
    "unknown field of a remote": (put("remotes", 0, "proxy", to=True), "remote-options", "approval"),
    "scope": (add("permissions", "scopes", item="write:connect-jira"), "scope-added", "approval"),
    "scope less": (drop("permissions", "scopes", 0), "scope-removed", "approval"),
    "other scope": (put("permissions", "scopes", 0, to="write:connect-jira"), "scope-added", "approval"),
    "scopes in another order": (
        put("permissions", "scopes", to=["read:connect-confluence", "read:connect-jira"]),
        "",
        "none",
    ),
    "scopes as an object": (
        put("permissions", "scopes", to={"read:connect-jira": {}, "read:connect-confluence": None}),
        "",
        "none",
    ),
    "scopes as objects": (
        put("permissions", "scopes", to=[{"read:connect-jira": {}}, "read:connect-confluence"]),
        "",
        "none",
    ),
    "impersonation": (
        put(
            "permissions",
            "scopes",
            to={"read:connect-jira": {"allowImpersonation": True}, "read:connect-confluence": {}},
        ),
        "impersonation-on",
        "approval",
    ),
    "style": (add("permissions", "content", "styles", item="blob:"), "csp-added", "approval"),
    "script": (put("permissions", "content", "scripts", to=["unsafe-eval"]), "csp-added", "approval"),
    "style less": (drop("permissions", "content", "styles"), "csp-removed", "automatic"),
    "frame": (add("permissions", "external", "frames", item="https://x.example.com"), "egress-added", "approval"),
    "images": (
        put("permissions", "external", "images", to=[{"address": "https://x.example.com"}]),
        "egress-added",
        "approval",
    ),
    "frame as a text": (put("permissions", "external", "frames", to=["https://kit.example.com"]), "", "none"),
    "frame less": (drop("permissions", "external", "frames"), "egress-removed", "automatic"),
    "call of a function": (
        add("permissions", "external", "fetch", "backend", item="https://x.example.com"),
        "egress-added",
        "approval",
    ),
    "call of a browser": (
        add("permissions", "external", "fetch", "client", item={"remote": "connect"}),
        "egress-added",
        "approval",
    ),
    "analytics": (
        put("permissions", "external", "frames", 0, "category", to="analytics"),
        "egress-category",
        "approval",
    ),
    "data to an address": (
        put("permissions", "external", "frames", 0, "inScopeEUD", to=True),
        "egress-data-first",
        "approval",
    ),
    "addresses of administrators": (
        put("permissions", "external", "configurable", to={"enabled": True}),
        "egress-configurable",
        "approval",
    ),
    "enforcement": (put("permissions", "enforcement", to="app-managed"), "permission-options", "approval"),
    "sandbox": (put("permissions", "sandbox", to=["allow-downloads"]), "permission-options", "approval"),
    "provider": (add("providers", "auth", item={"key": "x", "clientId": "x"}), "provider-added", "approval"),
    "provider less": (drop("providers"), "provider-removed", "approval"),
    "client id": (put("providers", "auth", 0, "clientId", to="two"), "provider-client", "approval"),
    "scopes of a provider": (put("providers", "auth", 0, "scopes", to=[]), "provider-options", "approval"),
    "endpoint": (put("modules", "endpoint", 0, "route", "path", to="/x"), "endpoint-changed", "approval"),
    "further endpoint": (
        add("modules", "endpoint", item={"key": "x", "remote": "connect"}),
        "endpoint-changed",
        "approval",
    ),
    "endpoint less": (drop("modules", "endpoint"), "endpoint-changed", "approval"),
    "dynamic web trigger": (
        put("modules", "webtrigger", 0, "response", to={"type": "dynamic"}),
        "webtrigger-dynamic",
        "approval",
    ),
    "further dynamic web trigger": (
        add("modules", "webtrigger", item={"key": "x", "function": "f"}),
        "webtrigger-dynamic",
        "approval",
    ),
    "further static web trigger": (
        add("modules", "webtrigger", item={"key": "x", "function": "f", "response": {"type": "static"}}),
        "module-added",
        "automatic",
    ),
    "module": (put("modules", "jira:issueAction", to=[{"key": "x", "title": "X"}]), "module-added", "automatic"),
    "module less": (drop("connectModules", "confluence:dynamicContentMacros"), "module-removed", "automatic"),
    "macro": (
        put("connectModules", "confluence:dynamicContentMacros", 0, "url", to="/x"),
        "module-changed",
        "automatic",
    ),
    "webhook": (
        put("connectModules", "jira:webhooks", 0, "event", to="jira:issue_created"),
        "module-changed",
        "automatic",
    ),
    "webhook less": (drop("connectModules", "jira:webhooks"), "module-removed", "automatic"),
    "text": (
        put("connectModules", "jira:jiraIssueContents", 0, "name", "value", to="Tasks"),
        "text-changed",
        "automatic",
    ),
    "text and URL": (
        both(
            put("connectModules", "jira:jiraIssueContents", 0, "name", "value", to="Tasks"),
            put("connectModules", "jira:jiraIssueContents", 0, "target", "url", to="/tasks"),
        ),
        "module-changed",
        "automatic",
    ),
    "guide for administrators": (
        put("modules", "connectToForgeMigration", to=[{"key": "addonkit-move", "migrationGuide": "https://x"}]),
        "module-added",
        "automatic",
    ),
    "type in another order": (
        lambda document: document.update(connectModules=dict(reversed(document["connectModules"].items()))),
        "",
        "none",
    ),
    "translations": (put("translations", to={"resources": []}), "files", "automatic"),
    "resources": (put("resources", to=[{"key": "main", "path": "x"}]), "files", "automatic"),
    "services": (put("services", to=[{"key": "x"}]), "services", "approval"),
    "overrides": (put("overrides", to=[{"value": {}}]), "services", "approval"),
    "unknown part": (put("novelties", to={}), "unknown", "approval"),
    "modules that are no object": (put("modules", to=["x"]), "unknown", "approval"),
    "nothing": (lambda _: None, "", "none"),
}


def changed(edit: Edit, base: dict[str, Any] = BASE) -> dict[str, Any]:
    """Return a changed copy of a manifest."""
    document = copy.deepcopy(base)
    edit(document)
    return document


def changes(old: dict[str, Any], new: dict[str, Any]) -> tuple[Change, ...]:
    """Return the changes from one document to another."""
    return compare(Side(old, "old"), Side(new, "new"))
