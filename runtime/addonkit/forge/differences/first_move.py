"""Differences of a Connect descriptor and the first manifest, by what Atlassian's check of a first version looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.context import Product
from addonkit.descriptor.module_types import ELSEWHERE, FIELDS
from addonkit.descriptor.scopes import with_included
from addonkit.forge.differences.difference import Difference, only, step
from addonkit.forge.differences.permissions import egress_of, scopes_of
from addonkit.forge.differences.remotes import addresses, keyed, remote_named
from addonkit.forge.findings import child, mapping_at, shown, value_at
from addonkit.forge.products import PRODUCTS
from addonkit.forge.scopes import scope_name, scopes_in


def is_descriptor(document: Mapping[str, Any]) -> bool:
    """Return whether a document is a Connect descriptor: it has a base URL at its top, and no ``app``."""
    return "app" not in document and isinstance(document.get("baseUrl"), str)


def first_differences(descriptor: Mapping[str, Any], manifest: Any) -> Iterator[Difference]:
    """Yield the differences of the published descriptor and the first manifest."""
    key = value_at(manifest, "app", "connect", "key")
    if key != descriptor.get("key"):
        yield Difference("first-key", step(descriptor.get("key"), key), "/app/connect/key")
    yield from _scopes(descriptor, manifest)
    yield from _remotes(descriptor, manifest)
    was, is_now = descriptor.get("enableLicensing") is True, value_at(manifest, "app", "licensing", "enabled") is True
    if was != is_now:
        yield Difference("first-licence", step(was, is_now), "/app/licensing")
    if value_at(manifest, "app", "access", "userAccess") is True:
        yield Difference("first-user-access", "app.access.userAccess", "/app/access")
    for name, (pointer, _) in keyed(manifest, "providers", "auth").items():
        yield Difference("first-provider", f"'{name}'", pointer)
    yield from _egress(manifest)
    yield from _modules(descriptor, manifest)
    yield Difference("first-enrolled", "", "")


def _scopes(descriptor: Mapping[str, Any], manifest: Any) -> Iterator[Difference]:
    named = descriptor.get("scopes")
    asked = {str(scope).upper() for scope in (named if isinstance(named, list) else ())} - {"NONE"}
    held = with_included(asked)
    allowed = {scope_name(product, scope) for product in PRODUCTS for scope in scopes_in(product, held) - {"NONE"}}
    present = scopes_of(manifest)
    for name in only(present, *allowed):
        yield Difference("first-scope", name, present[name][0])
    for product in PRODUCTS:
        if any(kind.startswith(f"{product}:") for kind in mapping_at(manifest, "connectModules")):
            yield from _dropped(product, asked, set(present))


def _dropped(product: Product, asked: set[str], present: set[str]) -> Iterator[Difference]:
    """Yield the scopes of a product that the descriptor asks for and the manifest does not, not even by another."""
    known = scopes_in(product, asked) - {"NONE"}
    kept = {scope for scope in known if scope_name(product, scope) in present}
    for scope in sorted(known - with_included(kept)):
        yield Difference("first-scope-removed", scope_name(product, scope), "/permissions/scopes")


def _remotes(descriptor: Mapping[str, Any], manifest: Any) -> Iterator[Difference]:
    key = value_at(manifest, "app", "connect", "remote")
    present = addresses(remote_named(manifest, key))
    pointer = keyed(manifest, "remotes").get(str(key), ("/remotes", {}))[0]
    was, is_now = descriptor["baseUrl"], present.get("default")
    if not isinstance(is_now, str) or is_now.rstrip("/") != was.rstrip("/"):
        yield Difference("first-url", step(was, is_now), child(pointer, "baseUrl") if present else pointer)
    for region in only(present, "default"):
        yield Difference("first-region", f"{region}: {shown(present[region])}", child(pointer, "baseUrl"))
    for name, (place, _) in keyed(manifest, "remotes").items():
        if name != str(key):
            yield Difference("first-remote", f"'{name}'", place)


def _egress(manifest: Any) -> Iterator[Difference]:
    for kind, entries in egress_of(manifest).items():
        for name, (pointer, fields) in entries.items():
            is_analytics = fields.get("category") == "analytics"
            yield Difference("first-analytics" if is_analytics else "first-egress", f"{kind} {name}", pointer)


def _modules(descriptor: Mapping[str, Any], manifest: Any) -> Iterator[Difference]:
    before, after = _of_descriptor(descriptor), _of_manifest(manifest)
    present = {named: item for (_, named), item in after.items()}
    for named, body in before.items():
        if named not in present:
            yield Difference("first-module-removed", " ".join(named), f"/modules/{named[0]}", is_removed=True)
        elif present[named][1] != body:
            yield Difference("first-module-changed", " ".join(named), present[named][0])
    for (_, named), (pointer, _) in after.items():
        if named not in before:
            yield Difference("first-module-added", " ".join(named), pointer)


def _of_descriptor(descriptor: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for kind, items in mapping_at(descriptor, "modules").items():
        for item in items if isinstance(items, list) else [items]:
            if isinstance(item, Mapping):
                found[kind, _named(kind, item)] = _body(kind, item)
    return found


def _of_manifest(manifest: Any) -> dict[tuple[str, tuple[str, str]], tuple[str, Mapping[str, Any]]]:
    """Return the Connect modules of a manifest by product, type and name; the lifecycle is none of a descriptor's."""
    found: dict[tuple[str, tuple[str, str]], tuple[str, Mapping[str, Any]]] = {}
    for full, items in mapping_at(manifest, "connectModules").items():
        product, _, kind = full.partition(":")
        for place, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, Mapping) and kind not in (*ELSEWHERE, *FIELDS):
                pointer = child(child("/connectModules", full), place)
                found[product, (kind, _named(kind, item))] = (pointer, _body(kind, item))
    return found


def _named(kind: str, item: Mapping[str, Any]) -> str:
    return f"{item.get('event')} {item.get('url')}" if kind == "webhooks" else str(item.get("key"))


def _body(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a module without the key, which a webhook has in a manifest only."""
    return {name: value for name, value in item.items() if not (kind == "webhooks" and name == "key")}
