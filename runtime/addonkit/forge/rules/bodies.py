"""The bodies of ``connectModules``, which the validator of Forge does not check.

The rules for one module are those of a descriptor. A lifecycle, a field of a descriptor, is checked as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.context import Module
from addonkit.descriptor.checks import fields_at, module_faults, unread_fields
from addonkit.descriptor.document import LIFECYCLE
from addonkit.descriptor.module_types import DECLARABLE
from addonkit.forge.findings import Finding, child, error, labelled, meant, shown, warning
from addonkit.forge.rules.fields import check_fields

_LIFECYCLE_FIELDS = (*LIFECYCLE, "dare-migration")
"""Fields of a lifecycle, which a descriptor does not have as a module. Source: @forge/manifest 13.7.0."""


def check_body(pointer: str, name: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in the body of one Connect module, except for its key.

    Args:
        pointer: The module's place.
        name: Its type with the product, such as ``jira:webPanels``.
        body: Its fields.
    """
    type_ = name.partition(":")[2]
    label = labelled(f"'{name}'", body)
    known = DECLARABLE.get(type_)
    read = (*known.required, *known.optional) if known else _LIFECYCLE_FIELDS
    wrong = list(check_fields(pointer, label, type_, body, read))
    yield from (finding for _, finding in wrong)
    if known is None:
        yield from _lifecycle(pointer, label, body)
        return
    # Rules for a descriptor's URLs and texts would repeat what is said of these fields.
    fields = {field for field, _ in wrong}
    rest = Module(type_, "", {field: value for field, value in body.items() if field not in fields})
    for fault in module_faults(rest, except_for={"key", *fields}):
        yield error(pointer, f"{label} {fault}")
    for field, near in unread_fields(rest):
        yield warning(
            child(pointer, field),
            f"{label} has the field '{field}', which the host does not read; did you mean '{near}'",
        )
    yield from _missing_urls(pointer, label, known.page_url, rest.body)


def _missing_urls(pointer: str, label: str, page_url: str | None, body: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a page without its URL: the host shows nothing there, whatever the schemas of the types require."""
    if page_url and "." in page_url and page_url.partition(".")[0] in body and not list(fields_at(body, page_url)):
        yield error(pointer, f"{label} lacks '{page_url}', the URL of its page; add it")


def _lifecycle(pointer: str, label: str, body: Mapping[str, Any]) -> Iterator[Finding]:
    known = {*_LIFECYCLE_FIELDS, "key"}
    for field in body:
        if field not in known:
            advice = meant(field, known - set(body), "remove it")
            yield warning(
                child(pointer, field), f"{label} has the field '{field}', which the host does not read; {advice}"
            )
    if not isinstance(body.get("installed"), str):
        yield error(
            pointer, f"{label} lacks 'installed', without which no site can install; add '/lifecycle/installed'"
        )
    for event in LIFECYCLE:
        path = body.get(event)
        if isinstance(path, str) and not (path.startswith("/") and not path.startswith("//")):
            yield error(
                child(pointer, event), f"{label} has the {event} URL {shown(path)}; write a path that begins with '/'"
            )
