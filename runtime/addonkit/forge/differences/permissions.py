"""Differences of ``permissions``: scopes, options of the content security policy, addresses that data goes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.differences.difference import Difference, only, pairs, step
from addonkit.forge.findings import child, mapping_at, value_at

_KNOWN = ("scopes", "content", "external")
Entries = dict[str, tuple[str, Mapping[str, Any]]]
"""Entries by their name, each with its pointer and its fields."""


def permission_differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield the differences of ``permissions``."""
    yield from _scopes(scopes_of(old), scopes_of(new))
    yield from _lists(old, new, "content", "csp")
    yield from _lists(old, new, "external", "egress")
    yield from _configurable(old, new)
    for name, before, after in pairs(mapping_at(old, "permissions"), mapping_at(new, "permissions")):
        if name not in _KNOWN:
            yield Difference(
                "permission-options", f"{name}: {step(before, after)}", child("/permissions", name), after is None
            )


def scopes_of(document: Any) -> Entries:
    """Return the scopes of a manifest, which has them as a list or as an object."""
    found = value_at(document, "permissions", "scopes")
    if isinstance(found, Mapping):
        return {str(name): (child("/permissions/scopes", str(name)), _fields(item)) for name, item in found.items()}
    return _entries(found, "/permissions/scopes")


def egress_of(document: Any) -> dict[str, Entries]:
    """Return the entries of ``permissions.external`` by their kind, such as ``frames`` or ``fetch.backend``."""
    return _kinds(document, "external")


def _scopes(before: Entries, after: Entries) -> Iterator[Difference]:
    for name in only(after, *before):
        yield Difference("scope-added", name, after[name][0])
    for name in only(before, *after):
        yield Difference("scope-removed", name, before[name][0], is_removed=True)
    for name in sorted(before.keys() & after.keys()):
        was, is_now = (one[name][1].get("allowImpersonation") is True for one in (before, after))
        if was != is_now:
            yield Difference(f"impersonation-{'on' if is_now else 'off'}", name, after[name][0])
    for name in only(after, *before):
        if after[name][1].get("allowImpersonation") is True:
            yield Difference("impersonation-on", name, after[name][0])


def _lists(old: Any, new: Any, section: str, rule: str) -> Iterator[Difference]:
    before, after = _kinds(old, section), _kinds(new, section)
    had_data = any(_has_data(fields) for entries in before.values() for _, fields in entries.values())
    for kind in sorted(before.keys() | after.keys()):
        former, present = before.get(kind, {}), after.get(kind, {})
        for name in only(present, *former):
            yield Difference(f"{rule}-added", f"{kind} {name}", present[name][0])
        for name in only(former, *present):
            yield Difference(f"{rule}-removed", f"{kind} {name}", former[name][0], is_removed=True)
        for name in sorted(former.keys() & present.keys()):
            for changed in _fields_of_address(former[name][1], present[name][1], had_data=had_data):
                yield Difference(changed, f"{kind} {name}", present[name][0])


def _fields_of_address(old: Mapping[str, Any], new: Mapping[str, Any], *, had_data: bool) -> Iterator[str]:
    """Yield the rules of what changed at one address."""
    if old.get("category") != new.get("category"):
        yield "egress-category"
    if _has_data(new) and not _has_data(old):
        yield "egress-data-more" if had_data else "egress-data-first"
    elif _has_data(old) and not _has_data(new):
        yield "egress-data-off"
    if any(name not in ("address", "remote", "category", "inScopeEUD") for name, _, _ in pairs(old, new)):
        yield "permission-options"


def _configurable(old: Any, new: Any) -> Iterator[Difference]:
    was, is_now = (value_at(one, "permissions", "external", "configurable", "enabled") is True for one in (old, new))
    if was != is_now:
        rule = "egress-configurable" if is_now else "egress-removed"
        yield Difference(rule, "configurable", "/permissions/external/configurable", not is_now)


def _has_data(fields: Mapping[str, Any]) -> bool:
    """Return whether data of end users goes there. Source: for analytics it is assumed, DAC, permissions."""
    said = fields.get("inScopeEUD")
    return said if isinstance(said, bool) else fields.get("category") == "analytics"


def _kinds(document: Any, section: str) -> dict[str, Entries]:
    found: dict[str, Entries] = {}
    for kind, value in mapping_at(document, "permissions", section).items():
        pointer = child(f"/permissions/{section}", kind)
        if kind == "fetch":
            for side, entries in _fields(value).items():
                found[f"fetch.{side}"] = _entries(entries, child(pointer, side))
        elif kind != "configurable":
            found[kind] = _entries(value, pointer)
    return found


def _entries(value: Any, pointer: str) -> Entries:
    """Read a list of texts or of objects with an ``address``, a ``remote`` or a single name."""
    found: Entries = {}
    for place, item in enumerate(value if isinstance(value, list) else [] if value is None else [value]):
        found.setdefault(_name(item), (child(pointer, place), _described(item)))
    return found


def _name(item: Any) -> str:
    fields = _fields(item)
    if "address" in fields:
        return str(fields["address"])
    if "remote" in fields:
        return f"remote '{fields['remote']}'"
    return next(iter(fields)) if len(fields) == 1 else str(item)


def _described(item: Any) -> Mapping[str, Any]:
    fields = _fields(item)
    if len(fields) == 1 and not fields.keys() & {"address", "remote"}:
        return _fields(next(iter(fields.values())))
    return fields


def _fields(value: Any) -> dict[str, Any]:
    return {str(name): item for name, item in value.items()} if isinstance(value, Mapping) else {}
