"""Differences of ``remotes``: where data goes, and what happens to it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.differences.difference import Difference, only, pairs, step
from addonkit.forge.findings import child, mapping_at, objects_at, value_at

_KNOWN = ("key", "baseUrl", "configurable", "storage", "operations", "auth")
Places = dict[str, tuple[str, Mapping[str, Any]]]
"""Objects of a list by their keys, each with its pointer."""


def remote_differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield the differences of ``remotes``."""
    before, after = keyed(old, "remotes"), keyed(new, "remotes")
    for key in only(before.keys(), *after):
        yield Difference("remote-removed", f"'{key}'", before[key][0], is_removed=True)
    for key, (pointer, remote) in after.items():
        if key in before:
            for difference in _changes(before[key][1], remote, pointer):
                yield Difference(difference.rule, f"'{key}' {difference.what}", difference.pointer)
            continue
        url = addresses(remote).get("default")
        if url is None and remote.get("configurable"):
            rule = "remote-customer-added"
        else:
            rule = "remote-from-egress" if url in _backends(old) else "remote-added"
        yield Difference(rule, f"'{key}' {url or ''}".rstrip(), pointer)


def keyed(document: Any, *path: str) -> Places:
    """Return the objects of the list at a path by their keys; one without a key by its place."""
    found = objects_at(document, *path)
    return {str(item.get("key", pointer.rpartition("/")[2])): (pointer, item) for pointer, item in found}


def remote_named(document: Any, key: Any) -> Mapping[str, Any]:
    """Return the remote with a key; an empty one if there is none."""
    return keyed(document, "remotes").get(str(key), ("", {}))[1]


def addresses(remote: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base URLs of a remote by region; that of all other sites is ``default``."""
    url = remote.get("baseUrl")
    if url is None:
        return {}
    return dict(url) if isinstance(url, Mapping) else {"default": url}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], pointer: str) -> Iterator[Difference]:
    yield from _addresses(old, new, child(pointer, "baseUrl"))
    if old.get("configurable") != new.get("configurable"):
        rule = "remote-configurable" if not old.get("configurable") else "remote-options"
        yield Difference(rule, "configurable", child(pointer, "configurable"))
    if _stores(old) != _stores(new):
        rule = "remote-data-on" if _stores(new) else "remote-data-off"
        yield Difference(rule, f"inScopeEUD: {step(_stores(old), _stores(new))}", child(pointer, "storage"))
    for operation in sorted(_operations(new) - _operations(old)):
        yield Difference("remote-operation-added", operation, child(pointer, "operations"))
    for operation in sorted(_operations(old) - _operations(new)):
        yield Difference("remote-operation-removed", operation, child(pointer, "operations"))
    for token in ("appSystemToken", "appUserToken"):
        was, is_now = (value_at(one, "auth", token, "enabled") is True for one in (old, new))
        if was != is_now:
            yield Difference(f"remote-token-{'on' if is_now else 'off'}", token, child(pointer, "auth"))
    for name, before, after in pairs(old, new):
        if name not in _KNOWN:
            yield Difference("remote-options", f"{name}: {step(before, after)}", child(pointer, name))


def _addresses(old: Mapping[str, Any], new: Mapping[str, Any], pointer: str) -> Iterator[Difference]:
    before, after = addresses(old), addresses(new)
    if before and not after and new.get("configurable"):
        yield Difference("remote-url-removed", f"{before.get('default')}", pointer)
        return
    if before == after and old.get("baseUrl") != new.get("baseUrl"):
        yield Difference("remote-form", f"{after.get('default')}", pointer)
    for region, former, present in pairs(before, after):
        if region == "default":
            yield Difference("remote-url", step(former, present), pointer)
        elif former is None:
            yield Difference("remote-region-added", f"{region}: {present}", pointer)
        elif present is None:
            yield Difference("remote-region-removed", f"{region}: {former}", pointer)
        else:
            yield Difference("remote-url", f"{region}: {step(former, present)}", pointer)


def _operations(remote: Mapping[str, Any]) -> frozenset[str]:
    """Return the purposes of a remote. Source: a remote without any is assumed to store data, DAC, remotes."""
    named = remote.get("operations")
    return frozenset(map(str, named)) if isinstance(named, list) else frozenset({"storage"})


def _stores(remote: Mapping[str, Any]) -> bool:
    """Return whether a remote stores data of end users, as Forge assumes it where nothing is said."""
    said = value_at(remote, "storage", "inScopeEUD")
    return said if isinstance(said, bool) else "storage" in _operations(remote)


def _backends(document: Any) -> frozenset[Any]:
    """Return the addresses that functions of the app may call."""
    named = mapping_at(document, "permissions", "external", "fetch").get("backend")
    entries = named if isinstance(named, list) else []
    found = (entry.get("address") if isinstance(entry, Mapping) else entry for entry in entries)
    return frozenset(url for url in found if isinstance(url, str))
