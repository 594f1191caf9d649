"""62 variants of a manifest with one change each, and what two checkers say about each of them.

The base manifest is one of the stage ``hybrid``: it has an endpoint and a trigger, which variants change. The verdicts
of the validator were taken from runs of @forge/manifest 13.7.0 (npm, Atlassian) in November 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Document = dict[str, Any]
Change = Callable[[Document], None]

EVENTS = "addonkit-events"
SVG = "https://kit.example.com/i.svg"
WEBHOOK = {"key": "hook", "event": "jira:issue_deleted", "url": "/webhooks/issue_panel/forget?issue_id=${issue.id}"}
LIFECYCLE = {event: f"/lifecycle/{event}" for event in ("installed", "uninstalled", "enabled", "disabled")}
PAGE_TRIGGERS = ["avi:confluence:trashed:page", "avi:confluence:deleted:page"]

BASE: Document = {
    "app": {
        "id": "ari:cloud:ecosystem::app/00000000-0000-4000-8000-000000000000",
        "runtime": {"name": "nodejs22.x"},
        "connect": {"key": "com.example.team-kit", "remote": "connect", "authentication": "jwt"},
        "licensing": {"enabled": True},
        "compatibility": {"confluence": {"required": False}, "jira": {"required": False}},
    },
    "remotes": [
        {
            "key": "connect",
            "baseUrl": "https://kit.example.com",
            "operations": ["storage", "compute"],
            "storage": {"inScopeEUD": True},
            "auth": {"appSystemToken": {"enabled": True}},
        }
    ],
    "connectModules": {
        "confluence:dynamicContentMacros": [
            {
                "key": "addonkit-poll",
                "name": {"value": "Poll"},
                "url": "/macro/poll?content_id={content.id}&poll={poll}",
                "parameters": [{"identifier": "poll", "name": {"value": "Poll"}, "type": "string", "hidden": True}],
                "editor": {"url": "/macro/editor?edited_poll={poll}", "width": "640px"},
            }
        ],
        "jira:jiraIssueContents": [
            {
                "key": "issue-panel-panel",
                "name": {"value": "Checklist"},
                "tooltip": {"value": "Add a checklist"},
                "icon": {"width": 16, "height": 16, "url": "/issue_panel/static/icon.svg"},
                "target": {"type": "web_panel", "url": "/issue_panel/panel?issue_id={issue.id}"},
            }
        ],
        "jira:webhooks": [WEBHOOK],
        "confluence:webhooks": [{"key": "hook-2", "event": "page_removed", "url": "/webhooks/macro/forget_page"}],
        "confluence:lifecycle": [{"key": "lifecycle-confluence", **LIFECYCLE}],
        "jira:lifecycle": [{"key": "lifecycle-jira", **LIFECYCLE}],
    },
    "permissions": {"scopes": ["read:app-system-token", "read:connect-confluence", "read:connect-jira"]},
    "modules": {
        "endpoint": [
            {
                "key": EVENTS,
                "remote": "connect",
                "route": {"path": "/forge/events"},
                "auth": {"appSystemToken": {"enabled": True}},
            }
        ],
        "trigger": [
            {
                "key": "addonkit-lifecycle",
                "endpoint": EVENTS,
                "events": ["avi:forge:installed:app", "avi:forge:upgraded:app"],
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of the base manifest.

    Attributes:
        name: What is changed.
        change: Applies the change.
        accepted: Whether the full validator accepts it.
        ours: What ``check_manifest`` finds: ``ok`` nothing, ``warning``, or ``error``.
        pointer: The place of that finding.
    """

    name: str
    change: Change
    accepted: bool = True
    ours: Literal["ok", "warning", "error"] = "ok"
    pointer: str | None = None

    def document(self) -> Document:
        """Return the changed manifest."""
        changed = deepcopy(BASE)
        self.change(changed)
        return changed


def make_files(folder: Path) -> None:
    """Write the files that variants refer to."""
    for path, content in (("ui/index.html", "<!doctype html><title>x</title>"), ("src/index.js", "export const run=1")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def put(path: str, value: Any) -> Change:
    """Return a change that sets a value; names in the path are separated by blanks, numbers are indexes of lists."""

    def change(document: Any) -> None:
        *steps, last = path.split()
        for step in steps:
            document = document[int(step)] if isinstance(document, list) else document.setdefault(step, {})
        document[int(last) if isinstance(document, list) else last] = deepcopy(value)

    return change


def drop(path: str) -> Change:
    """Return a change that removes a value."""

    def change(document: Any) -> None:
        *steps, last = path.split()
        for step in steps:
            document = document[int(step)] if isinstance(document, list) else document[step]
        del document[int(last) if isinstance(document, list) else last]

    return change


def add(path: str, *values: Any) -> Change:
    """Return a change that appends values to a list."""

    def change(document: Any) -> None:
        for step in path.split():
            document = document[int(step)] if isinstance(document, list) else document[step]
        document.extend(deepcopy(values))

    return change


def all_of(*changes: Change) -> Change:
    """Return a change that makes several changes."""

    def change(document: Document) -> None:
        for one in changes:
            one(document)

    return change


def native(name: str, **fields: Any) -> Change:
    """Return a change that adds a Forge module with the resource ``ui``."""
    return all_of(put(f"modules {name}", [fields]), put("resources", [{"key": "ui", "path": "ui"}]))


def trigger(*events: str) -> Change:
    """Return a change that adds a trigger of these events."""
    return add("modules trigger", {"key": "t2", "endpoint": EVENTS, "events": list(events)})


RESOLVER = {"endpoint": EVENTS}
PANEL = {"title": "Checklist", "resource": "ui", "resolver": RESOLVER}
MACRO = {"key": "addonkit-poll-2", "title": "Poll", "resource": "ui", "resolver": RESOLVER}
MIGRATION = {"key": "mig", "migrationGuideUrl": "https://example.com/x", "willMigrateToForgeBeforeEOS": "YES"}
GLANCE = {
    "key": "issue-panel-panel",
    "name": {"value": "x"},
    "content": {"type": "label", "label": {"value": "x"}},
    "icon": {"url": "/i", "width": 1, "height": 1},
    "target": {"type": "web_panel", "url": "/x"},
}
CONTAINER = {
    "key": "py",
    "tag": "1",
    "health": {"type": "http", "route": {"path": "/healthz"}},
    "resources": {"cpu": "1", "memory": "2Gi"},
}
REMOTE = "remotes 0"
SCOPES = "permissions scopes"
EXTERNAL = "permissions external"
ISSUE_SCOPE = "/modules/trigger/1/events/0"

VARIANTS = (
    Variant("as generated", lambda _document: None),
    Variant(
        "same key in connectModules and modules",
        native("jira:issuePanel", key="issue-panel-panel", icon=SVG, **PANEL),
        False,
        "error",
        "/connectModules/jira:jiraIssueContents/0/key",
    ),
    Variant(
        "same key in two connectModules",
        put("connectModules jira:jiraIssueGlances", [GLANCE]),
        False,
        "error",
        "/connectModules/jira:jiraIssueGlances/0/key",
    ),
    Variant(
        "same endpoint key twice",
        add("modules endpoint", BASE["modules"]["endpoint"][0]),
        False,
        "error",
        "/modules/endpoint/1/key",
    ),
    Variant(
        "unknown connect module",
        put("connectModules jira:noSuch", [{"key": "a"}]),
        False,
        "error",
        "/connectModules/jira:noSuch",
    ),
    Variant(
        "connect module body with wrong field",
        put("connectModules jira:jiraIssueContents 0 target", 3),
        True,
        "error",
        "/connectModules/jira:jiraIssueContents/0/target",
    ),
    Variant(
        "webhook without key",
        drop("connectModules jira:webhooks 0 key"),
        True,
        "error",
        "/connectModules/jira:webhooks/0",
    ),
    Variant("no connect.remote", drop("app connect remote"), False, "error", "/app/connect"),
    Variant("remote missing", put("app connect remote", "other"), False, "error", "/app/connect/remote"),
    Variant(
        "authentication oauth2",
        put("app connect authentication", "oauth2"),
        False,
        "error",
        "/app/connect/authentication",
    ),
    Variant(
        "no connectModules but authentication", drop("connectModules"), False, "error", "/app/connect/authentication"
    ),
    Variant("no connectModules, key kept", all_of(drop("connectModules"), drop("app connect authentication"))),
    Variant(
        "no connectModules, key kept, no remote",
        all_of(drop("connectModules"), drop("app connect authentication"), drop("app connect remote")),
        True,
        "warning",
        "/app/connect",
    ),
    Variant(
        "only read:app-system-token scope",
        put(SCOPES, ["read:app-system-token"]),
        False,
        "error",
        "/remotes/0/auth/appSystemToken",
    ),
    Variant("http base url", put(f"{REMOTE} baseUrl", "http://kit.example.com"), True, "error", "/remotes/0/baseUrl"),
    Variant(
        "http localhost base url",
        put(f"{REMOTE} baseUrl", "http://localhost:8000"),
        True,
        "error",
        "/remotes/0/baseUrl",
    ),
    Variant("base url with path", put(f"{REMOTE} baseUrl", "https://kit.example.com/a/b")),
    Variant(
        "base url with variable",
        all_of(put(f"{REMOTE} baseUrl", "${KIT_BASE_URL}"), put("environment", {"variables": ["KIT_BASE_URL"]})),
        False,
        "error",
        "/remotes/0/baseUrl",
    ),
    Variant(
        "no operations",
        all_of(drop(f"{REMOTE} operations"), drop(f"{REMOTE} storage")),
        True,
        "warning",
        "/remotes/0",
    ),
    Variant(
        "remote key of 24",
        all_of(
            put(f"{REMOTE} key", "a" * 24),
            put("app connect remote", "a" * 24),
            put("modules endpoint 0 remote", "a" * 24),
        ),
        False,
        "error",
        "/remotes/0/key",
    ),
    Variant("connect key of 91", put("app connect key", "a" * 91), False, "error", "/app/connect/key"),
    Variant("connect key with +", put("app connect key", "a+b"), False, "error", "/app/connect/key"),
    Variant("no compatibility with two products", drop("app compatibility"), True, "warning", "/app"),
    Variant("no runtime", drop("app runtime"), False, "error", "/app"),
    Variant("runtime nodejs18.x", put("app runtime name", "nodejs18.x"), False, "error", "/app/runtime/name"),
    Variant("scope in capitals", put(SCOPES, ["READ:connect-jira"]), False, "error", "/permissions/scopes/0"),
    Variant("scope that is none", add(SCOPES, "foo:connect-jira"), False, "error", "/permissions/scopes/3"),
    Variant(
        "scopes as object with allowImpersonation",
        put(
            SCOPES, {"read:connect-jira": {"allowImpersonation": True}, "read:jira-work": {"allowImpersonation": True}}
        ),
        True,
        "error",
        "/remotes/0/auth/appSystemToken",
    ),
    Variant(
        "trigger avi:jira:deleted:issue, no read:jira-work",
        trigger("avi:jira:deleted:issue"),
        True,
        "error",
        ISSUE_SCOPE,
    ),
    Variant(
        "trigger avi:jira:deleted:issue with read:jira-work",
        all_of(trigger("avi:jira:deleted:issue"), add(SCOPES, "read:jira-work")),
    ),
    Variant(
        "trigger avi:confluence:trashed:page, scope added",
        all_of(trigger(*PAGE_TRIGGERS), add(SCOPES, "read:confluence-content.summary")),
        True,
        "error",
        ISSUE_SCOPE,
    ),
    Variant("trigger of unknown event", trigger("avi:jira:nosuch:issue"), True, "error", ISSUE_SCOPE),
    Variant(
        "lifecycle avi:forge:uninstalled:app",
        add("modules trigger 0 events", "avi:forge:uninstalled:app"),
        True,
        "error",
        "/modules/trigger/0/events/2",
    ),
    Variant(
        "preUninstall module",
        put("modules core:preUninstall", [{"key": "pre", "endpoint": EVENTS}]),
        False,
        "error",
        "/modules/core:preUninstall",
    ),
    Variant(
        "scheduledTrigger to endpoint, fiveMinute",
        put("modules scheduledTrigger", [{"key": "s", "endpoint": EVENTS, "interval": "fiveMinute"}]),
    ),
    Variant(
        "scheduledTrigger to endpoint, hour",
        put("modules scheduledTrigger", [{"key": "s", "endpoint": EVENTS, "interval": "hour"}]),
    ),
    Variant("consumer to endpoint", put("modules consumer", [{"key": "c", "queue": "q", "endpoint": EVENTS}])),
    Variant("webtrigger to endpoint", put("modules webtrigger", [{"key": "w", "endpoint": EVENTS}])),
    Variant("native macro with custom UI", native("macro", **MACRO, config={"resource": "ui"}, export=RESOLVER)),
    Variant(
        "native macro with adfExport endpoint",
        native("macro", **MACRO, adfExport=RESOLVER),
        False,
        "error",
        "/modules/macro/0/adfExport/endpoint",
    ),
    Variant(
        "native macro with adfExport function",
        all_of(
            native("macro", **MACRO, adfExport={"function": "f"}),
            put("modules function", [{"key": "f", "handler": "index.run"}]),
        ),
    ),
    Variant("native issuePanel with endpoint resolver", native("jira:issuePanel", key="checklist", icon=SVG, **PANEL)),
    Variant(
        "native issueContext with endpoint resolver",
        native("jira:issueContext", key="checklist", label="Checklist", **PANEL),
    ),
    Variant("native adminPage with endpoint resolver", native("jira:adminPage", key="adm", **PANEL)),
    Variant(
        "workflowValidator to endpoint",
        put("modules jira:workflowValidator", [{"key": "wv", "name": "n", "description": "d", "endpoint": EVENTS}]),
        False,
        "error",
        "/modules/jira:workflowValidator/0",
    ),
    Variant(
        "workflowPostFunction to endpoint",
        put("modules jira:workflowPostFunction", [{"key": "wv", "name": "n", "description": "d", "endpoint": EVENTS}]),
    ),
    Variant(
        "resource folder missing",
        all_of(native("jira:adminPage", key="adm", title="A", resource="ui"), put("resources 0 path", "none")),
        False,
        "error",
        "/resources/0/path",
    ),
    Variant(
        "external frames our host",
        put(EXTERNAL, {"frames": ["https://kit.example.com"]}),
        False,
        "error",
        "/permissions/external/frames/0",
    ),
    Variant(
        "external frames as remote",
        put(EXTERNAL, {"frames": [{"remote": "connect"}]}),
        False,
        "error",
        "/permissions/external/frames/0",
    ),
    Variant(
        "external fetch client remote",
        all_of(put(EXTERNAL, {"fetch": {"client": [{"remote": "connect"}]}}), add(f"{REMOTE} operations", "fetch")),
    ),
    Variant(
        "external fetch client remote without fetch operation",
        put(EXTERNAL, {"fetch": {"client": [{"remote": "connect"}]}}),
        True,
        "error",
        "/permissions/external/fetch/client/0/remote",
    ),
    Variant(
        "external fetch backend remote",
        put(EXTERNAL, {"fetch": {"backend": [{"remote": "connect"}]}}),
        True,
        "warning",
        "/permissions/external/fetch/backend/0/remote",
    ),
    Variant(
        "inline styles and script",
        put("permissions content", {"styles": ["unsafe-inline"], "scripts": ["unsafe-inline"]}),
    ),
    Variant("styles unsafe-inline only", put("permissions content", {"styles": ["unsafe-inline"]})),
    Variant("connectToForgeMigration", put("modules connectToForgeMigration", [MIGRATION])),
    Variant(
        "core:connectToForgeMigration",
        put("modules core:connectToForgeMigration", [MIGRATION]),
        False,
        "error",
        "/modules/core:connectToForgeMigration",
    ),
    Variant(
        "dataResidency",
        put(
            "modules migration:dataResidency",
            [{"key": "dare", "remote": "connect", "path": "/dare", "maxMigrationDurationHours": 24}],
        ),
    ),
    Variant(
        "newer lifecycle list",
        put("connectModules lifecycle", [{"key": "l", "event": "installed", "remote": "connect", "url": "/x"}]),
        False,
        "error",
        "/connectModules/lifecycle",
    ),
    Variant(
        "regional base urls",
        put(f"{REMOTE} baseUrl", {"default": "https://kit.example.com", "EU": "https://eu.example.com"}),
    ),
    Variant(
        "two remotes, connect and forge",
        all_of(
            add("remotes", {"key": "forge", "baseUrl": "https://kit.example.com/forge", "operations": ["compute"]}),
            put("modules endpoint 0 remote", "forge"),
        ),
    ),
    Variant(
        "endpoint to unknown remote",
        put("modules endpoint 0 remote", "zzz"),
        False,
        "error",
        "/modules/endpoint/0/remote",
    ),
    Variant(
        "services container + endpoint",
        all_of(
            put("services", [{"key": "py", "containers": [CONTAINER]}]),
            add("modules endpoint", {"key": "e2", "service": "py", "route": {"path": "/"}}),
        ),
    ),
)
"""All variants; their names are those under which the verdicts were recorded."""
