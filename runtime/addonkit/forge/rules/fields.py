"""The fields of a Connect module: their JSON types, required fields of nested objects, and fixed values.

The table is ``data/connect_fields.json``. What it does not list, such as display conditions, is not checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from addonkit.forge.data import read_data
from addonkit.forge.findings import Finding, called, child, either, error, shown

_JSON_TYPES: Mapping[str, tuple[type, str]] = {
    "string": (str, "a text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "array": (list, "a list"),
    "object": (Mapping, "an object"),
}


@dataclass(frozen=True, slots=True)
class FieldTable:
    """What one type of module has at the path of a field: its JSON type, required fields, and values."""

    type_: str

    def json_type(self, path: str) -> str | None:
        """Return the JSON type; None for an unknown field."""
        found: str | None = self._fact("types", path)
        return found

    def required(self, path: str) -> list[str]:
        """Return the fields that the object at a path must have."""
        return self._fact("required", path) or []

    def values(self, path: str) -> list[str]:
        """Return the values that the text at a path can have, in lower case; none if it can have any."""
        return self._fact("values", path) or []

    def _fact(self, kind: str, path: str) -> Any:
        facts = read_data("connect_fields")
        exceptions = facts["exceptions"][kind].get(self.type_, {})
        return exceptions[path] if path in exceptions else facts[kind].get(path)


def check_fields(
    pointer: str, label: str, type_: str, body: Mapping[str, Any], read: Collection[str]
) -> Iterator[tuple[str, Finding]]:
    """Yield what is wrong in the fields of a module, each with the name of the module's own field that holds it.

    Args:
        pointer: The module's place.
        label: The module's name for messages.
        type_: Its type.
        body: Its fields.
        read: Names of the fields that the host reads; it ignores all others.
    """
    table = FieldTable(type_)
    for field, value in body.items():
        if field in read:
            for finding in _check(table, label, child(pointer, field), field, value, pointer):
                yield field, finding


def _check(table: FieldTable, label: str, at: str, path: str, value: Any, module: str) -> Iterator[Finding]:
    json_type = table.json_type(path)
    if json_type is None:
        return
    name = called(at.removeprefix(module))
    expected, words = _JSON_TYPES[json_type]
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        yield error(at, f"{label} has a '{name}' that is {shown(value)}, expected {words}; correct it")
    elif isinstance(value, Mapping):
        for field in table.required(path):
            if field not in value:
                yield error(at, f"{label} has a '{name}' without '{field}', which the host requires; add it")
        for field, item in value.items():
            yield from _check(table, label, child(at, field), f"{path}.{field}", item, module)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _check(table, label, child(at, place), f"{path}.*", item, module)
    elif isinstance(value, str):
        yield from _check_value(at, f"{label} has a '{name}'", value, table.values(path))


def _check_value(at: str, begin: str, value: str, known: list[str]) -> Iterator[Finding]:
    # The host takes each value in lower case and in upper case.
    if known and value not in known and value not in [one.upper() for one in known]:
        yield error(at, f"{begin} that is {shown(value)}, expected {either(known)}; correct it")
