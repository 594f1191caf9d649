"""Differences of modules, of providers, and of the parts of a manifest that have no rules of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.differences.difference import Difference, only, pairs
from addonkit.forge.differences.remotes import keyed
from addonkit.forge.findings import child, mapping_at, value_at

_SECTIONS = ("connectModules", "modules")
_FILES = ("environment", "resources", "translations")
_SERVICES = ("overrides", "services")
_KNOWN = ("app", "permissions", "providers", "remotes", *_SECTIONS)
# Fields whose texts people read; a text below them changes nothing else.
_TEXTS = frozenset({
    "description", "documentation", "editTitle", "errorMessage", "insertTitle", "label", "name", "title", "tooltip",
})  # fmt: skip
Places = dict[tuple[str, str], tuple[str, Any]]
"""Modules by type and key, each with its pointer."""


def module_differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield the differences of ``connectModules`` and ``modules``."""
    for section in _SECTIONS:
        before, after = _modules(old, section), _modules(new, section)
        had_dynamic = any(_is_dynamic(kind, item) for (kind, _), (_, item) in before.items())
        for named in sorted(before.keys() - after.keys()):
            yield Difference(_rule(named, "removed"), _called(named), before[named][0], is_removed=True)
        for named, (pointer, item) in after.items():
            if named not in before:
                rule = _rule(named, "added")
                if _is_dynamic(named[0], item):
                    rule = "webtrigger-further" if had_dynamic else "webtrigger-dynamic"
                yield Difference(rule, _called(named), pointer)
            elif before[named][1] != item:
                yield from _changes(named, before[named][1], item, pointer)


def provider_differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield the differences of ``providers``."""
    before, after = keyed(old, "providers", "auth"), keyed(new, "providers", "auth")
    for key in only(after, *before):
        yield Difference("provider-added", f"'{key}'", after[key][0])
    for key in only(before, *after):
        yield Difference("provider-removed", f"'{key}'", before[key][0], is_removed=True)
    for key in sorted(before.keys() & after.keys()):
        (_, former), (pointer, present) = before[key], after[key]
        if former.get("clientId") != present.get("clientId"):
            yield Difference("provider-client", f"'{key}'", child(pointer, "clientId"))
        if names := [name for name, _, _ in pairs(former, present) if name != "clientId"]:
            yield Difference("provider-options", f"'{key}' {', '.join(names)}", pointer)
    for name, _, present in pairs(mapping_at(old, "providers"), mapping_at(new, "providers")):
        if name != "auth":
            yield Difference("provider-options", name, child("/providers", name), present is None)


def other_differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield the differences of all other parts."""
    for name, former, present in pairs(mapping_at(old), mapping_at(new)):
        pointer, is_removed = child("", name), present is None
        if name in _FILES:
            yield Difference("files", name, pointer, is_removed)
        elif name in _SERVICES:
            yield Difference("services", name, pointer, is_removed)
        elif name not in _KNOWN or not _is_readable(name, former) or not _is_readable(name, present):
            yield Difference("unknown", name, pointer, is_removed)


def _is_readable(name: str, value: Any) -> bool:
    return value is None or isinstance(value, list if name == "remotes" else Mapping)


def _modules(document: Any, section: str) -> Places:
    found: Places = {}
    for kind, items in mapping_at(document, section).items():
        pointer = child(f"/{section}", kind)
        for place, item in enumerate(items if isinstance(items, list) else [items]):
            key = value_at(item, "key")
            name = key if isinstance(key, str) else f"without a key, {json.dumps(item, default=str, sort_keys=True)}"
            found.setdefault((kind, name), (child(pointer, place) if isinstance(items, list) else pointer, item))
    return found


def _changes(named: tuple[str, str], old: Any, new: Any, pointer: str) -> Iterator[Difference]:
    if _is_dynamic(named[0], new) and not _is_dynamic(named[0], old):
        yield Difference("webtrigger-dynamic", _called(named), pointer)
        return
    paths = sorted(_changed_paths(old, new, ()))
    fields = ", ".join(dict.fromkeys(".".join(path) for path, _ in paths))
    rule = _rule(named, "changed")
    if rule == "module-changed" and all(is_text for _, is_text in paths):
        rule = "text-changed"
    yield Difference(rule, f"{_called(named)}: {fields}", pointer)


def _changed_paths(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the path of each value that differs, and whether it is a text that people read."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name, former, present in pairs(
            {str(name): item for name, item in old.items()}, {str(name): item for name, item in new.items()}
        ):
            yield from _changed_paths(former, present, (*path, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (former, present) in enumerate(zip(old, new, strict=True)):
            yield from _changed_paths(former, present, (*path, str(place)))
    elif old != new or type(old) is not type(new):
        is_text = isinstance(old, str | None) and isinstance(new, str | None) and not _TEXTS.isdisjoint(path)
        yield path, is_text


def _rule(named: tuple[str, str], change: str) -> str:
    return "endpoint-changed" if named[0] == "endpoint" else f"module-{change}"


def _is_dynamic(kind: str, item: Any) -> bool:
    """Return whether a module is a web trigger with dynamic responses.

    Source: they are dynamic unless the manifest says static, DAC, web trigger.
    """
    return kind == "webtrigger" and value_at(item, "response", "type") != "static"


def _called(named: tuple[str, str]) -> str:
    return f"{named[0]} {named[1]:.80}"
