"""``${VARIABLE}`` in a manifest: replaces those with a value, and reports those without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.forge.findings import Finding, child, error, shown, value_at
from addonkit.forge.rules.forms import ANYTHING, Fields, Text, check_form

# Source: EnvironmentVariableInterpolator of @forge/manifest 13.7.0. Variables of the product, such as ${issue.id} in
# the URL of a webhook, have a dot and do not match.
_VARIABLE = re.compile(r"\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}")
_VARIABLE_FORM = Fields({"key": ANYTHING, "default": Text(longest=10_000)}, ("key", "default"))
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_variables(document: Any, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield variables that are used but not declared, or that have no value."""
    declared = declared_variables(document)
    for place, entry in enumerate(_entries(document)):
        at, name = f"/environment/variables/{place}", entry
        if isinstance(entry, Mapping):
            yield from check_form(at, entry, _VARIABLE_FORM)
            name = entry.get("key")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield error(at, f"{shown(name)} is not the name of a variable; use letters, digits and '_'")
    for pointer, text in _texts("", document):
        for name in dict.fromkeys(_VARIABLE.findall(text)):
            if name in declared:
                if environment.get(name, declared[name]) is None:
                    yield error(
                        pointer,
                        f"the variable '{name}' has no value; set it where 'forge' runs, or give it a default",
                    )
            elif not pointer.startswith("/connectModules/"):
                yield error(
                    pointer,
                    f"the variable '{name}' is not declared, so Forge does not replace it; add it to "
                    "environment.variables",
                )


def replace_variables(document: Any, environment: Mapping[str, str]) -> Any:
    """Return the document with the values of its variables, as ``forge deploy`` reads it."""
    declared = declared_variables(document)
    values = {name: environment.get(name, default) for name, default in declared.items()}
    known = {name: value for name, value in values.items() if value is not None}
    return _replaced(document, known) if known else document


def _replaced(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {name: _replaced(item, values) for name, item in value.items()}
    return [_replaced(item, values) for item in value] if isinstance(value, list) else value


def _entries(document: Any) -> list[Any]:
    found = value_at(document, "environment", "variables")
    return found if isinstance(found, list) else []


def declared_variables(document: Any) -> dict[str, str | None]:
    """Return the variables that a manifest declares, each with its default or None."""
    names: dict[str, str | None] = {}
    for entry in _entries(document):
        if isinstance(entry, Mapping) and isinstance(entry.get("key"), str):
            default = entry.get("default")
            names.setdefault(entry["key"], default if isinstance(default, str) else None)
        elif isinstance(entry, str):
            names.setdefault(entry, None)
    return names


def _texts(pointer: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(child(pointer, str(name)), item)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _texts(child(pointer, place), item)
