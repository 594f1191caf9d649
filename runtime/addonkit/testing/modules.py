"""Finds modules and their URLs in a served descriptor, as the product does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Descriptor = Mapping[str, Any]


def declares(descriptor: Descriptor, event: str) -> bool:
    """Return whether the descriptor has a URL for a lifecycle event; without one, the product does not send it."""
    return bool(descriptor.get("lifecycle", {}).get(event))


def modules_of(descriptor: Descriptor) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the type and body of each module, from single modules and lists alike."""
    for module_type, declared in descriptor.get("modules", {}).items():
        for module in declared if isinstance(declared, list) else [declared]:
            yield module_type, module


def module_of(descriptor: Descriptor, key: str) -> tuple[str, Mapping[str, Any]]:
    """Return the type and body of the module with this key.

    Raises:
        AssertionError: The descriptor has no such module; the message lists the existing keys.
    """
    by_key = {module["key"]: (module_type, module) for module_type, module in modules_of(descriptor) if "key" in module}
    if key not in by_key:
        listed = ", ".join(f"'{name}'" for name in sorted(by_key)) or "none"
        raise AssertionError(f"the descriptor has no module '{key}'; its keys are {listed}")
    return by_key[key]


def webhooks_of(descriptor: Descriptor, event: str) -> list[Mapping[str, Any]]:
    """Return the webhooks for an event, in the descriptor's order.

    Raises:
        AssertionError: There is none; the message lists the events that have webhooks.
    """
    webhooks = [module for module_type, module in modules_of(descriptor) if module_type == "webhooks"]
    found = [module for module in webhooks if module.get("event") == event]
    if not found:
        listed = ", ".join(f"'{name}'" for name in sorted({str(module.get("event")) for module in webhooks})) or "none"
        raise AssertionError(f"the descriptor has no webhook for '{event}'; its events are {listed}")
    return found


def url_of(module: Mapping[str, Any], part: str | None = None) -> str:
    """Return the URL of a module's page, relative to the add-on's base URL, with host variables not filled in.

    As in the products, a relative URL without a leading ``/`` gets one.

    Args:
        module: The module as declared in the descriptor.
        part: Dotted path of another page of the module, such as ``"editor"`` or ``"renderModes.pdf"``.

    Raises:
        AssertionError: The module has no URL there.
    """
    for path in [part] if part else ["", "target"]:
        url = _value_at(module, f"{path}.url".removeprefix("."))
        if isinstance(url, str):
            return url if url.startswith("/") or "://" in url else f"/{url}"
    raise AssertionError(f"the module '{module.get('key')}' has no URL at '{part or 'url'}'; declare one there")


def _value_at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
