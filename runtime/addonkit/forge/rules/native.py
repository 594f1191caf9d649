"""Modules below ``modules`` that the runtime's manifests use, or that refuse an endpoint; others have no rule here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.findings import Finding, child, error, mapping_at, shown
from addonkit.forge.rules.forms import ANYTHING, Fields, OneOf, Text, check_form

LONGEST_FUNCTION_KEY = 23
"""Longest key of a function, in characters."""
_INTERVALS = ("fiveMinute", "hour", "day", "week")
_KEY = {"key": ANYTHING}
_FORMS: Mapping[str, Fields] = {
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
    label = f"'{name}' {shown(body.get('key'))}"
    if name in _FORMS:
        yield from check_form(pointer, body, _FORMS[name])
    elif name == "endpoint":
        yield from _endpoint(pointer, label, body)
    elif name in ("trigger", "scheduledTrigger"):
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
    route = body.get("route")
    if "route" in body and not isinstance(mapping_at(route).get("path"), str):
        yield error(
            f"{pointer}/route", f"{label} has the route {shown(route)}, expected an object with 'path'; add the path"
        )


def _trigger(pointer: str, label: str, name: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    if ("function" in body) == ("endpoint" in body):
        yield error(pointer, f"{label} needs either a 'function' or an 'endpoint'; name one")
    if name == "scheduledTrigger":
        yield from check_form(f"{pointer}/interval", body.get("interval"), OneOf(_INTERVALS))
    elif not isinstance(body.get("events"), list):
        yield error(
            pointer, f"{label} has the events {shown(body.get('events'))}, expected a list; write each after '- '"
        )
