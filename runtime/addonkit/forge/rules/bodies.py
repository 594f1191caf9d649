"""The bodies of ``connectModules``, which the validator of Forge does not check.

The rules for one module are those of a descriptor; a descriptor's own fields that are modules here are checked as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.context import Module
from addonkit.descriptor.checks import fields_at, module_faults, unread_fields
from addonkit.descriptor.document import LIFECYCLE
from addonkit.descriptor.module_types import MODULE_TYPES
from addonkit.forge.data import read_data
from addonkit.forge.findings import Finding, child, error, meant, shown, warning

_JSON_TYPES: Mapping[str, tuple[type, str]] = {
    "string": (str, "a text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
    "array": (list, "a list"),
    "object": (Mapping, "an object"),
}
_ELSEWHERE = {
    "lifecycle": (*LIFECYCLE, "dare-migration"),
    "translations": ("paths",),
    "cloudAppMigration": ("migrationWebhookPath",),
}
"""Types that are top-level fields of a descriptor, with their fields. Source: @forge/manifest 13.7.0."""


def check_body(pointer: str, name: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in the body of one Connect module, except for its key.

    Args:
        pointer: The module's place.
        name: Its type with the product, such as ``jira:webPanels``.
        body: Its fields.
    """
    type_ = name.partition(":")[2]
    label = f"'{name}' {shown(body.get('key'))}"
    wrong_types = dict(_wrong_types(type_, body))
    for field, fault in wrong_types.items():
        yield error(child(pointer, field), f"{label} has a '{field}' that {fault}")
    if type_ in _ELSEWHERE:
        yield from _elsewhere(pointer, label, type_, body)
        return
    # A field of the wrong type has one finding; the rules of its parts would repeat it.
    rest = Module(type_, "", {field: value for field, value in body.items() if field not in wrong_types})
    absent = {f"lacks '{field}', which the host requires; add it" for field in wrong_types}
    for fault in module_faults(rest, with_key=False):
        if fault not in absent:
            yield error(pointer, f"{label} {fault}")
    for field, near in unread_fields(rest):
        yield warning(
            child(pointer, field),
            f"{label} has the field '{field}', which the host does not read; did you mean '{near}'",
        )
    yield from _missing_urls(pointer, label, type_, rest.body)


def _wrong_types(type_: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    types = read_data("field_types")
    known = {**types["fields"], **types["exceptions"].get(type_, {})}
    fields = MODULE_TYPES[type_].required + MODULE_TYPES[type_].optional if type_ in MODULE_TYPES else _ELSEWHERE[type_]
    for field in fields:
        if field not in body or field not in known:
            continue
        expected, words = _JSON_TYPES[known[field]]
        value = body[field]
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            yield field, f"is {shown(value)}, expected {words}; correct it"


def _missing_urls(pointer: str, label: str, type_: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a page without its URL: the host shows nothing there, whatever the schemas of the types require."""
    page_url = MODULE_TYPES[type_].page_url
    if page_url and "." in page_url and page_url.partition(".")[0] in body and not list(fields_at(body, page_url)):
        yield error(pointer, f"{label} lacks '{page_url}', the URL of its page; add it")


def _elsewhere(pointer: str, label: str, type_: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    known = {*_ELSEWHERE[type_], "key"}
    for field in body:
        if field not in known:
            advice = meant(field, known - set(body), "remove it")
            yield warning(
                child(pointer, field), f"{label} has the field '{field}', which the host does not read; {advice}"
            )
    if type_ == "lifecycle":
        if not isinstance(body.get("installed"), str):
            yield error(
                pointer, f"{label} lacks 'installed', without which no site can install; add '/lifecycle/installed'"
            )
        for event in LIFECYCLE:
            path = body.get(event)
            if isinstance(path, str) and not (path.startswith("/") and not path.startswith("//")):
                yield error(
                    child(pointer, event),
                    f"{label} has the {event} URL {shown(path)}; write a path that begins with '/'",
                )
