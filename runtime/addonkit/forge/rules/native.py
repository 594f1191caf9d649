"""Modules below ``modules`` that the runtime's manifests use, or that refuse an endpoint; others have no rule here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.findings import Finding, child, error, labelled, mapping_at
from addonkit.forge.rules.forms import ANYTHING, ITEMS, MAX_TEXT, YES_NO, Fields, OneOf, Text, check_form

LONGEST_FUNCTION_KEY = 23
"""Longest key of a function, in characters."""
_INTERVALS = ("fiveMinute", "hour", "day", "week")
_KEY = {"key": ANYTHING}
_CALLED = {"function": Text(), "endpoint": Text()}
_TOKEN = Fields({"enabled": YES_NO}, ("enabled",), closed=False)
_ENDPOINT = Fields(
    {
        "remote": Text(),
        "service": Text(),
        "route": Fields({"path": Text(longest=MAX_TEXT)}, ("path",), closed=False),
        "auth": Fields({"appSystemToken": _TOKEN, "appUserToken": _TOKEN}, closed=False),
    }
)
_TRIGGERS: Mapping[str, Fields] = {
    "trigger": Fields({**_KEY, **_CALLED, "events": ITEMS, "filter": ANYTHING, "payload": ANYTHING}, ("events",)),
    "scheduledTrigger": Fields({**_KEY, **_CALLED, "interval": OneOf(_INTERVALS), "filter": ANYTHING}, ("interval",)),
}
_FORMS: Mapping[str, Fields] = {
    "function": Fields(
        {
            **_KEY,
            "handler": Text(r"[\w-]+(/[\w-]+)*\.[\w-]+", "a file and a function, such as 'index.run'", 1024),
            "cleanup": YES_NO,
            "outboundAuthContainerId": Text(r"(?s).+", "an id", 1024),
            "functions": Fields({}),
            "providers": ANYTHING,
            "timeoutSeconds": ANYTHING,
            "runtime": Fields({}),
        },
        ("handler",),
    ),
    "connectToForgeMigration": Fields(
        {
            **_KEY,
            "migrationGuideUrl": Text(r"https://.*", "an https URL", 2048),
            "willMigrateToForgeBeforeEOS": OneOf(("YES", "NO", "UNDECIDED")),
        },
        ("migrationGuideUrl", "willMigrateToForgeBeforeEOS"),
    ),
    "migration:dataResidency": Fields(
        {**_KEY, "remote": Text(), "path": Text(r".+", "a path", 500), "maxMigrationDurationHours": ANYTHING},
        ("remote",),
    ),
}


def check_native(pointer: str, name: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in one module below ``modules``. Source: the validators of @forge/manifest 13.7.0."""
    label = labelled(f"'{name}'", body)
    if name in _FORMS:
        yield from check_form(pointer, body, _FORMS[name])
    if name == "endpoint":
        yield from _endpoint(pointer, label, body)
    elif name in _TRIGGERS:
        yield from _trigger(pointer, label, name, body)
    elif name == "function" and len(str(body.get("key", ""))) > LONGEST_FUNCTION_KEY:
        yield error(f"{pointer}/key", f"{label} has a key of more than {LONGEST_FUNCTION_KEY} characters; shorten it")
    elif name in ("jira:workflowValidator", "jira:workflowCondition") and not {"function", "expression"} & set(body):
        yield error(
            pointer, f"{label} has neither 'function' nor 'expression'; add one, since an endpoint cannot do it"
        )
    elif name == "macro":
        for field in sorted({*mapping_at(body, "adfExport")} - {"function"}):
            yield error(
                f"{child(pointer, 'adfExport')}/{field}",
                f"{label} has an adfExport with '{field}', but only a function can export a macro; name a function",
            )


def _endpoint(pointer: str, label: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    if ("remote" in body) == ("service" in body):
        yield error(pointer, f"{label} needs either a 'remote' or a 'service'; name one")
    known = {field: value for field, value in body.items() if field in _ENDPOINT.known}
    yield from check_form(pointer, known, _ENDPOINT)


def _trigger(pointer: str, label: str, name: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    if ("function" in body) == ("endpoint" in body):
        yield error(pointer, f"{label} needs either a 'function' or an 'endpoint'; name one")
    yield from check_form(pointer, body, _TRIGGERS[name])
