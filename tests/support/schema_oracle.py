"""Validates a descriptor by facts about the host's schemas; the schemas themselves are not part of the project.

The fields of module types are in ``vectors/connect-modules.json``; JSON types, required fields and values of what is in
them in the table of ``FieldTable``; facts about the descriptor's own fields are here. No fact comes from
``addonkit.descriptor``, which this checks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from addonkit.forge.rules.fields import FieldTable

VECTORS = Path(__file__).parent.parent / "vectors"
_PRODUCTS = ("jira", "confluence")
_TYPES = {"string": str, "boolean": bool, "integer": int, "array": list, "object": Mapping, "number": (int, float)}
_MODULE_KEY = re.compile(r"[a-zA-Z0-9_-]+")
_SCOPES = frozenset(
    [
        *("none", "read", "write", "delete", "admin", "project_admin", "space_admin"),
        *("act_as_user", "access_email_addresses"),
    ]
)
# Source: the schema of Jira's descriptor, 2020. ``apiMigrations`` is newer there and has further fields.
_DESCRIPTOR = {
    "key": ("string", 80, re.compile(r"[a-zA-Z0-9\-._]+")),
    "baseUrl": ("string", 200, re.compile(r"https?://.+|")),
    "name": ("string", 80, None),
    "description": ("string", 1400, None),
    "apiVersion": ("integer", None, None),
    "enableLicensing": ("boolean", None, None),
    "lifecycle": ("object", None, None),
    "links": ("object", None, None),
    "vendor": ("object", None, None),
    "authentication": ("object", None, None),
    "scopes": ("array", None, None),
    "translations": ("object", None, None),
}
_REQUIRED = ("baseUrl", "key", "authentication")


@dataclass(frozen=True, slots=True)
class ModuleFields:
    """The fields of one module type.

    Attributes:
        required: Those that the host requires.
        optional: The other ones that it reads.
    """

    required: frozenset[str]
    optional: frozenset[str]


@cache
def module_fields(product: str) -> Mapping[str, ModuleFields]:
    """Return the module types of a product by name, with their fields."""
    table = json.loads((VECTORS / "connect-modules.json").read_text(encoding="utf-8"))[product]
    return {name: ModuleFields(frozenset(one["required"]), frozenset(one["optional"])) for name, one in table.items()}


def assert_valid(document: Mapping[str, Any]) -> None:
    """Fail unless the descriptor is valid for the host."""
    faults = [*_descriptor_faults(document)]
    for kind, box in document.get("modules", {}).items():
        fields = next((found[kind] for product in _PRODUCTS if kind in (found := module_fields(product))), None)
        if fields is None:
            faults.append(f"modules.{kind}: unknown module type")
            continue
        listed = box if isinstance(box, list) else [box]
        if not listed:
            faults.append(f"modules.{kind}: an empty list")
        for place, one in enumerate(listed):
            keyed = {"key": f"webhook-{place + 1}", **one} if kind == "webhooks" else one
            faults += [f"modules.{kind}.{place}.{fault}" for fault in _module_faults(kind, fields, keyed)]
    assert not faults, "\n".join(faults)


def _descriptor_faults(document: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}: missing" for name in _REQUIRED if name not in document)
    for name, value in document.items():
        type_, longest, pattern = _DESCRIPTOR.get(name, (None, None, None))
        if type_ is not None and not _is(type_, value):
            yield f"{name}: {value!r} is no {type_}"
            continue
        if longest is not None and len(value) > longest:
            yield f"{name}: longer than {longest}"
        if pattern is not None and not pattern.fullmatch(value):
            yield f"{name}: {value!r} has another form"
    scopes = document.get("scopes", [])
    yield from (f"scopes: {scope!r} is unknown" for scope in scopes if not _is_one_of(scope, _SCOPES))
    authentication = document.get("authentication")
    if isinstance(authentication, Mapping) and not _is_one_of(authentication.get("type", "jwt"), ("jwt", "none")):
        yield f"authentication.type: {authentication['type']!r} is unknown"
    lifecycle = document.get("lifecycle")
    for event, path in lifecycle.items() if isinstance(lifecycle, Mapping) else ():
        if not isinstance(path, str):
            yield f"lifecycle.{event}: {path!r} is no string"


def _module_faults(kind: str, fields: ModuleFields, module: Any) -> Iterator[str]:
    if not isinstance(module, Mapping):
        yield "no object"
        return
    yield from (f"{name}: missing" for name in sorted(fields.required - module.keys()))
    yield from (f"{name}: unknown" for name in sorted(module.keys() - fields.required - fields.optional))
    if "key" in module and not (_is("string", module["key"]) and _MODULE_KEY.fullmatch(module["key"])):
        yield f"key: {module['key']!r} has another form"
    table = FieldTable(kind)
    for name, value in module.items():
        if name == "conditions":
            yield from _condition_faults("conditions", value)
        else:
            yield from _value_faults(table, name, name, value)


def _value_faults(table: FieldTable, path: str, place: str, value: Any) -> Iterator[str]:
    """Yield what is wrong with a value and with what is in it; ``path`` has ``*`` for each item of a list."""
    type_ = table.json_type(path)
    if type_ is None:
        return
    if not _is(type_, value):
        yield f"{place}: {value!r} is no {type_}"
        return
    if isinstance(value, str) and (values := table.values(path)) and not _is_one_of(value, values):
        yield f"{place}: {value!r} is none of {values}"
    if isinstance(value, Mapping):
        yield from (f"{place}.{name}: missing" for name in table.required(path) if name not in value)
        for name, below in value.items():
            yield from _value_faults(table, f"{path}.{name}", f"{place}.{name}", below)
    if isinstance(value, list):
        for number, below in enumerate(value):
            yield from _value_faults(table, f"{path}.*", f"{place}.{number}", below)


def _condition_faults(place: str, conditions: Any) -> Iterator[str]:
    """Yield what is wrong with conditions: each is a single one, or several joined by 'and' or 'or'."""
    if not isinstance(conditions, list):
        yield f"{place}: no list"
        return
    for number, one in enumerate(conditions):
        below = f"{place}.{number}"
        if not isinstance(one, Mapping):
            yield f"{below}: no object"
        elif "condition" in one:
            if not _is("string", one["condition"]) or len(one["condition"]) > 100:
                yield f"{below}.condition: {one['condition']!r}"
            yield from (f"{below}.invert: no boolean" for _ in "1" if not _is("boolean", one.get("invert", False)))
            yield from (f"{below}.params: no object" for _ in "1" if not _is("object", one.get("params", {})))
        else:
            if not _is_one_of(one.get("type", "and"), ("and", "or")):
                yield f"{below}.type: {one['type']!r} is neither 'and' nor 'or'"
            yield from _condition_faults(f"{below}.conditions", one.get("conditions", []))


def _is(type_: str, value: Any) -> bool:
    return isinstance(value, _TYPES[type_]) and (type_ == "boolean" or not isinstance(value, bool))  # type: ignore[arg-type]


def _is_one_of(value: Any, values: Collection[str]) -> bool:
    """Whether a value is one of these, in lower or upper case."""
    return isinstance(value, str) and (value in values or (value.isupper() and value.lower() in values))
