"""Checks one module against the host's rules at start; an error names the plugin, the module, the fault and the remedy.

Conflicts between modules are in ``document``, the scopes that modules need in ``scopes``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from addonkit.context import Module
from addonkit.descriptor.module_types import ELSEWHERE, MODULE_TYPES, ModuleType, module_type
from addonkit.descriptor.urls import fault_of_action, fault_of_link, fault_of_own, is_absolute
from addonkit.errors import DescriptorInvalid
from addonkit.text import near_matches

MAX_KEY = 100
"""Longest module key, in characters."""
MAX_TEXT = 1500
"""Longest text shown to users (``name``, ``tooltip``, ``description``), in characters."""
MAX_I18N_KEY = 300
"""Longest key of a translation, in characters."""

_KEY = re.compile(r"[a-zA-Z0-9-]+")
_TEXTS = ("name", "tooltip", "description")
# Types whose name is not a text for users but part of a query language.
_PLAIN_NAMES = frozenset({"jiraJqlFunctions"})
_LINKS = (
    "iconUrl",
    "icon.url",
    "thumbnailUrl",
    "logoUrl",
    "homeUrl",
    "documentationUrl",
    "documentation.url",
    "imagePlaceholder.url",
    "uiSupport.icons.*.url",
    "keyConfigurations.*.extractions.*.uiSupport.dataUri",
)

log = logging.getLogger(__name__)


def check_module(module: Module, *, strict: bool = False) -> None:
    """Refuse a module that the host would refuse, and log a warning for an unknown type and each misspelt field.

    Args:
        module: The module.
        strict: Whether a module type that is not in the table is refused.

    Raises:
        DescriptorInvalid: The first rule that the module breaks.
    """
    if strict and module.type not in MODULE_TYPES:
        raise DescriptorInvalid(f"{_label(module)} {_unknown(module.type)}", plugin=module.plugin)
    check_rules(module)
    for hint in hints(module):
        log.warning(hint)


def check_rules(module: Module) -> None:
    """Refuse a module that the host would refuse. Of an unknown type, only its key and its URLs are checked.

    Raises:
        DescriptorInvalid: The first rule that the module breaks.
    """
    for fault in module_faults(module):
        raise DescriptorInvalid(f"{_label(module)} {fault}", plugin=module.plugin)


def hints(module: Module) -> tuple[str, ...]:
    """Return a warning for an unknown type, and for each field that resembles one that the host reads."""
    known = MODULE_TYPES.get(module.type)
    if known is None:
        return (f"{_label(module)} {_unknown(module.type)}; it is passed on unchecked",)
    return tuple(
        f"{_label(module)} has the field '{name}', which the host does not read; did you mean '{near}'"
        for name, near in unread_fields(module)
    )


def unread_fields(module: Module) -> Iterator[tuple[str, str]]:
    """Yield each field that the host does not read but that resembles one that it reads, with that one's name."""
    known = module_type(module.type)
    fields = {*known.required, *known.optional, "key"}
    for name in module.body:
        if name not in fields and (close := near_matches(name, fields - set(module.body))):
            yield name, close[0]


def fields_at(body: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each field at a dotted path, with its full path; absent fields are skipped.

    Args:
        body: A module's body, or a part of it.
        path: Such as ``target.url`` or ``actions.*.templateUrl``; ``*`` matches each key or each index of a list.
    """
    name, _, rest = path.partition(".")
    found: list[tuple[str, Any]] = []
    if isinstance(body, Mapping):
        found = list(body.items()) if name == "*" else [(name, body[name])] if name in body else []
    elif isinstance(body, list | tuple) and name == "*":
        found = [(str(place), value) for place, value in enumerate(body)]
    for step, value in found:
        if not rest:
            yield step, value
            continue
        for below, deeper in fields_at(value, rest):
            yield f"{step}.{below}", deeper


def _label(module: Module) -> str:
    if not isinstance(module.body, Mapping):
        return f"plugin '{module.plugin}': '{module.type}'"
    name = module.body.get("key") or module.body.get("event")
    return f"plugin '{module.plugin}': '{module.type}'" + (f" '{name}'" if name else "")


def module_faults(module: Module, *, with_key: bool = True) -> Iterator[str]:
    """Yield each fault as words that follow the module's label; later checks rely on earlier ones.

    Args:
        module: The module.
        with_key: Whether its key is checked, too; a Forge manifest has rules of its own for keys.
    """
    if module.type in ELSEWHERE:
        yield _unknown(module.type)
        return
    known = module_type(module.type)
    if not isinstance(module.body, Mapping):
        yield _not_an_object(known, module.body)
        return
    yield from _missing(known, module.body, with_key=with_key)
    if with_key:
        yield from _bad_key(module.body)
    if module.type in MODULE_TYPES:
        yield from _bad_texts(known, module.body)
        yield from _bad_urls(known, module.body)
    else:
        yield from _bad_urls_of_unknown(known, module.body)


def _unknown(name: str) -> str:
    if name in ELSEWHERE:
        return f"is a module in manifests only; a descriptor has {ELSEWHERE[name]}"
    matches = near_matches(name, MODULE_TYPES)
    if not matches:
        return "is not a module type of the host; look its name up in the host's documentation"
    meant = " or ".join(f"'{match}'" for match in matches)
    return f"is not a module type of the host; did you mean {meant}"


def _not_an_object(known: ModuleType, body: object) -> str:
    if known.box == "single" and isinstance(body, list | tuple):
        return "is given as a list, but a descriptor has one such module; pass the object itself"
    return f"has a body of type '{type(body).__name__}', but an object was expected; pass one mapping for each module"


def _missing(known: ModuleType, body: Mapping[str, Any], *, with_key: bool) -> Iterator[str]:
    # Source: a Connect descriptor's webhooks have no key; only a manifest's do.
    keyed = with_key and known.name != "webhooks"
    for name in known.required:
        if body.get(name) in (None, "") and (keyed or name != "key"):
            yield f"lacks '{name}', which the host requires; add it"


def _bad_key(body: Mapping[str, Any]) -> Iterator[str]:
    if "key" not in body:
        return
    key = body["key"]
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        yield f"has the key {key!r}, but only letters, digits and '-' are allowed; rename it"
    elif len(key) > MAX_KEY:
        yield f"has a key of {len(key)} characters; shorten it to {MAX_KEY} at most"


def _bad_texts(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    for name in _TEXTS:
        if name not in body or (name == "name" and known.name in _PLAIN_NAMES):
            continue
        text = body[name]
        if not isinstance(text, Mapping) or not isinstance(text.get("value"), str):
            yield f"has a '{name}' that is not a text for users; write it as {{'value': 'the text'}}"
            continue
        for part, longest in (("value", MAX_TEXT), ("i18n", MAX_I18N_KEY)):
            length = len(str(text.get(part, "")))
            if length > longest:
                yield f"has a '{name}' of {length} characters in '{part}'; shorten it to {longest} at most"


def _bad_urls(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    for path in known.urls:
        for place, url in fields_at(body, path):
            if fault := _fault_of_url(known, body, place, url):
                yield f"has a '{place}' that {fault}"
    own_site = () if "url" in known.urls else ("url",)
    for path in (*_LINKS, *own_site):
        for place, url in fields_at(body, path):
            if fault := fault_of_link(url):
                yield f"has a '{place}' that {fault}"


def _bad_urls_of_unknown(known: ModuleType, body: Mapping[str, Any]) -> Iterator[str]:
    """Check the URLs of a type that is not in the table: a field of another form may be something else there."""
    for path in known.urls:
        for place, url in fields_at(body, path):
            fault = fault_of_link(url, plain=True) if is_absolute(url) else fault_of_own(url)
            if isinstance(url, str) and fault:
                yield f"has a '{place}' that {fault}"


def _fault_of_url(known: ModuleType, body: Mapping[str, Any], place: str, url: object) -> str | None:
    if place.endswith("templateUrl"):
        return fault_of_action(url)
    if place == "url" and known.may_link:
        if is_absolute(url):
            return fault_of_link(url, plain=True)
        if body.get("context") == "product":
            return fault_of_link(url if isinstance(url, str) and url.startswith("/") else f"/{url}")
        if body.get("context") == "page":
            return _fault_of_page(url)
    return fault_of_own(url)


def _fault_of_page(url: object) -> str | None:
    """Return why a value is not the key of a page module; None if it is. The context 'page' needs such a key."""
    if isinstance(url, str) and _KEY.fullmatch(url) and len(url) <= MAX_KEY:
        return None
    return f"is {url!r}, but the context 'page' takes the key of a page module; give its key"
