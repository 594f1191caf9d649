"""``permissions.scopes``, and the scopes that triggers and webhooks need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.descriptor.scopes import IMPLIED, SCOPES
from addonkit.forge.data import read_data
from addonkit.forge.findings import (
    Finding,
    child,
    either,
    error,
    labelled,
    mapping_at,
    meant,
    objects_at,
    shown,
    value_at,
    warning,
)
from addonkit.forge.rules.forms import YES_NO, Fields, check_form
from addonkit.forge.scopes import names_in_manifests

PLACE = "/permissions/scopes"
LIFECYCLE = ("avi:forge:installed:app", "avi:forge:upgraded:app")
"""Events about the app itself. Source: DAC, Life cycle events, 2024-11-11. None is sent when the app is uninstalled."""
_MIGRATION = "avi:ecosystem.migration:"
"""Begin of the events of app migration. Source: DAC, Prepare your cloud app for Forge migration, 2026-01-12."""
_OPTIONS = Fields({"allowImpersonation": YES_NO})


def check_scopes(document: Any) -> Iterator[Finding]:
    """Yield scopes that Forge does not know or that are misspelt."""
    if "scopes" not in mapping_at(document, "permissions"):
        return
    given = mapping_at(document, "permissions")["scopes"]
    if not isinstance(given, list | Mapping):
        yield error(PLACE, f"permissions.scopes is {shown(given)}, expected a list; write each scope after '- '")
        return
    known = set(read_data("scope_names")["names"])
    seen = set()
    for place, name in enumerate(given) if isinstance(given, list) else ((name, name) for name in given):
        pointer = child(PLACE, place)
        if not isinstance(name, str):
            yield error(pointer, f"permissions.scopes contains {shown(name)}, expected a text; put it in quotes")
        elif name not in known:
            yield error(pointer, _unknown(name, known))
        elif name in seen:
            yield warning(pointer, f"permissions.scopes contains '{name}' twice; remove one")
        else:
            seen.add(name)
    if isinstance(given, Mapping):
        for name, options in given.items():
            yield from check_form(child(PLACE, str(name)), options, _OPTIONS)


def scopes_of(document: Any) -> frozenset[str]:
    """Return the names of the scopes, which a manifest lists or writes as an object with options."""
    given = value_at(document, "permissions", "scopes")
    return (
        frozenset(name for name in given if isinstance(name, str)) if isinstance(given, list | Mapping) else frozenset()
    )


def _unknown(name: str, known: set[str]) -> str:
    connect = name.strip().upper().replace("-", "_")
    if connect in SCOPES:
        names = either(names_in_manifests(connect))
        remedy = f"write {names}" if names else "remove it, since manifests have no such scope"
        return f"the scope {shown(name)} is one of descriptors; {remedy}"
    spelt = re.sub(r"[\s_]+", "-", name.strip()).lower()
    if spelt in known:
        return f"the scope {shown(name)} is misspelt, since scopes are in lower case with '-'; write '{spelt}'"
    return f"the scope {shown(name)} is not one of Forge; {meant(name, known, 'look it up in its documentation')}"


def check_events(document: Any) -> Iterator[Finding]:
    """Yield unknown events of triggers, and events whose scopes are missing."""
    needed = read_data("event_scopes")
    granular = read_data("granular_scopes")["events"]
    scopes = scopes_of(document)
    for pointer, trigger in objects_at(document, "modules", "trigger"):
        label, events = labelled("the trigger", trigger), trigger.get("events")
        if isinstance(events, list) and not events:
            yield error(f"{pointer}/events", f"{label} has no events; name some, or remove it")
        for place, entry in enumerate(events if isinstance(events, list) else ()):
            at = f"{pointer}/events/{place}"
            event = mapping_at(entry).get("eventType") if isinstance(entry, Mapping) else entry
            if not isinstance(event, str):
                yield error(at, f"{label} has the event {shown(event)}, expected a text such as '{LIFECYCLE[0]}'")
            elif event in needed:
                missing = [scope for scope in needed[event] if scope not in scopes]
                if missing and not (granular.get(event) and scopes.issuperset(granular[event])):
                    names = ", ".join(f"'{scope}'" for scope in missing)
                    yield error(at, f"the event '{event}' of {label} is sent only with {names}; add it to the scopes")
            elif event not in LIFECYCLE and not event.startswith(_MIGRATION):
                yield _unknown_event(at, label, event, needed)


def _unknown_event(pointer: str, label: str, event: str, needed: Mapping[str, Any]) -> Finding:
    known = {*needed, *LIFECYCLE}
    families = {name.split(":")[1] for name in known}
    if event.startswith("avi:forge:uninstalled"):
        return error(pointer, f"{label} waits for '{event}', which is never sent; use the module 'preUninstall'")
    parts = event.split(":")
    if parts[0] == "avi" and len(parts) > 1 and parts[1] not in families and not meant(event, known, ""):
        return warning(pointer, f"{label} has the event {shown(event)}, which this release does not know; check it")
    return error(
        pointer,
        f"{label} has the event {shown(event)}, which no product sends; "
        f"{meant(event, known, 'look it up in its documentation')}",
    )


def check_webhooks(document: Any) -> Iterator[Finding]:
    """Yield webhooks without the scope that a descriptor with them needs."""
    scopes = scopes_of(document)
    enough = {"READ"} | {scope for scope, held in IMPLIED.items() if "READ" in held}
    for product in ("jira", "confluence"):
        name = f"{product}:webhooks"
        if not any(True for _ in objects_at(document, "connectModules", name)):
            continue
        if not any(f"{scope.lower().replace('_', '-')}:connect-{product}" in scopes for scope in enough):
            yield warning(
                child("/connectModules", name),
                f"connectModules has '{name}' without the scope 'read:connect-{product}', which the product demands "
                "for the webhooks of a descriptor; add it to the scopes",
            )
