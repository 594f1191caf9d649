"""Merges the plugins' modules and scopes into the descriptor, and records which plugin each part comes from.

The rules for a single module are in ``checks``. This file checks conflicts between modules and the add-on's own fields.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from addonkit.context import Module, Product
from addonkit.descriptor import scopes as scope_rules
from addonkit.descriptor.checks import check_rules, label
from addonkit.descriptor.module_types import FIELDS, module_type
from addonkit.descriptor.urls import path_and_query
from addonkit.errors import DescriptorConflict, DescriptorInvalid, SettingsInvalid

log = logging.getLogger(__name__)
LIFECYCLE = ("installed", "uninstalled", "enabled", "disabled")
"""Lifecycle events that the host sends, each to ``/lifecycle/<event>``."""

# Things that only one module of the add-on can own.
SINGLE, FIELD, KEY = "the single module", "the descriptor's field", "the module key"
HOOK_URL, HOOK = "the webhook URL", "the webhook"
_REMEDY = {
    SINGLE: "enable only one of these plugins",
    FIELD: "enable only one of these plugins",
    KEY: "rename one of them",
    HOOK_URL: "move one of them",
    HOOK: "move one of them",
}
_OWN_REMEDY = {SINGLE: "keep one", FIELD: "keep one", KEY: "rename one of them", HOOK_URL: "keep one", HOOK: "keep one"}
# Source: the host's descriptor schema of 2020.
_ADDON_KEY = re.compile(r"[a-zA-Z0-9._-]+")
_MAX_LENGTH = {"key": 80, "name": 80, "base_url": 200, "description": 1400}


class AddonFacts(NamedTuple):
    """The add-on's own fields, as the deployment configures them.

    Attributes:
        key: At most 80 letters, digits, ``-``, ``.`` and ``_``.
        name: Shown to administrators, at most 80 characters.
        base_url: The URL to which URLs of modules are relative, at most 200 characters, without a trailing slash.
        description: At most 1400 characters; empty for none.
        vendor: ``name`` and ``url`` of the vendor, or None.
        licensing: Whether the host sells licences for the add-on.
    """

    key: str
    name: str
    base_url: str
    description: str = ""
    vendor: Mapping[str, Any] | None = None
    licensing: bool = False


class Descriptor(NamedTuple):
    """The merged descriptor; the same plugins and facts give the same bytes.

    Attributes:
        document: As JSON values.
        body: As it is served, UTF-8.
        etag: The body's entity tag, quoted.
        sources: The plugin that declares a module or scope, by JSON pointer. Names of several plugins with one scope
            are joined with ``, ``.
    """

    document: dict[str, Any]
    body: bytes
    etag: str
    sources: Mapping[str, str]


def build(facts: AddonFacts, modules: Sequence[Module], scopes: Mapping[str, frozenset[str]]) -> Descriptor:
    """Merge modules and scopes into one descriptor.

    Args:
        facts: The add-on's own fields.
        modules: In the order in which each plugin declared its own; the order of plugins does not matter.
        scopes: The scopes of each plugin by name, in any case.

    Raises:
        SettingsInvalid: The host would refuse the add-on's own fields.
        DescriptorInvalid: A module breaks a rule, or its plugin lacks the scope that it needs.
        DescriptorConflict: Two plugins own one module key, one webhook URL or one single-valued module.
    """
    _check_facts(facts)
    asked = {plugin: scope_rules.check_names(plugin, names) for plugin, names in sorted(scopes.items())}
    ordered = sorted(modules, key=lambda module: module.plugin)
    for module in ordered:
        check_rules(module)
        scope_rules.check_sufficient(module, asked.get(module.plugin, frozenset()))
    _check_shared(ordered)
    merged = scope_rules.merge(frozenset().union(*asked.values()))
    shown = _shown(ordered)
    boxes, sources = _boxes([module for module in shown if module.type not in FIELDS])
    fields, owners = _fields([module for module in shown if module.type in FIELDS])
    sources |= owners
    for place, scope in enumerate(merged):
        if askers := [plugin for plugin, names in asked.items() if scope in names]:
            sources[f"/scopes/{place}"] = ", ".join(askers)
    document = _document(facts, merged, boxes) | fields
    body = orjson.dumps(document)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Descriptor(document, body, etag, MappingProxyType(sources))


def _document(facts: AddonFacts, scopes: Iterable[str], boxes: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {"key": facts.key, "name": facts.name}
    if facts.description:
        document["description"] = facts.description
    if facts.vendor:
        document["vendor"] = dict(facts.vendor)
    return document | {
        "baseUrl": facts.base_url,
        "links": {"self": f"{facts.base_url}/atlassian-connect.json"},
        "authentication": {"type": "jwt"},
        "lifecycle": {event: f"/lifecycle/{event}" for event in LIFECYCLE},
        "apiVersion": 1,
        "apiMigrations": {"signed-install": True, "context-qsh": True, "gdpr": True},
        "enableLicensing": facts.licensing,
        "scopes": list(scopes),
        "modules": boxes,
    }


def _shown(modules: Iterable[Module]) -> list[Module]:
    """Return the modules without a second one of a single type: a manifest has one for each product."""
    shown: list[Module] = []
    singles: dict[str, Module] = {}
    for module in modules:
        if module_type(module.type).box != "list" and (first := singles.setdefault(module.type, module)) is not module:
            log.warning(
                f"{label(module)} is not in the descriptor, which has one for both products: that of plugin "
                f"'{first.plugin}' for {first.product}; a Forge manifest has both"
            )
        else:
            shown.append(module)
    return shown


def _boxes(modules: Iterable[Module]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the ``modules`` object, types sorted, and the plugin of each entry."""
    boxes: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for module in sorted(modules, key=lambda module: module.type):
        body = plain_value(module, module.body)
        if module_type(module.type).box == "single":
            boxes[module.type] = body
            sources[f"/modules/{module.type}"] = module.plugin
            continue
        box = boxes.setdefault(module.type, [])
        sources[f"/modules/{module.type}/{len(box)}"] = module.plugin
        box.append(body)
    return boxes, sources


def _fields(modules: Iterable[Module]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the descriptor's top-level fields that plugins declare, sorted, and the plugin of each."""
    owners = {module.type: module for module in modules}
    return (
        {name: plain_value(module, module.body) for name, module in sorted(owners.items())},
        {f"/{name}": module.plugin for name, module in sorted(owners.items())},
    )


def plain_value(module: Module, value: Any) -> Any:
    """Copy a value into dictionaries and lists, so that nothing can change the descriptor afterwards."""
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain_value(module, item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(module, item) for item in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    called = module.key or module.body.get("event")
    raise DescriptorInvalid(
        f"plugin '{module.plugin}': '{module.type}' '{called}' holds {value!r}, which is not a JSON value; use "
        "strings, numbers, booleans, lists and objects with string keys",
        plugin=module.plugin,
    )


def _check_facts(facts: AddonFacts) -> None:
    for field, longest in _MAX_LENGTH.items():
        text = getattr(facts, field)
        if len(text) > longest:
            raise SettingsInvalid(f"[addon] {field} has {len(text)} characters; shorten it to {longest} at most")
    if not _ADDON_KEY.fullmatch(facts.key):
        raise SettingsInvalid(
            f"[addon] key is '{facts.key}', but only letters, digits, '-', '.' and '_' are allowed; rename it"
        )
    if not facts.name.strip():
        raise SettingsInvalid("[addon] name is empty; enter the name that administrators see")
    if not re.fullmatch(r"https?://[^/?#\s][^?#\s]*", facts.base_url) or facts.base_url.endswith("/"):
        raise SettingsInvalid(
            f"[addon] base_url is '{facts.base_url}'; write it as 'https://host/path', without a trailing '/'"
        )


def _check_shared(modules: Iterable[Module]) -> None:
    """Refuse two modules that own the same key, webhook or single module."""
    owners: dict[tuple[str, str, Product | None], Module] = {}
    for module in modules:
        for kind, name, product in _owned(module):
            first = owners.setdefault((kind, name, product), module)
            # A plugin may receive several events at one URL of its own.
            shared = kind == HOOK_URL and first.plugin == module.plugin
            if first is not module and not shared:
                raise _conflict(kind, name, first, module)


def _owned(module: Module) -> Iterator[tuple[str, str, Product | None]]:
    """Yield what a module owns exclusively, as kind and name, and the product in which it does, if only there."""
    known = module_type(module.type)
    if known.box != "list":
        products: Iterable[Product] = (module.product,) if module.product else sorted(known.products)
        kind = FIELD if module.type in FIELDS else SINGLE
        yield from ((kind, module.type, product) for product in products)
    if module.key is not None:
        yield KEY, module.key, None
    if module.type == "webhooks":
        path, query = path_and_query(str(module.body["url"]))
        url = f"{path}?{query}" if query else path
        yield HOOK_URL, url, None
        yield HOOK, f"{module.body['event']} {url}", None


def _conflict(kind: str, name: str, first: Module, second: Module) -> DescriptorConflict | DescriptorInvalid:
    if first.plugin == second.plugin:
        message = f"plugin '{second.plugin}' declares {kind} '{name}' twice; {_OWN_REMEDY[kind]}"
        return DescriptorInvalid(message, plugin=second.plugin)
    message = f"plugins '{first.plugin}' and '{second.plugin}' both declare {kind} '{name}'; {_REMEDY[kind]}"
    return DescriptorConflict(message, plugin=second.plugin, other=first.plugin)
