"""Reading a served descriptor as the product does: which modules there are, and where their pages lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Descriptor = Mapping[str, Any]


def modules(descriptor: Descriptor) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each module with its type; single modules and lists alike."""
    for kind, box in descriptor.get("modules", {}).items():
        for module in box if isinstance(box, list) else [box]:
            yield kind, module


def module_of(descriptor: Descriptor, key: str) -> tuple[str, Mapping[str, Any]]:
    """The type and the body of the module with this key.

    Raises:
        AssertionError: The descriptor has no such module; the sentence lists the keys it has.
    """
    keyed = {module["key"]: (kind, module) for kind, module in modules(descriptor) if "key" in module}
    if key not in keyed:
        listed = ", ".join(f"'{name}'" for name in sorted(keyed)) or "none"
        raise AssertionError(f"the descriptor has no module '{key}'; its keys are {listed}")
    return keyed[key]


def webhooks_of(descriptor: Descriptor, event: str) -> list[Mapping[str, Any]]:
    """The webhooks that want to be told of the event, in the descriptor's order.

    Raises:
        AssertionError: There is none; the sentence lists the events that are wanted.
    """
    declared = [module for kind, module in modules(descriptor) if kind == "webhooks"]
    found = [module for module in declared if module.get("event") == event]
    if not found:
        listed = ", ".join(f"'{name}'" for name in sorted({str(module.get("event")) for module in declared})) or "none"
        raise AssertionError(f"the descriptor has no webhook for '{event}'; its events are {listed}")
    return found


def url_of(module: Mapping[str, Any], part: str | None = None) -> str:
    """The URL of a module's page, relative to the add-on's base URL, variables unfilled.

    Args:
        module: What stands in the descriptor.
        part: The dotted path of another page of the module's, such as ``"editor"`` or ``"renderModes.pdf"``.

    Raises:
        AssertionError: The module has no URL there.
    """
    places = [part] if part else ["", "target"]
    for place in places:
        url = _at(module, f"{place}.url".removeprefix("."))
        if isinstance(url, str):
            return url
    raise AssertionError(f"the module '{module.get('key')}' has no URL at '{part or 'url'}'; declare one there")


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
