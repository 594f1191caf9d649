"""Compares a manifest with the configuration, and with the manifest that the plugins give now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.findings import Finding, child, error, mapping_at, objects_at, shown, value_at
from addonkit.forge.rules.remotes import base_urls, shown_url
from addonkit.settings import Settings

MOST_PLACES = 5
"""Most differing places that a message names."""


def compare_with_settings(document: Any, settings: Settings) -> Iterator[Finding]:
    """Yield where a manifest is that of another add-on, or of this one at another address."""
    addon, forge = settings.addon, settings.forge
    key = value_at(document, "app", "connect", "key")
    if key != addon.key:
        yield error(
            "/app/connect/key",
            f"app.connect.key {_found(key)}, but [addon] key is '{addon.key}', and a deploy to production that "
            "changes the key is refused; use the key under which sites have installed the add-on",
        )
    app_id = value_at(document, "app", "id")
    if forge is not None and app_id != forge.app_id:
        yield error("/app/id", f"app.id {_found(app_id)}, but [forge] app_id is '{forge.app_id}'; correct one of them")
    if (enabled := value_at(document, "app", "licensing", "enabled") is True) != addon.licensing:
        yield error(
            "/app/licensing",
            f"app.licensing says that the app is {'paid' if enabled else 'free'}, but [addon] licensing is "
            f"{str(addon.licensing).lower()}; an administrator must approve a change, so correct one of them",
        )
    remote = value_at(document, "app", "connect", "remote")
    for pointer, found in objects_at(document, "remotes"):
        url = base_urls(found).get("default")
        if found.get("key") == remote and url and url.rstrip("/") not in addon.base_urls:
            yield error(
                f"{pointer}/baseUrl",
                f"the base URL of the remote {shown(remote)} is {shown_url(url)}, but [addon] base_url is "
                f"'{addon.base_url}'; correct one of them",
            )


def _found(value: Any) -> str:
    return "is missing" if value is None else f"is {shown(value)}"


def differences(document: Any, generated: Any) -> tuple[str, ...]:
    """Return the JSON pointers of the outermost values that differ; the order of an object's fields does not matter."""
    return tuple(_differences("", document, generated))


def _differences(pointer: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in (*mapping_at(one), *(name for name in mapping_at(other) if name not in one)):
            if name in one and name in other:
                yield from _differences(child(pointer, name), one[name], other[name])
            else:
                yield child(pointer, name)
    elif isinstance(one, list) and isinstance(other, list):
        for place in range(max(len(one), len(other))):
            if place < len(one) and place < len(other):
                yield from _differences(child(pointer, place), one[place], other[place])
            else:
                yield child(pointer, place)
    elif one != other or type(one) is not type(other):
        yield pointer
