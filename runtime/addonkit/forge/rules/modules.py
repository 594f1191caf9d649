"""``connectModules`` and ``modules``: names, keys, and references between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from addonkit.descriptor.module_types import DECLARABLE, ELSEWHERE
from addonkit.forge.data import read_data
from addonkit.forge.findings import (
    Finding,
    child,
    either,
    error,
    keys_at,
    labelled,
    mapping_at,
    meant,
    objects_at,
    shown,
    value_at,
    warning,
)
from addonkit.forge.rules.bodies import check_body
from addonkit.forge.rules.native import check_native

CONNECT, FORGE = "connectModules", "modules"
_KEY = re.compile(r"[a-zA-Z0-9_-]+")


@cache
def connect_names() -> frozenset[str]:
    """Return the names below ``connectModules``: 61 of Jira and 22 of Confluence."""
    names = {f"{product}:{known.name}" for known in DECLARABLE.values() for product in known.products}
    return frozenset(names | {f"{product}:{name}" for name in ELSEWHERE for product in ("jira", "confluence")})


def check_modules(document: Any, folder: Path | None) -> Iterator[Finding]:
    """Yield what is wrong with modules.

    Args:
        document: The manifest.
        folder: Where files that it names are looked up; None to look up none.
    """
    yield from _presence(document)
    yield from _number(document)
    yield from _names(document)
    yield from _keys(document)
    for name in mapping_at(document, CONNECT):
        if name not in connect_names():
            continue
        for pointer, body in objects_at(document, CONNECT, name):
            yield from check_body(pointer, name, body)
    for name in mapping_at(document, FORGE):
        for pointer, body in objects_at(document, FORGE, name):
            yield from check_native(pointer, name, body)
    yield from _references(document)
    yield from _endpoints_of_triggers(document)
    yield from _files(document, folder)


def _presence(document: Any) -> Iterator[Finding]:
    """Yield a manifest without modules. Source: ModulesValidator of @forge/manifest 13.7.0."""
    own, connect = value_at(document, FORGE), value_at(document, CONNECT)
    if own is None and connect is None:
        yield error("", "the manifest has neither 'modules' nor 'connectModules'; add modules")
    elif isinstance(own, Mapping) and not set(own) - {"function", "endpoint"}:
        yield error(
            f"/{FORGE}", "modules has functions and endpoints only, which nothing uses; add a module, or remove it"
        )
    for part in (CONNECT, FORGE):
        found = value_at(document, part)
        if part in mapping_at(document) and not isinstance(found, Mapping):
            yield error(f"/{part}", f"{part} is {shown(found)}, expected an object; write each type of module below it")
        for name, entries in mapping_at(document, part).items():
            pointer = child(f"/{part}", name)
            if not isinstance(entries, list):
                yield error(
                    pointer, f"{part} '{name}' is {shown(entries)}, expected a list; write each module after '- '"
                )
            elif not entries:
                yield error(pointer, f"{part} '{name}' is an empty list; add a module, or remove it")
            for place, entry in enumerate(entries if isinstance(entries, list) else ()):
                if not isinstance(entry, Mapping):
                    yield error(
                        child(pointer, place),
                        f"{part} '{name}' contains {shown(entry)}, expected an object; write the fields of a module",
                    )
    for product in ("jira", "confluence"):
        entries = value_at(document, CONNECT, f"{product}:lifecycle")
        if isinstance(entries, list) and len(entries) > 1:
            yield error(f"/{CONNECT}/{product}:lifecycle/1", f"'{product}:lifecycle' is there twice; keep one")


def _number(document: Any) -> Iterator[Finding]:
    limit = read_data("limits")["modules"]
    parts = [mapping_at(document, part) for part in (CONNECT, FORGE)]
    count = sum(len(entries) for part in parts for entries in part.values() if isinstance(entries, list))
    if count > limit:
        yield warning(
            "",
            f"the manifest has {count} modules, and Forge documents a limit of {limit} for an app; try it in an "
            "environment of your own, or enable fewer plugins",
        )


def _names(document: Any) -> Iterator[Finding]:
    connect, native = connect_names(), frozenset(read_data("module_names")["names"])
    for name in sorted(set(mapping_at(document, CONNECT)) - connect):
        yield error(
            child(f"/{CONNECT}", name), f"connectModules has the type {shown(name)}, {_unknown_connect(name, connect)}"
        )
    for name in sorted(set(mapping_at(document, FORGE)) - native):
        bare = re.sub(r"^(core|xen):", "", name)
        advice = f"write '{bare}'" if bare in native else meant(bare, native, "look it up in its documentation")
        if name in connect:
            advice = "write it below connectModules"
        yield error(
            child(f"/{FORGE}", name), f"modules has the type {shown(name)}, which Forge does not know; {advice}"
        )


def _unknown_connect(name: str, known: frozenset[str]) -> str:
    product, _, type_ = name.rpartition(":")
    fits = sorted(one for one in known if one.partition(":")[2] == type_)
    if fits:
        found = f"which {product} does not have" if product else "which lacks its product"
        return f"{found}; write {either(fits)}"
    return f"which Forge does not know; {meant(name, known, 'look it up in its documentation')}"


def _keys(document: Any) -> Iterator[Finding]:
    """Yield modules without a key, and keys that two modules have: all modules share one name space."""
    first: dict[str, str] = {}
    for part in (FORGE, CONNECT):
        for name in mapping_at(document, part):
            for pointer, body in objects_at(document, part, name):
                key = body.get("key")
                if "key" not in body:
                    yield error(
                        pointer, f"a module of the type '{name}' lacks 'key', which a manifest requires; add one"
                    )
                elif not isinstance(key, str) or not _KEY.fullmatch(key):
                    yield error(
                        f"{pointer}/key", f"'{name}' has the key {shown(key)}; use letters, digits, '-' and '_' only"
                    )
                elif key in first:
                    yield error(
                        f"{pointer}/key",
                        f"the key '{key}' of '{name}' is also that of '{first[key]}', but modules share one name "
                        "space; rename one of them",
                    )
                else:
                    first[key] = name


def _references(document: Any) -> Iterator[Finding]:
    """Yield modules that name a function, an endpoint or a resource that does not exist."""
    known = {
        "function": keys_at(document, FORGE, "function"),
        "endpoint": keys_at(document, FORGE, "endpoint"),
        "resource": keys_at(document, "resources"),
    }
    for name in mapping_at(document, FORGE):
        if name in ("function", "endpoint"):
            continue
        for pointer, body in objects_at(document, FORGE, name):
            parts = [(pointer, body), *((child(pointer, field), part) for field, part in body.items())]
            for at, part in parts:
                for kind, names in known.items():
                    yield from _reference(at, name, body, kind, mapping_at(part).get(kind), names)


def _reference(
    pointer: str, name: str, body: Mapping[str, Any], kind: str, target: Any, known: frozenset[str]
) -> Iterator[Finding]:
    if not isinstance(target, str):
        return
    # A resource can be followed by the name of one of its pages.
    key, label = target.partition("/")[0] if kind == "resource" else target, labelled(f"'{name}'", body)
    if key not in known:
        yield error(
            f"{pointer}/{kind}",
            f"{label} names the {kind} {shown(target)}, which does not exist; "
            f"{meant(key, known, 'add it, or name another one')}",
        )


def _endpoints_of_triggers(document: Any) -> Iterator[Finding]:
    """Yield endpoints that cannot get events. Source: ModulesValidator of @forge/manifest 13.7.0."""
    endpoints = {str(body.get("key")): (pointer, body) for pointer, body in objects_at(document, FORGE, "endpoint")}
    for _, trigger in objects_at(document, FORGE, "trigger"):
        pointer, endpoint = endpoints.get(str(trigger.get("endpoint")), ("", {}))
        called = f"the endpoint {shown(trigger.get('endpoint'))} gets events of {labelled('the trigger', trigger)}"
        if endpoint and "route" not in endpoint:
            yield error(pointer, f"{called}, but has no 'route'; add one with a path")
        if mapping_at(endpoint, "auth", "appUserToken").get("enabled") is True:
            yield error(f"{pointer}/auth/appUserToken", f"{called}, which have no user; disable appUserToken")


def _files(document: Any, folder: Path | None) -> Iterator[Finding]:
    """Yield resources without their files."""
    seen: set[str] = set()
    for pointer, resource in objects_at(document, "resources"):
        key, path = resource.get("key"), resource.get("path")
        if isinstance(key, str) and key in seen:
            yield error(f"{pointer}/key", f"two resources have the key '{key}'; rename one of them")
        seen.add(str(key))
        if folder is not None and isinstance(path, str) and (fault := _fault_of_files(folder, path)):
            yield error(f"{pointer}/path", f"{labelled('the resource', resource)} is at {shown(path)}, {fault}")


def _fault_of_files(folder: Path, path: str) -> str | None:
    """Return what is wrong with a file or folder that a manifest names, with the remedy."""
    try:
        found = folder / path
        if not found.exists():
            return "which does not exist; create it"
        return "an empty folder; build it first" if found.is_dir() and not any(found.iterdir()) else None
    except (OSError, ValueError) as problem:  # too long, with a NUL, without permission
        return f"which cannot be read ({getattr(problem, 'strerror', None) or problem}); correct it"
